"""What a step of three large games takes on each of 1 to 4,096 devices: work, memory and bytes sent; planned, not run.

    python benchmarks/large.py [--devices 1 8 64 4096] [--games mlp heads r3gan] [--out rows.jsonl] [--plot FILE]
    python benchmarks/large.py --table rows.jsonl [--plot FILE]

`mlp` is 32×32 whole MLPs on 28×28 images, `heads` is 64 DCGAN generators against 64 heads on one trunk on 64×64 images
in colour, and `r3gan` one residual pair on such images. The games stay the same, so the work of a device should fall as
1/P (strong scaling). Members are spread first, then samples. One JSON row for each game and mesh has what the compiler
counts (`ensgan plan`), and the share of the step that communication would take at 100 GB/s and 100 TFLOP/s, if none of
it overlaps with work. The pair has 2,048 reals, so it ends at as many devices.
"""

import argparse
import time

from rows import emit, read

from ensgan import Game, Group, data, losses, networks, optim, pairing, penalties
from ensgan.devices import simulated
from ensgan.devices.mesh import Sizes
from ensgan.runs import directory as rundir
from ensgan.runs.plan import plan

BANDWIDTH, PEAK = 100e9, 100e12  # bytes and FLOPs per second
COLORS = {"mlp": "#1f77b4", "heads": "#d62728", "r3gan": "#2ca02c"}


def main():
    """Plans, and prints rows or a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 8, 64, 512, 2048, 4096])
    parser.add_argument("--games", nargs="+", choices=sorted(GAMES), default=sorted(GAMES))
    parser.add_argument("--out", help="also append the rows to this file")
    parser.add_argument("--table", help="print the rows of this file as a table instead of planning")
    parser.add_argument("--plot", help="also draw the curves to this picture")
    options = parser.parse_args()
    if options.table:
        rows = read(options.table)
        print(table(rows))
    else:
        simulated.devices(max(options.devices))
        rows = []
        for name in options.games:
            for P in [each for each in options.devices if name != "r3gan" or each <= 2048]:
                rows.append(row(name, P))
                emit(rows[-1], options.out)
    if options.plot:
        draw(rows, options.plot)


def mlp():
    """32×32 whole networks, 512 reals and as many fakes of each generator."""
    settings = {"loss": losses.relativistic, "pairing": pairing.own_and_mean(0.5), "reals": 512, "fakes": 512}
    g = Group(networks.mlp_generator((28, 28, 1), latent=64, widths=(256, 256)), 32, execute="vmap")
    d = Group(networks.mlp_discriminator((28, 28, 1), widths=(256, 256)), 32, execute="vmap")
    return Game([g], [d], penalty=penalties.r1_r2(0.1), optimizer=optim.adam(1e-3), **settings)


def heads():
    """64 generators against 64 heads on one trunk, 4,096 reals and fakes in all."""
    shape = (64, 64, 3)
    g = Group(networks.dcgan_generator(shape, latent=128, width=64, norm="none"), 64, execute="vmap")
    network = networks.dcgan_discriminator(shape, width=64, norm="none")
    d = Group(network, 64, execute="vmap", shared=("trunk",))
    settings = {"loss": losses.relativistic, "pairing": pairing.own_and_mean(0.5), "reals": 4096}
    return Game([g], [d], penalty=penalties.r1_r2(0.1), optimizer=optim.adam(1e-3), **settings)


def r3gan():
    """One residual pair, 2,048 reals and fakes."""
    g = Group(networks.r3gan_generator((64, 64, 3)), 1, execute="vmap")
    d = Group(networks.r3gan_discriminator((64, 64, 3)), 1, execute="vmap")
    settings = {"loss": losses.relativistic, "pairing": pairing.mean(), "reals": 2048}
    return Game([g], [d], penalty=penalties.r1_r2(0.1), optimizer=optim.adam(1e-4), **settings)


GAMES = {"mlp": mlp, "heads": heads, "r3gan": r3gan}


def row(name, P):
    """The plan of one game on P devices."""
    game = GAMES[name]()
    member = min(P, game.M)
    sizes, shape = Sizes(member, P // member), game.sample_shape
    begin = time.perf_counter()
    found = plan(game, data.outline("npz", shape=shape, num=10_000), sizes)
    seconds = time.perf_counter() - begin
    sent, computing = sum(each.travel for each in found.collectives), found.flops / PEAK
    return {
        "benchmark": "large",
        "game": name,
        "devices": P,
        "mesh": str(sizes),
        "M": game.M,
        "N": game.N,
        "reals": game.reals,
        "fakes": game.fakes,
        "gflops": round(found.flops / 1e9, 3),
        "mebibytes": {kind: round(getattr(found, f"{kind}_bytes") / 2**20, 2) for kind in ("state", "temporary")},
        "sent_mebibytes": round(sent / 2**20, 3),
        "communication": round((sent / BANDWIDTH) / (sent / BANDWIDTH + computing), 3),
        "compile_seconds": round(seconds, 1),
        **rundir.versions(),
    }


def table(rows):
    """The rows as a Markdown table."""
    lines = [
        "| game | devices | mesh | GFLOP a device | of 1/P | state, MiB | temporary, MiB | sent, MiB | communication |",
        "|---" * 9 + "|",
    ]
    whole = {each["game"]: each["gflops"] for each in rows if each["devices"] == 1}
    for each in rows:
        memory, share = each["mebibytes"], each["gflops"] * each["devices"] / whole[each["game"]]
        numbers = (each["gflops"], share, memory["state"], memory["temporary"], each["sent_mebibytes"])
        cells = [f"{each['game']} {each['M']}×{each['N']}", f"{each['devices']:,}", each["mesh"]]
        cells += [f"{number:,.0f}" if number >= 100 else f"{number:.3g}" for number in numbers] + [
            f"{100 * each['communication']:.0f} %"
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows, path):
    """Work, memory and bytes sent of a device as functions of the number of devices."""
    import matplotlib.pyplot as plt

    panels = {
        "GFLOP of a device": lambda row: row["gflops"],
        "state and temporary memory, MiB": lambda row: sum(row["mebibytes"].values()),
        "sent by a device, MiB": lambda row: row["sent_mebibytes"] or None,
    }
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for axis, (label, value) in zip(axes, panels.items(), strict=True):
        for name in dict.fromkeys(row["game"] for row in rows):
            points = [(row["devices"], value(row)) for row in rows if row["game"] == name and value(row) is not None]
            axis.plot(*zip(*points, strict=True), "o-", color=COLORS[name], label=name, markersize=4)
        axis.set(xscale="log", yscale="log", xlabel="devices", ylabel=label)
        devices = {row["devices"] for row in rows}
        axis.set_xticks([each for each in sorted(devices) if 2 * each not in devices])  # else labels overlap
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.yaxis.set_major_formatter("{x:,g}")
        if label.startswith("sent"):
            axis.set_yticks([5, 10, 20, 50, 100])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
