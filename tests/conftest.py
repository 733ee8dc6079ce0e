"""Strict settings for every test, set before JAX starts."""

import os
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")  # for meshes; whatever is not asked to use them runs on the first
os.environ.setdefault("ENSGAN_DECODED", "off")  # nothing is left in the user's cache
# Most of the time goes into compiling tiny programs once, and XLA's optimisations are not what is tested. The tests
# marked `bits` are run once more with all of them: see CONTRIBUTING.md.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if metadata.version("jaxlib").startswith("0.10."):  # compiles in half of the time; later ones may know no such flags
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")
# One cache of compiled programs for this session, its workers and the commands they start; never one from before.
if "ENSGAN_TEST_CACHE" not in os.environ:
    os.environ["ENSGAN_TEST_CACHE"] = tempfile.mkdtemp(prefix="ensgan-test-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["ENSGAN_TEST_CACHE"]
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    OWNER = True
else:
    OWNER = False

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    return jax.random.key(7)


@pytest.fixture(scope="session")
def played():
    """A conditional game and its first state."""
    from labelled import conditional  # here, since the process that only hands out the tests has no use for it

    game = conditional(2, 3)
    return game, game.init(jax.random.key(0))


@pytest.fixture(autouse=True)
def few_programs():
    """Every compiled program holds memory maps, of which Linux gives a process 65,530; beyond them LLVM crashes.

    One test may compile programs with thousands of them, so this is looked at after each that takes a while.
    """
    started = time.perf_counter()
    yield
    maps = Path("/proc/self/maps")
    if time.perf_counter() - started > 0.1 and maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()


def pytest_unconfigure(config):
    if OWNER:
        shutil.rmtree(os.environ["ENSGAN_TEST_CACHE"], ignore_errors=True)
