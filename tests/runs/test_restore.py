"""Runs that cannot be opened again."""

import json

import pytest
from small_runs import settings

from ensgan.runs.config import to_dict
from ensgan.runs.restore import load_run, restore
from ensgan.types import InputError


def test_no_run_no_resume(tmp_path):
    with pytest.raises(InputError, match=r"no run at .*: it has no config.json"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(to_dict(settings())))
    with pytest.raises(InputError, match=r"has no complete checkpoint, .* `ensgan resume` starts it again"):
        restore(tmp_path, settings())
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(InputError, match="is not valid JSON"):
        load_run(tmp_path)
