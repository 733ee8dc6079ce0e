"""Files of weights are read without PyTorch, and nothing in them is run."""

import os
import pickle
import zipfile

import numpy as np
import pytest
from weight_files import torch_made

from ensgan.evaluation.torch_files import read_tensors
from ensgan.types import InputError


@pytest.mark.parametrize("row", [True, False])
def test_tensors_are_read_without_pytorch(row, monkeypatch, tmp_path):
    want = {
        "kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "one": np.array(7, np.int64),
        "none": np.zeros((0, 3), np.float32),
    }
    views = [("turned", "kernel", 1, (3, 2), (4, 12))]
    file = tmp_path / "weights.pth"
    file.write_bytes(torch_made(monkeypatch, want, row, views))
    found = read_tensors(file)
    assert list(found) == [*want, "turned"]
    for name, x in want.items():
        np.testing.assert_array_equal(found[name], x)
        assert found[name].dtype == x.dtype
    np.testing.assert_array_equal(found["turned"], want["kernel"][:, :, 1].T)
    # Views that reach beyond their numbers, and files that end too soon.
    for offset, strides in ((1, (12, 12)), (23, (4, 12)), (-1, (4, 12)), (20, (4, -12))):
        file.write_bytes(torch_made(monkeypatch, want, row, [("far", "kernel", offset, (3, 2), strides)]))
        with pytest.raises(InputError, match="reaches beyond its numbers"):
            read_tensors(file)
    whole = torch_made(monkeypatch, want, row)
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:end])
        with pytest.raises(InputError, match="cannot be read as a state dict"):
            read_tensors(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(zipped, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    file, out = tmp_path / "evil.pth", pickle.dumps({"x": Evil()}, 2)
    if zipped:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("evil/data.pkl", out)
    else:
        file.write_bytes(pickle.dumps(1) + pickle.dumps(2) + pickle.dumps(3) + out)
    with pytest.raises(InputError, match=r"evil.pth cannot be read .*names (posix|nt).mkdir, which is no part"):
        read_tensors(file)
    assert not (tmp_path / "made").exists()
    with pytest.raises(InputError, match="none is missing"):
        read_tensors(tmp_path / "none")


def test_pytorchs_own_files_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, (3, 1)), torch.nn.BatchNorm2d(3))
    state = module.state_dict()
    state["turned"], state["parameter"] = state["0.weight"][1:].transpose(0, 1), torch.nn.Parameter(torch.ones(2))
    for new in (True, False):
        torch.save(state, tmp_path / "state.pth", _use_new_zipfile_serialization=new)
        found = read_tensors(tmp_path / "state.pth")
        assert list(found) == list(state)
        for name, x in state.items():
            np.testing.assert_array_equal(found[name], x.detach().numpy())
