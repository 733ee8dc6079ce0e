"""The methods of the field by name: what each does, whose it is, what it needs; `configs/methods` has a run of each."""

from __future__ import annotations

from typing import NamedTuple


class Method(NamedTuple):
    """One row of the table."""

    family: str
    does: str
    source: str  # whose it is
    members: str  # `complete`, `parts`, or when it is which
    needs: str = ""  # of the game or of the data, beyond any generators and discriminators


_GMAN, _HGAN = "Durugkar et al. 2016, 1611.01673", "Albuquerque et al. 2019, 1901.08680"
_OWN = "parts; complete with own > 0 and M ≤ N"
_POSITIVE = "a loss that is never negative for generators"

METHODS: dict[str, Method] = {
    "mean": Method("aggregation", "all discriminators count alike", _GMAN, "parts"),
    "max": Method("aggregation", "the harshest discriminator alone counts", _GMAN, _OWN),
    "min": Method("aggregation", "the mildest discriminator alone counts", _GMAN, _OWN),
    "softmax": Method("aggregation", "discriminators count by exp(λ·loss)", _GMAN, _OWN),
    "softmax_learned": Method("aggregation", "the same, λ is learned (GMAN*)", _GMAN, _OWN),
    "geometric": Method("aggregation", "geometric mean of losses", _GMAN, _OWN, _POSITIVE),
    "harmonic": Method("aggregation", "harmonic mean of losses", _GMAN, _OWN, _POSITIVE),
    "hypervolume": Method("aggregation", "discriminators count by 1/(η − loss)", _HGAN, _OWN, _POSITIVE),
    "mgd": Method("aggregation", "the mixture of gradients of least norm", _HGAN, _OWN, "full coverage"),
    "bandit": Method("aggregation", "discriminators count by their progress", _HGAN, _OWN),
    "dropout": Method("matching", "each discriminator is left out at random", "Mordido et al. 2018, 1807.11346", _OWN),
    "random": Method(
        "matching", "a new one-to-one matching every step", "Schmiedlechner et al. 2018, 1811.12843", "parts"
    ),
    "diagonal": Method("matching", "M independent pairs", "Wang et al. 2016, 1612.00991", "complete", "M = N"),
    "own_and_mean": Method(
        "matching", "the own opponent and, with the rest, all", "ensgan", "complete", "own > 0 and M ≤ N, else parts"
    ),
    "grid": Method(
        "matching", "neighbours on a torus", "Schmiedlechner et al. 2018, 1811.12843", _OWN, "M = N, in full rows"
    ),
    "ring": Method("matching", "neighbours in a ring", "Toutouh & O'Reilly 2021", _OWN, "M = N"),
    "microbatch": Method(
        "matching", "fakes of others are half real to a discriminator", "Mordido et al. 2020, 2001.03376", "parts"
    ),
    "mix": Method("games", "learned mixtures of both sides, with entropy", "Arora et al. 2017, 1703.00573", "parts"),
    "nash": Method(
        "games",
        "Nash mixtures of the held-out payoff",
        "Aung et al. 2022 (DO-GAN)",
        "complete",
        "own > 0 and M ≤ N, else parts",
    ),
    "double_oracle": Method(
        "games",
        "best responses join, members without mass leave",
        "Aung et al. 2022 (DO-GAN)",
        "parts",
        "the pairing nash; one network a side",
    ),
    "stackelberg": Method(
        "games", "many generators, one discriminator", "Zhang et al. 2018, 1811.08010", "parts", "N = 1"
    ),
    "mgan": Method(
        "roles",
        "a classifier tells generators apart",
        "Hoang et al. 2018, 1708.02556",
        "parts",
        "discriminators of 1 + M logits",
    ),
    "mad": Method(
        "roles",
        "classes for the data and each generator",
        "Ghosh et al. 2018, 1704.02906",
        "parts",
        "discriminators of M + 1 logits",
    ),
    "d2": Method("roles", "two discriminators of opposite taste", "Nguyen et al. 2017, 1709.03831", "parts", "N even"),
    "mixed": Method(
        "roles", "a loss of its own for every member", "ensgan", "as the pairing says", "one name a member"
    ),
    "shared": Method(
        "roles", "members with layers in common", "Ghosh et al. 2018; Hoang et al. 2018", "as the pairing says"
    ),
    "projected": Method("views", "fixed random projections", "Neyshabur et al. 2017, 1705.07831", "parts"),
    "shards": Method(
        "views",
        "parts of the data that never leave their place",
        "Hardy et al. 2019, 1811.03850",
        "parts",
        "data held in memory",
    ),
    "diet": Method(
        "views",
        "a random share of the data for each",
        "Toutouh et al. 2020",
        "as the pairing says",
        "data held in memory",
    ),
    "bags": Method(
        "views", "a bootstrap of the data for each", "Breiman 1996", "as the pairing says", "data held in memory"
    ),
    "adagan": Method(
        "views",
        "one pair after the other, on what is left out",
        "Tolstikhin et al. 2017, 1701.02386",
        "parts",
        "data held in memory; M = N; one network a side",
    ),
    "cascade": Method(
        "views",
        "what is modelled badly goes on to the next pair",
        "Wang et al. 2016, 1612.00991",
        "parts",
        "data held in memory; M = N; one network a side",
    ),
    "lipizzaner": Method(
        "evolution",
        "neighbours, tournaments, mutating rates",
        "Schmiedlechner et al. 2018, 1811.12843",
        _OWN,
        "M = N, in full rows",
    ),
    "mustangs": Method(
        "evolution",
        "the same with mutating losses",
        "Toutouh et al. 2019, 1905.12702",
        _OWN,
        "M = N; a loss per member",
    ),
    "egan": Method(
        "evolution",
        "the fittest child of three losses goes on",
        "Wang et al. 2019, 1803.00657",
        "parts",
        "a loss per member; families fill M",
    ),
    "population_based": Method(
        "evolution",
        "the weak copy the strong and explore",
        "Jaderberg et al. 2017, 1711.09846",
        "as the pairing says",
        "at least 4 members a side",
    ),
    "conditional": Method(
        "conditional",
        "generators by class, projection discriminators",
        "Miyato & Koyama 2018, 1802.05637",
        "as the pairing says",
        "labelled data",
    ),
    "snapshots": Method(
        "time",
        "the ensemble is what one generator was",
        "Wang et al. 2016, 1612.00991",
        "complete",
        "M ≥ 2; one network a side",
    ),
    "branch": Method(
        "time",
        "one pair learns alone and then becomes all members",
        "ensgan",
        "as the pairing says",
        "one network a side",
    ),
    "history": Method(
        "time",
        "past members stay as opponents",
        "ensgan",
        "complete",
        "one network a side; own > 0 and M ≤ N, else parts",
    ),
    "sgan": Method(
        "time",
        "independent pairs teach a global pair",
        "Chavdarova & Fleuret 2018, 1712.02330",
        "complete",
        "L + 1 generators, 2L + 1 discriminators",
    ),
}


