"""Checkpoints: asynchronous, atomic, the newest few kept. The only file that knows Orbax."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from ensgan.devices.digests import digests
from ensgan.types import InputError, Tree

MARK = "_CHECKPOINT_METADATA"  # the file without which a folder is no checkpoint
GONE = "the folder is gone"
PATIENCE = 60.0  # seconds that a save waits for the one before, where training can go on without


def fingerprint(tree: Tree) -> dict[str, str]:
    """Path to `shape dtype` of every leaf: what must agree before a checkpoint can be read into a state."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): f"{tuple(leaf.shape)} {leaf.dtype}" for path, leaf in leaves}


class Checkpoints:
    """The checkpoints in one directory. A context manager: leaving it waits for the last save.

    Args:
        directory: made if it is missing.
        keep: how many of the newest are kept, and the one of the step `best`, which may be set.
        keep_every: checkpoints at multiples of this are kept as well; 0 is off.
        read_only: nothing will be saved, so another process may be saving there.
        saved: called once the first checkpoint that is saved here is complete.
    """

    def __init__(
        self,
        directory: Path,
        keep: int = 3,
        keep_every: int = 0,
        read_only: bool = False,
        saved: Callable[[], None] | None = None,
    ) -> None:
        """Opens the directory; removes what a killed save left behind, unless it is only read."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._end = contextlib.ExitStack()
        self._place = str(self._end.enter_context(_utf8(directory.absolute())))
        self.keep, self.keep_every = keep, keep_every
        self.best: int | None = None
        self._failed: int | None = None  # the step of the save that failed last
        self._checkpointer = self._opened(read_only)
        self._pending: int | None = None
        self._response: Any = None  # of the save in progress
        self._saved = saved

    def __enter__(self) -> Checkpoints:
        """Gives itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Waits for the save in progress and closes."""
        self.close()

    @property
    def replaces(self) -> bool:
        """Whether something waits for the first checkpoint that is saved here."""
        return self._saved is not None

    @property
    def steps(self) -> list[int]:
        """The steps that can be restored, oldest first."""
        steps = (int(checkpoint.step) for checkpoint in self._checkpointer.checkpoints)
        return sorted(step for step in steps if step != self._failed)

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Which checkpoints stay, oldest first; Orbax asks."""
        steps = [int(each.step) for each in checkpoints]
        newest = sorted(steps)[-self.keep :]
        apart = lambda step: self.keep_every > 0 and step % self.keep_every == 0
        return [step in newest or step == self.best or apart(step) for step in steps]

    def save(self, step: int, state: Tree) -> None:
        """Starts saving `state`; its buffers may be donated at once. A step that is already there is left as it is.

        Raises:
            InputError: this save, or the one before it, could not be written (a full disk, for example).
        """
        if self._pending == step or step in self.steps:
            return
        with self._explained():
            self._finish()
            if self._failed is None:
                self._checkpointer.wait()
        self._tell()
        self._pending = step
        about: Any = {"step": step, "arrays": fingerprint(state), "digests": digests(state)}
        with self._explained():
            if not self.directory.is_dir():
                raise FileNotFoundError(GONE)
            if self._failed is not None:  # what it left goes, and Orbax begins anew
                self._close()
                self._checkpointer, self._failed = self._opened(), None
            self._response = self._checkpointer.save_async(step, state, custom_metadata=about, force=True)

    def attempt(self, step: int, state: Tree, note: Callable[[str], None], last: bool = False) -> None:
        """Saves as `save` does, but where it cannot, this is noted, and training goes on; the next one tries again.

        Where the save before has not ended for a minute (a network file system that stalls), this step is left out.

        Args:
            step: its number.
            state: what is saved.
            note: takes a line about what is not saved.
            last: no other save follows: it waits for the one before, and its own failure is an error.

        Raises:
            InputError: the last save could not be written.
        """
        with self._noted(note, "" if last else "; training goes on"), self._explained():
            self._finish(None if last else PATIENCE)
        if self._response is not None:
            note(f"the checkpoint of step {self._pending} is still being written, so step {step} is not saved")
            return
        if last:
            self.save(step, state)
            return
        with self._noted(note, "; training goes on"):
            self.save(step, state)

    def restore(self, like: Tree, step: int | None = None) -> tuple[int, Tree]:
        """The newest checkpoint, or the one of `step`, in the form and on the devices of `like`.

        Args:
            like: a state of the same form: arrays, or `jax.ShapeDtypeStruct` with shardings.
            step: which one; None is the newest.

        Raises:
            InputError: there is none, it is of another form, or it cannot be read.
        """
        if not self.steps:
            raise InputError(f"{self.directory} holds no complete checkpoint; nothing can be restored")
        step = self.steps[-1] if step is None else step
        if step not in self.steps:
            raise InputError(f"{self.directory} has no checkpoint of step {step}; it has {self.steps}")
        place = self.directory / str(step)
        others = [other for other in self.steps if other != step]
        fix = f"remove {place} to fall back to step {others[-1]}" if others else "no older one is left"
        wanted = fingerprint(like)
        try:
            metadata: Any = self._checkpointer.metadata(step).custom_metadata or {}
            found = metadata.get("arrays")
        except Exception as error:
            raise InputError(f"the checkpoint {place} is corrupt ({_line(error)}); {fix}") from error
        if found is None:
            raise InputError(
                f"{place} has no record of its arrays: it is corrupt, or was written by another program; {fix}"
            )
        if (of := metadata.get("step", step)) != step:  # earlier versions wrote none
            raise InputError(f"{place} holds the state of step {of}; rename it to {of}, or remove it")
        if found != wanted:
            keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
            there, here = ({key: each.get(key, "missing") for key in keys} for each in (found, wanted))
            if _single(there) == _single(here):
                raise InputError(_precision(place, here))
            raise InputError(
                f"the checkpoint {place} is for another game: {keys[0]} is {found.get(keys[0], 'missing')} there "
                f"and {wanted.get(keys[0], 'missing')} here"
            )
        abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding), like)
        try:
            state = self._checkpointer.load(step, abstract)
        except Exception as error:
            raise InputError(f"the checkpoint {place} is corrupt ({_line(error)}); {fix}") from error
        written = metadata.get("digests")  # earlier versions wrote none
        if written is not None and written != (read := digests(state)):
            wrong = next(key for key in read if written.get(key) != read[key])
            raise InputError(f"the checkpoint {place} is corrupt ({wrong} is not what was written); {fix}")
        return step, state

    def close(self) -> None:
        """Waits for the save in progress and closes. Raises InputError when it could not be written."""
        with self._explained(), self._end:
            try:
                self._finish()
            finally:
                self._close()
        self._tell()

    def _opened(self, read_only: bool = False) -> Any:
        from orbax.checkpoint import v1 as ocp  # here, because the import takes a second

        return ocp.training.Checkpointer(self._place, preservation_policy=self, cleanup_tmp_directories=not read_only)

    def _close(self) -> None:
        """Closes Orbax's side, which raises a failure again that is known."""
        with contextlib.suppress(*(() if self._failed is None else (Exception,))):
            self._checkpointer.close()

    def _finish(self, patience: float | None = None) -> None:
        """Waits for the save in progress. Unless its result is taken, Orbax keeps a thread and three files for it."""
        response, self._response = self._response, None
        if response is None:
            return
        try:
            response.result(patience)
        except TimeoutError:  # of waiting, or of the file system
            if self._checkpointer.is_saving_in_progress():
                self._response = response
            else:
                response.result()

    def _tell(self) -> None:
        """Says that the save before, if there was one, is complete."""
        if self._pending is not None and self._saved is not None:
            self._saved()
            self._saved = None

    @contextlib.contextmanager
    def _noted(self, note: Callable[[str], None], more: str) -> Iterator[None]:
        """Notes that a save failed."""
        try:
            yield
        except InputError as error:
            note(f"{error}{more}")
            self._failed, self._pending = self._pending, None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            kept = [step for step in self.steps if step != self._pending] if self.directory.is_dir() else []
            raise InputError(
                f"the checkpoint of step {self._pending} could not be written to {self.directory}: {_line(error)}; "
                f"complete checkpoints: {kept or 'none'}"
            ) from error


