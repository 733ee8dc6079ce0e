"""What a run leaves for people: metrics, pictures, a report, and where else numbers may go."""

from ensgan.reporting.console import Console, Watcher
from ensgan.reporting.html import write_report
from ensgan.reporting.metrics_log import MetricsLog, read_metrics
from ensgan.reporting.pictures import sample_picture, write_samples
from ensgan.reporting.sinks import Sink, TensorBoardSink, WandbSink, flatten
from ensgan.reporting.tables import format_matrix, format_measured, format_ranking

__all__ = [
    "Console",
    "MetricsLog",
    "Sink",
    "TensorBoardSink",
    "WandbSink",
    "Watcher",
    "flatten",
    "format_matrix",
    "format_measured",
    "format_ranking",
    "read_metrics",
    "sample_picture",
    "write_report",
    "write_samples",
]
