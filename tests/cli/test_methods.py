"""Every method of the table has a configuration that can be played, and a row in the documents."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from ensgan import losses, schedules
from ensgan.cli import main as cli
from ensgan.cli.configurations import shipped
from ensgan.cli.methods import KNOWN, METHODS, table
from ensgan.game.program import Program
from ensgan.pairing import PAIRINGS
from ensgan.runs import config
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse
from ensgan.training import train

ROOT = Path(__file__).parents[2]
FILES = shipped("methods")


def settings(name, *flags):
    return parse(config.read(FILES[f"methods/{name}"]), TABLES, flags)[0]


def test_the_table_the_configurations_and_the_document_agree():
    assert {name.removeprefix("methods/") for name in FILES} == set(METHODS)
    text = (ROOT / "docs" / "methods.md").read_text()
    rows = "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`([a-z0-9_]+)`", rows)) == set(METHODS)


def test_every_plug_is_part_of_a_method():
    all_of_them = [settings(name) for name in METHODS]
    assert {each.pairing.name for each in all_of_them} == set(PAIRINGS) - {"max", "min"} | {"max", "min"}
    assert {each.schedule.name for each in all_of_them} == set(schedules.SCHEDULES)
    assert {each.loss.name for each in all_of_them} >= set(losses.NAMED) - set(losses.LOSSES)
    assert {each.view.name for each in all_of_them} == set(TABLES["view"])


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_methods_configuration_can_be_played(name):
    game, source = build(settings(name))
    says = METHODS[name].members.split(";")[0]
    if says in ("complete", "parts") and game.M > 1:
        assert game.members == says
    Program(game, source)
    head = FILES[f"methods/{name}"].read_text().split("seed")[0]
    assert f"ensgan train methods/{name}\n" in head


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_trains(name):
    given = settings(name)
    flags = [] if given.schedule.name == "none" else ["--schedule.every", "10"]
    flags += ["--pairing.every", "10"] if given.pairing.name == "nash" else []  # newcomers need new mixtures
    game, source = build(settings(name, *flags))
    state, info = train(game, game.init(jax.random.key(0)), source, steps=25)
    assert int(state.step) == 25
    weight = np.asarray(info.weight_g)
    assert np.isfinite(weight).all()
    mixture = game.mixture(state)
    assert mixture.sum() == pytest.approx(1.0)


def test_the_table_as_text(capsys):
    assert cli.main(["methods"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(table())
    assert max(map(len, out.splitlines())) <= 120
    for name, method in METHODS.items():
        known = rf"\n +known as {re.escape(KNOWN[name])}" if name in KNOWN else ""
        needs = rf"\n +needs {re.escape(method.needs)}$" if method.needs else ""
        assert re.search(rf"^{name} .*{known}{needs}", out, re.M)
    for field in [
        "GMAN",
        "hGAN",
        "Dropout-GAN",
        "MAD-GAN",
        "MGAN",
        "D2GAN",
        "E-GAN",
        "MD-GAN",
        "MIX+GAN",
        "DO-GAN",
        "SGAN",
        "AdaGAN",
        "Lipizzaner",
    ]:
        assert field in out
    assert set(KNOWN) <= set(METHODS)
    assert cli.main(["methods", "mean"]) == 2
    assert "unknown argument mean" in capsys.readouterr().err


COUNT_G, COUNT_D = "--generators.0.count", "--discriminators.0.count"
ONE_LOSS = ["--loss.generators", '["hinge"]', "--loss.discriminators", '["hinge"]']


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["mad", "--discriminators.0.network.heads", "1"], r"discriminators of 5 logits, .* give its network heads=5"),
        (["grid", COUNT_G, "10", COUNT_D, "10", "--pairing.rows", "3"], "give 9 or 12 members"),
        (["hypervolume", "--pairing.slack", "1.0"], "the nadir point must lie above every loss"),
        (["geometric", "--loss", "hinge"], "never negative"),
        (["shards", "--data", "grid"], "is unlimited"),
        (["adagan", "--data", "grid"], "say how many"),
        (["d2", COUNT_D, "3"], "2 losses in turn for 3 discriminators"),
        (["egan", *ONE_LOSS], "1 losses for 3 generators"),
        (["double_oracle", "--pairing", "mean"], "use nash"),
        (["sgan", COUNT_D, "5"], "for 3 local pairs give 4 generators and 7 discriminators"),
        (["magic"], "unknown configuration 'methods/magic'; known: methods/adagan"),
        (["shared", "--generators.0.shared", '["hidden.9"]'], r"unknown shared part 'hidden\.9'; known: hidden"),
    ],
)
def test_what_a_method_cannot_do_is_said_in_one_line(flags, message, capsys):
    assert cli.main(["train", f"methods/{flags[0]}", *flags[1:], "--steps", "1"]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert len(out.err.strip().splitlines()) == 1
    assert re.search(message, out.err), out.err
