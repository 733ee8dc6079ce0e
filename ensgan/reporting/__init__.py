"""What a run leaves for people: metrics, pictures, a report, and where else numbers may go."""

from ensgan.reporting.console import Console, Watcher
from ensgan.reporting.html import write_report
from ensgan.reporting.metrics_log import MetricsLog, plain, read_metrics
from ensgan.reporting.pictures import sample_picture, write_reliability, write_samples
from ensgan.reporting.scores import (
    describe_classes,
    describe_distances,
    describe_floor,
    describe_mixtures,
    describe_modes,
    describe_players,
    describe_refinement,
    describe_scores,
)
from ensgan.reporting.sinks import Sink, TensorBoardSink, WandbSink, flatten
from ensgan.reporting.tables import format_matrix, format_measured, format_ranking

__all__ = [
    "Console",
    "MetricsLog",
    "Sink",
    "TensorBoardSink",
    "WandbSink",
    "Watcher",
    "describe_classes",
    "describe_distances",
    "describe_floor",
    "describe_mixtures",
    "describe_modes",
    "describe_players",
    "describe_refinement",
    "describe_scores",
    "flatten",
    "format_matrix",
    "format_measured",
    "format_ranking",
    "plain",
    "read_metrics",
    "sample_picture",
    "write_reliability",
    "write_report",
    "write_samples",
]
