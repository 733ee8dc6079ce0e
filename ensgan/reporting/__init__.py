"""Output for people: metrics, pictures, a report, and sinks such as TensorBoard."""

from ensgan.reporting.console import Console, Watcher
from ensgan.reporting.files import plain
from ensgan.reporting.html import write_report
from ensgan.reporting.log import MetricsLog, read_metrics
from ensgan.reporting.pictures import sample_picture, write_reliability, write_samples
from ensgan.reporting.sinks import Sink, Tracked, Tracker, flatten

__all__ = [
    "Console",
    "MetricsLog",
    "Sink",
    "Tracked",
    "Tracker",
    "Watcher",
    "flatten",
    "plain",
    "read_metrics",
    "sample_picture",
    "write_reliability",
    "write_report",
    "write_samples",
]