@contextlib.contextmanager
def _utf8(directory: Path) -> Iterator[Path]:
    """The directory under a name that is UTF-8, as Orbax wants it: a link to it while inside, if it has none."""
    try:
        str(directory).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="ensgan-") as folder:
            link = Path(folder, "checkpoints")
            link.symlink_to(directory, target_is_directory=True)
            yield link
    else:
        yield directory


def _single(kinds: dict[str, str]) -> dict[str, str]:
    """Shapes and types with the types of 64 bits as those of 32."""
    return {key: re.sub(r"\b(float|int|uint)64$", r"\g<1>32", kind) for key, kind in kinds.items()}


def _precision(place: Path, here: dict[str, str]) -> str:
    """Says that a checkpoint has numbers of 64 bits where this process has 32, or the other way."""
    if any(kind.endswith("64") for kind in here.values()):
        return (
            f"the checkpoint {place} holds numbers of 32 bits, and JAX computes with 64 here, because the environment "
            "variable JAX_ENABLE_X64 is set; unset it, since the run was started without"
        )
    return (
        f"the checkpoint {place} holds numbers of 64 bits, and JAX computes with 32 here; set the environment variable "
        "JAX_ENABLE_X64=1, with which the run was started"
    )


def _line(error: BaseException) -> str:
    """The innermost cause of an error, in a few words on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    for known in ("No space left on device", "Permission denied", "Read-only file system", "File too large", GONE):
        if known in text:
            return known
    if "Barrier failed" in text or "coordination service" in text.lower():
        return "another process of this run has ended"
    return f"{type(error).__name__}: {text[:80]}"
