"""Time of one training step: ensgan against what a user would write instead, in JAX and in PyTorch.

    pip install -e '.[bench]'
    python benchmarks/step_time.py --case mlp --members 1 2 4 8 16 32 [--rounds 9] [--out rows.jsonl]

All peers have the same networks, batch, loss, optimiser, exponential average and number of updates, and start from the
same weights. Before any clock starts, the gradients of the first step are compared: those of discriminators across all
peers, those of generators across all that can take them at the same parameters; a peer that disagrees is not timed, and
its row says so; where nobody is left that agrees with ensgan, nothing is timed. Rows whose mathematics differs say so:
alternating updates take the generators' gradients after the discriminators' step, and pair by pair makes M·N updates of
one pair each.

Products and convolutions are those of float32 on both sides, on a GPU too; with `--precision tensorfloat32` both may
round their factors as a GPU's matrix units do. Rounds are interleaved in one process; a row holds medians, and only its
ratios are claims. Peak memory is taken in a process of its own for each peer. One JSON row for each case and number of
members.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from rows import emit
from step_cases import CASES, Problem

from ensgan.runs import directory as rundir

# Of the norm of a leaf's gradient. Other orders of summation give 1e-6; where one of them puts a pre-activation on the
# other side of a kink of LeakyReLU, one sample's share of one unit changes. Other mathematics differs by .1 and more.
TOLERANCE = 5e-3
SECONDS = 0.4  # about what one round of one peer takes
# At least, in one round. A run makes hundreds of steps a call; with one, ensgan would be charged for the memory of the
# call, which the system hands out page by page (for large cases a third of the time of a step), as often as for work.
STEPS = 3


def main():
    """Runs the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", default=["mlp"], choices=sorted(CASES))
    parser.add_argument("--members", nargs="+", type=int, default=[8], help="M = N")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--execute", default="auto", help="how ensgan runs members")
    parser.add_argument("--peers", nargs="*", help="names to take part, by default all; ensgan always does")
    parser.add_argument("--pairs-up-to", type=int, default=8, help="leave out pair by pair beyond so many members")
    parser.add_argument("--precision", default="float32", choices=["float32", "tensorfloat32"], help="of products")
    parser.add_argument("--out", help="append rows to this file as well")
    parser.add_argument("--alone", help=argparse.SUPPRESS)  # a peer whose memory is measured
    options = parser.parse_args()
    set_precision(options.precision)
    for case in options.case:
        for members in options.members:
            problem = Problem(CASES[case], members, options.batch_size, options.execute)
            if options.alone:
                print(json.dumps(alone(problem, options.alone)))
                continue
            emit(measure(problem, options), options.out)


def set_precision(precision):
    """The same products in both libraries, whose defaults differ on a GPU."""
    jax.config.update("jax_default_matmul_precision", precision)
    if importlib.util.find_spec("torch"):
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tensorfloat32"


def contestants():
    """All peers by name; those of PyTorch only where it is installed."""
    import peers_jax

    found = list(peers_jax.PEERS)
    try:
        import peers_torch
    except ImportError:
        print("PyTorch is not installed (pip install -e '.[bench]'): its peers are left out", file=sys.stderr)
    else:
        found += peers_torch.PEERS
    return {peer.name: peer for peer in found}


