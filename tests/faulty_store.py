"""An object store in memory that fails, loses replies or refuses when it is told to; and runs without training."""

import random
import threading

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from ensgan.runs.checkpoint import MARK


class Killed(BaseException):
    """The end of a process, at a request."""


class FaultyStore(MemoryFileSystem):
    """The store behind `faulty://`."""

    protocol = "faulty"
    store = {}  # noqa: RUF012, as in its parent
    pseudo_dirs = [""]  # noqa: RUF012
    lock = threading.Lock()
    refuses = None  # an error that every request meets
    chance, draws = 0.0, random.Random(0)  # of a request to fail, before or after it did its work
    left = None  # requests until the process is killed

    @classmethod
    def reset(cls):
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.refuses, cls.chance, cls.left, cls.draws = None, 0.0, None, random.Random(0)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("faulty://", "memory://"))

    def _meets(self, function, *arguments, **options):
        with self.lock:
            if self.left is not None:
                type(self).left -= 1
                if self.left < 0:
                    raise Killed
            if self.refuses is not None:
                raise self.refuses
            lot = self.draws.random()
            if lot < self.chance / 2:
                raise OSError("503 slow down")
            result = function(*arguments, **options)
            if lot < self.chance:
                raise ConnectionError("the reply was lost")
            return result

    def find(self, *arguments, **options):
        return self._meets(super().find, *arguments, **options)

    def pipe_file(self, *arguments, **options):
        return self._meets(super().pipe_file, *arguments, **options)

    def cat_file(self, *arguments, **options):
        return self._meets(super().cat_file, *arguments, **options)

    def put_file(self, *arguments, **options):
        return self._meets(super().put_file, *arguments, **options)

    def get_file(self, *arguments, **options):
        return self._meets(super().get_file, *arguments, **options)

    def rm_file(self, *arguments, **options):
        return self._meets(super().rm_file, *arguments, **options)


fsspec.register_implementation("faulty", FaultyStore, clobber=True)


def trained(folder, until, name="x", keep=2):
    """Makes a folder look as if a run had trained until a step, with a checkpoint at every tenth."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(f'{{"name": "{name}", "until": {until}}}')
    for step in range(10, until + 1, 10):
        place = folder / "checkpoints" / str(step)
        if step > until - 10 * keep:
            (place / "state" / "d").mkdir(parents=True, exist_ok=True)
            for part in (MARK, "state/a", "state/d/b"):
                if not (place / part).is_file():
                    (place / part).write_text(f"{name} {step} {part} " * step)
        elif place.is_dir():
            for file in sorted(place.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            place.rmdir()
    (folder / "metrics.jsonl").write_text(
        "".join(f'{{"step": {step}, "of": "{name}"}}\n' for step in range(1, until + 1))
    )
    (folder / "clock.json").write_text(f'{{"steps": {until}}}')
    (folder / "report.html").write_text(f"report of {name} at {until}")


def contents(folder):
    """The files under a folder, by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(address):
    """The same of an address."""
    files, root = fsspec.core.url_to_fs(address.replace("faulty://", "memory://"))
    del files
    return {
        name.removeprefix(f"{root}/"): file.getvalue()
        for name, file in FaultyStore.store.items()
        if name.startswith(f"{root}/")
    }
