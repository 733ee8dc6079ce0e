"""Cost of a step per device on meshes of 1 to 256 devices, with full and split coverage; planned, not run.

    python benchmarks/scale.py [--devices 1 4 16 64 256] [--out rows.jsonl] [--plot curve.png]

The networks are those of `mnist_mlp`, batched. Weak scaling has two generators and two discriminators on every device,
and B = 512. Strong scaling has M = N = 64 and B = 256, spread over members up to 64 devices, then over samples as well.
There is one JSON row for each mesh: FLOPs, memory and bytes sent, per device and step, as the compiler counts them
(`ensgan plan`).
"""

import argparse

from rows import emit

from ensgan import Game, Group, data, losses, networks, optim, pairing
from ensgan.devices import simulated
from ensgan.devices.mesh import Sizes
from ensgan.runs import directory as rundir
from ensgan.runs.plan import plan

WEAK, STRONG = "weak: M = N = 2 per device, B = 512", "strong: M = N = 64, B = 256"
COLORS = {"full": "#d62728", "split": "#1f77b4"}


def main():
    """Plans and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", nargs="+", type=int, default=[2**k for k in range(9)])
    parser.add_argument("--out", help="also append the rows to this file")
    parser.add_argument("--plot", help="also draw the curves to this picture")
    options = parser.parse_args()
    simulated.devices(max(options.devices))
    rows = []
    for P in options.devices:
        for scaling in ("weak", "strong"):
            for coverage in ("full", "split"):
                rows.append(row(scaling, coverage, P))
                emit(rows[-1], options.out)
    if options.plot:
        draw(rows, options.plot)


def row(scaling, coverage, P):
    """The plan of one mesh as a JSON row."""
    members, B = (2 * P, 512) if scaling == "weak" else (64, 256)
    sizes = Sizes(min(P, members), max(1, P // members))
    # Batched, as on an accelerator; by default a CPU would run some sizes one member after the other.
    g = Group(networks.mlp(100, (128, 256, 512, 1024), 784, output="tanh"), members, execute="vmap")
    d = Group(networks.mlp(784, (512, 256, 128), 1), members, execute="vmap")
    settings = {"loss": losses.non_saturating, "pairing": pairing.mean(), "optimizer": optim.adam(2e-4)}
    game = Game(g, d, batch_size=B, coverage=coverage, **settings)
    found = plan(game, data.outline("npz", shape=(784,), num=B * 10), sizes)
    kinds = {c.kind: 0 for c in found.collectives}
    for each in found.collectives:
        kinds[each.kind] += each.travel
    mebibytes = {name: getattr(found, f"{name}_bytes") for name in ("state", "temporary", "peak")}
    return {
        "benchmark": "scale",
        "scaling": scaling,
        "coverage": coverage,
        "devices": P,
        "mesh": str(sizes),
        "M": members,
        "N": members,
        "B": B,
        "gflops": round(found.flops / 1e9, 3),
        "mebibytes": {name: round(value / 2**20, 3) for name, value in mebibytes.items()},
        "sent_mebibytes": {kind: round(value / 2**20, 4) for kind, value in kinds.items()},
        **rundir.versions(),
    }


def draw(rows, path):
    """FLOPs, peak memory and bytes sent per device as functions of the number of devices; weak above, strong below."""
    import matplotlib.pyplot as plt

    sent = lambda row: sum(row["sent_mebibytes"].values())
    panels = (
        ("GFLOP per device", lambda row: row["gflops"]),
        ("peak memory per device, MiB", lambda row: row["mebibytes"]["peak"]),
        ("sent per device, MiB", lambda row: sent(row) or None),
    )
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.8), layout="constrained")
    for line, scaling, title in zip(axes, ("weak", "strong"), (WEAK, STRONG), strict=True):
        for axis, (label, value) in zip(line, panels, strict=True):
            for coverage, color in COLORS.items():
                mine = [row for row in rows if (row["scaling"], row["coverage"]) == (scaling, coverage)]
                points = [(row["devices"], value(row)) for row in mine if value(row) is not None]
                axis.plot(*zip(*points, strict=True), "o-", color=color, label=coverage, markersize=4)
            axis.set(xscale="log", xlabel="devices", ylabel=label)
            axis.set_yscale("log", base=4)
            axis.set_xticks(sorted({row["devices"] for row in rows}))
            axis.xaxis.set_major_formatter("{x:.0f}")
            axis.yaxis.set_major_formatter("{x:,g}")
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            axis.legend()
        line[1].set_title(title, fontweight="bold", pad=12)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