def measure(problem, options):
    """The row of one case."""
    peers, failed, errors = {}, {}, {}
    for name, peer in contestants().items():
        wanted = not options.peers or name in options.peers or name == "ensgan"
        if not wanted or (peer.mathematics == "pair by pair" and problem.members > options.pairs_up_to):
            continue
        try:
            peers[name] = peer(problem)
            errors[name] = agree(name, peers[name].gradients(), peers["ensgan"].gradients())
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            print(f"{name} is left out: {failed[name]}", file=sys.stderr)
            peers.pop(name, None)
    if failed and not any(errors.values()):
        raise SystemExit("nobody is left whose gradients agree with those of ensgan: nothing is timed")
    compiled = {name: peer.compile() for name, peer in peers.items()}

    steps, times = {}, {name: [] for name in peers}
    for name, peer in peers.items():
        peer.run(1)
        start = time.perf_counter()
        peer.run(1)
        steps[name] = max(STEPS, int(SECONDS / (time.perf_counter() - start)))
    product = []
    for _ in range(options.rounds):
        product.append(matrix_product())
        for name, peer in peers.items():
            start = time.perf_counter()
            peer.run(steps[name])
            times[name].append((time.perf_counter() - start) / steps[name])

    median = {name: statistics.median(each) for name, each in times.items()}
    achieved, peak = problem.flops() / median["ensgan"], statistics.median(product)
    return {
        "benchmark": "step_time",
        "case": problem.case.name,
        "M": problem.members,
        "N": problem.members,
        "B": problem.batch_size,
        "execute": [problem.game.groups_g[0].how, problem.game.groups_d[0].execution_on_shared_input],
        "convolutions": "products" if problem.game.groups_d[0].products else "as they are",
        "precision": options.precision,
        "rounds": options.rounds,
        "milliseconds": {name: round(1e3 * value, 2) for name, value in median.items()},
        "spread": {name: round((max(each) - min(each)) / median[name], 2) for name, each in times.items()},
        "times_ensgan": {name: round(value / median["ensgan"], 2) for name, value in median.items()},
        "mathematics": {name: peer.mathematics for name, peer in peers.items()},
        "compile_seconds": {name: round(value, 1) for name, value in compiled.items()},
        "peak_mib": {name: memory(problem, name, options.precision) for name in peers},
        "model_gflops": round(problem.flops() / 1e9, 2),
        "of_matrix_product": round(achieved / peak, 3),
        "gradient_error": {name: float(f"{value:.1e}") for name, value in errors.items() if value},
        "failed": failed,
        **versions(),
    }


def agree(name, found, wanted):
    """The largest difference of a leaf to ensgan's, if it is not too large. A side that is None is passed over."""
    largest = 0.0
    for side, a, b in zip("gd", found, wanted, strict=True):
        if a is None:
            continue
        a, b = flat(a), flat(b)
        assert a.keys() == b.keys(), f"{name}, {side}: {sorted(a.keys() ^ b.keys())}"
        whole = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in b.values()))
        for path, want in b.items():
            # A bias in front of a batch norm has no gradient but rounding: it is measured against the others.
            error = np.linalg.norm(a[path] - want) / max(np.linalg.norm(want), 0.01 * whole)
            assert error < TOLERANCE, f"{name}: the gradient of {side}.{path} differs by {error:.1e} of its norm"
            largest = max(largest, float(error))
    return largest


def flat(tree):
    """Path to numpy array."""
    join = lambda path: ".".join(str(getattr(part, "key", part)) for part in path)
    return {
        path if isinstance(path, str) else join(path): np.asarray(leaf)
        for path, leaf in (tree.items() if not _nested(tree) else jax.tree_util.tree_leaves_with_path(tree))
    }


def _nested(tree):
    return any(isinstance(value, dict) for value in tree.values())


def matrix_product(size=2048):
    """FLOP/s of a large product of float32 matrices, right now."""
    a = jnp.ones((size, size))
    jax.block_until_ready(a @ a)
    start = time.perf_counter()
    jax.block_until_ready(a @ a)
    return 2 * size**3 / (time.perf_counter() - start)


def memory(problem, name, precision):
    """Largest memory of a peer in a process of its own, beyond what its start took, in MiB; None where it failed."""
    command = [sys.executable, __file__, "--case", problem.case.name, "--members", str(problem.members)]
    command += ["--batch-size", str(problem.batch_size), "--execute", problem.game.groups_d[0].execute]
    command += ["--precision", precision, "--alone", name]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["peak_mib"] if done.returncode == 0 else None


def alone(problem, name):
    """Runs one peer for a few steps and says how much memory that took."""
    peer = contestants()[name]
    on_gpu = jax.default_backend() == "gpu"
    before = resident_mib("VmRSS")
    contestant = peer(problem)
    contestant.compile()
    contestant.run(3)
    if on_gpu and name.startswith("torch"):
        import torch

        return {"peak_mib": round(torch.cuda.max_memory_allocated() / 2**20)}
    if on_gpu:
        return {"peak_mib": round(jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20)}
    return {"peak_mib": round(resident_mib("VmHWM") - before)}


def resident_mib(field):
    """Memory of this process now (`VmRSS`) or at most so far (`VmHWM`), on Linux; else NaN."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))
    except OSError:
        return float("nan")


def versions():
    """Versions, the device, and PyTorch's where it takes part."""
    found = rundir.versions()
    if "peers_torch" in sys.modules:
        import torch

        found |= {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return found


if __name__ == "__main__":
    main()
