"""The names of metrics."""

import pytest

from ensgan.evaluation.families import METRICS, SHORT
from ensgan.evaluation.tables import distances
from ensgan.types import InputError


def test_every_metric_of_two_samples_has_a_short_name():
    assert sorted(SHORT.values()) == sorted(name for metric in METRICS for name in metric.names)
    with pytest.raises(InputError, match="unknown distance 'fid'; known: coverage, density, duplicates, frechet"):
        distances(["fid"])
