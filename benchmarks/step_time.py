"""Time of one training step: ensgan against the code that a user would write instead, in JAX and in PyTorch.

    pip install -e '.[bench]'
    python benchmarks/step_time.py --case mlp --members 1 2 4 8 16 32 [--rounds 9] [--out rows.jsonl]

All peers have the same networks, batch, loss, optimiser, exponential average and number of updates, and start from the
same weights. Before timing, the gradients of the first step are compared: discriminators' gradients for all peers, and
generators' gradients for all peers that can compute them at the same parameters. A peer that disagrees is not timed,
and its row says so; if no peer agrees with ensgan, nothing is timed. Rows also say where the mathematics differs:
alternating updates take the generators' gradients after the discriminators' step, and pair by pair makes M·N updates of
one pair each.

Products and convolutions are computed in float32 by all peers, on a GPU too; with `--precision tensorfloat32` all may
round their factors as a GPU's matrix units do. Rounds are interleaved in one process. A row holds medians, and only
ratios within a row can be compared. Peak memory is measured in a separate process for each peer. There is one JSON row
for each case and number of members.
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

# As a share of the norm of a leaf's gradient. Another order of summation gives 1e-6, or more if a pre-activation is
# then on the other side of LeakyReLU's kink, which changes one sample's share of one unit. Other mathematics gives .1
# and more.
TOLERANCE = 5e-3
SECONDS = 0.4  # approximate time of one round of one peer
# Smallest number of steps in one round. A run makes hundreds of steps per call. With one step per call, ensgan would
# pay for the memory of the call at every step; the system provides it page by page, which takes up to a third of a
# step.
STEPS = 3


def main():
    """Runs the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", default=["mlp"], choices=sorted(CASES))
    parser.add_argument("--members", nargs="+", type=int, default=[8], help="numbers of members, M = N")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--execute", default="auto", help="how ensgan runs members: auto, vmap, unroll or matmul")
    parser.add_argument("--peers", nargs="*", help="names of peers beside ensgan (default: all)")
    parser.add_argument("--pairs-up-to", type=int, default=8, help="largest number of members for pair by pair")
    parser.add_argument(
        "--precision", default="float32", choices=["float32", "tensorfloat32"], help="precision of products"
    )
    parser.add_argument("--out", help="also append the rows to this file")
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
    """Sets one precision of products in both libraries, whose defaults differ on a GPU."""
    jax.config.update("jax_default_matmul_precision", precision)
    if importlib.util.find_spec("torch"):
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tensorfloat32"


def contestants():
    """All peers by name; those of PyTorch only if it is installed."""
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
        raise SystemExit("no peer has the gradients of ensgan, so nothing is timed")
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
        "execute": [problem.game.groups_g[0].execution, problem.game.groups_d[0].execution_on_shared_input],
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
    """The largest difference of a leaf from ensgan's, if it is within the tolerance. A side that is None is skipped."""
    largest = 0.0
    for side, a, b in zip("gd", found, wanted, strict=True):
        if a is None:
            continue
        a, b = flat(a), flat(b)
        assert a.keys() == b.keys(), f"{name}, {side}: {sorted(a.keys() ^ b.keys())}"
        whole = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in b.values()))
        for path, want in b.items():
            # The gradient of a bias in front of a batch norm is rounding error only, so compare it with all others.
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
    """Current FLOP/s of a large product of float32 matrices."""
    a = jnp.ones((size, size))
    jax.block_until_ready(a @ a)
    start = time.perf_counter()
    jax.block_until_ready(a @ a)
    return 2 * size**3 / (time.perf_counter() - start)


def memory(problem, name, precision):
    """Peak memory of a peer in a separate process, without that of its start, in MiB; None if it failed."""
    command = [sys.executable, __file__, "--case", problem.case.name, "--members", str(problem.members)]
    command += ["--batch-size", str(problem.batch_size), "--execute", problem.game.groups_d[0].execute]
    command += ["--precision", precision, "--alone", name]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["peak_mib"] if done.returncode == 0 else None


def alone(problem, name):
    """Runs one peer for a few steps and returns the memory that this took."""
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
    """Memory of this process now (`VmRSS`) or its peak so far (`VmHWM`), on Linux; else NaN."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))
    except OSError:
        return float("nan")


def versions():
    """Versions, the device, and PyTorch's version if it was used."""
    found = rundir.versions()
    if "peers_torch" in sys.modules:
        import torch

        found |= {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return found


if __name__ == "__main__":
    main()
