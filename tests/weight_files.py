"""Files of weights as PyTorch writes them, made without PyTorch."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np


def torch_made(monkeypatch, tensors, row, views=()):
    """What PyTorch writes of a state dict, by its format alone: a zip file, or a row of pickles."""
    fake, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    fake.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    fake.LongStorage = type("LongStorage", (), {"__module__": "torch"})
    utils._rebuild_tensor_v2 = type("_rebuild_tensor_v2", (), {"__module__": "torch._utils"})

    class Storage:
        def __init__(self, key, x):
            self.key, self.x = key, x

    class Tensor:
        def __init__(self, *args):
            self.args = args

        def __reduce__(self):
            return utils._rebuild_tensor_v2, self.args

    class Writer(pickle.Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, Storage):
                kind = fake.FloatStorage if obj.x.dtype == np.float32 else fake.LongStorage
                return ("storage", kind, obj.key, "cpu", obj.x.size, *([None] if row else []))
            return None

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", fake)
        patch.setitem(sys.modules, "torch._utils", utils)
        storages = {name: Storage(str(k), x) for k, (name, x) in enumerate(tensors.items())}
        described = OrderedDict()
        for name, x in tensors.items():
            strides = tuple(step // x.itemsize for step in x.strides)
            described[name] = Tensor(storages[name], 0, x.shape, strides, False, OrderedDict())
        for name, of, offset, shape, strides in views:
            described[name] = Tensor(storages[of], offset, shape, strides, False, OrderedDict())
        described._metadata = OrderedDict(version=1)
        out = io.BytesIO()
        if row:
            keys = [storage.key for storage in reversed(storages.values())]
            for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, described, keys):
                Writer(out, 2).dump(part)
            for key in keys:
                x = tensors[list(tensors)[int(key)]]
                out.write(struct.pack("<q", x.size) + x.tobytes())
        else:
            text = io.BytesIO()
            Writer(text, 2).dump(described)
            with zipfile.ZipFile(out, "w") as archive:
                archive.writestr("weights/data.pkl", text.getvalue())
                for storage in storages.values():
                    archive.writestr(f"weights/data/{storage.key}", storage.x.tobytes())
    return out.getvalue()