KNOWN: dict[str, str] = {  # what the field calls them, where that is another word
    "mean": "GMAN with λ = 0 (GMAN-0)",
    "max": "GMAN-max",
    "softmax": "GMAN with fixed λ (GMAN-1)",
    "softmax_learned": "GMAN*",
    "hypervolume": "hGAN, hypervolume maximisation",
    "mgd": "MGD, multiple gradient descent (MGDA)",
    "dropout": "Dropout-GAN",
    "random": "Lipizzaner's random opponents",
    "diagonal": "deep ensemble, eGAN",
    "grid": "Lipizzaner without evolution",
    "ring": "Lipi-Ring",
    "microbatch": "microbatchGAN",
    "mix": "MIX+GAN",
    "nash": "DO-GAN's meta-game, Nash averaging",
    "double_oracle": "DO-GAN, double oracle (PSRO)",
    "stackelberg": "Stackelberg GAN, multi-generator GAN",
    "mgan": "MGAN",
    "mad": "MAD-GAN",
    "d2": "D2GAN",
    "shared": "MAD-GAN's and MGAN's shared layers",
    "projected": "multi-discriminator GAN with random projections (Projection GAN)",
    "shards": "MD-GAN, federated GAN",
    "diet": "data dieting (Lipizzaner)",
    "bags": "bagging",
    "adagan": "AdaGAN, boosting",
    "cascade": "cGAN, cascade of GANs",
    "lipizzaner": "Lipizzaner, coevolution",
    "mustangs": "Mustangs",
    "egan": "E-GAN, evolutionary GAN",
    "population_based": "PBT",
    "conditional": "cGAN with projection discriminator",
    "snapshots": "seGAN, self-ensemble, snapshot ensemble",
    "branch": "warm start from one pair",
    "history": "fictitious play, historical opponents",
    "sgan": "SGAN",
}


_SHORT = {_OWN: "parts*", "as the pairing says": "by pairing"}
LEGEND = """M generators, N discriminators. Members are
  parts       only the mixture of all generators is driven to the data
  parts*      the same, but complete with `--pairing.own` above 0 and M ≤ N
  complete    each generator is driven to all of the data
  by pairing  one or the other, as the pairing says
If discriminators have common layers, members are parts, unless each has an opponent that sees nobody else (own = 1)."""


def table() -> str:
    """The table as text: a line for each method, and others for its names in the field and its needs."""
    head = ("method", "what it does", "members", "after")
    rows = [head, *((name, m.does, _SHORT.get(m.members, m.members), m.source) for name, m in METHODS.items())]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    lines, family = [], ""
    for name, *rest in rows:
        if name in METHODS and METHODS[name].family != family:
            family = METHODS[name].family
            lines += ["", family]
        lines.append("  ".join(text.ljust(width) for text, width in zip((name, *rest), widths, strict=True)).rstrip())
        known, needs = KNOWN.get(name), METHODS[name].needs if name in METHODS else ""
        more = [f"known as {known}"] * bool(known) + [f"needs {needs}"] * bool(needs)
        lines += [f"{'':{widths[0]}}  {text}" for text in more]
    return "\n".join(lines)


def methods() -> None:
    """Print the table of ensemble methods. Each has a configuration: `ensgan train methods/NAME`."""
    print(f"{table()}\n\n{LEGEND}\n")
    print("Each has a configuration: `ensgan train methods/NAME`. Numbers are arXiv papers; docs/methods.md says more.")
