"""Members that are finite and dead: what shows it, who is healed, and that a resumed run decides the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import Notes, events, final

from ensgan.evaluation import selection
from ensgan.pace import pace_of
from ensgan.reporting import read_metrics
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES, build
from ensgan.runs.collapse import ALIKE, BLIND, SHARP, STILL, Dead, dead, observed, remembered
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run
from ensgan.types import InputError

MLP = {"name": "mlp", "widths": [8]}
FROZEN = {"name": "sgd", "learning_rate": [1e-2, 1e-2, 0.0, 1e-2]}
TREE = {
    "steps": 20,
    "reals": 8,
    "log_every": 2,
    "eval_every": 2,
    "checkpoint_every": 4,
    "held_out": 32,
    "distances": [],
    "data": "ring",
    "heal_collapsed": 3,
    "max_healings": 1,
    "generators": {"count": 4, "network": {**MLP, "latent": 2}, "optimizer": FROZEN},
    "discriminators": {"count": 4, "network": MLP},
}


def settings(**changes):
    return parse({**TREE, **changes}, TABLES)[0]


@pytest.fixture(scope="module")
def healed(tmp_path_factory):
    directory, notes = tmp_path_factory.mktemp("runs") / "healed", Notes()
    run_module.run(settings(), directory, watcher=notes)
    return directory, notes.notes


def test_a_member_whose_weights_do_not_change_is_healed_and_rests_at_last(healed):
    directory, lines = healed
    found = events(directory)
    # Scores at 2, 4, 6, 8 show three times that nothing changed. As a copy it differs at 10, and is dead at 12, 14, 16.
    facts = [(each["step"], each["side"], each["member"], each["times"], each["rests"]) for each in found]
    assert facts == [(8, "generator", 2, 1, False), (16, "generator", 2, 2, True)]
    assert all(each["cause"] == "its weights do not change, at 3 scores in a row" for each in found)
    assert all(each["remedy"].startswith("a copy of generator ") for each in found)
    told = [line for line in lines if "it starts again as" in line]
    assert told[0].startswith("generator 2 failed in step 8 (its weights do not change, at 3 scores in a row)")
    state = final(directory)
    np.testing.assert_array_equal(pace_of(state.generators[0].optimizer).factor, [1, 1, 0, 1])
    w = jax.tree.leaves(state.generators[0].params)[0]
    assert any(np.array_equal(w[2], w[k]) for k in (0, 1, 3))
    report = (directory / "report.html").read_text()
    assert "Healed members" in report
    assert "its weights do not change, at 3 scores in a row" in report


@pytest.mark.parametrize("steps", [8, 10])
def test_a_run_that_goes_on_decides_as_one_that_was_not_stopped(healed, tmp_path, steps):
    """After the step of a healing, and in the middle of a window that only the log knows."""
    directory, _ = healed
    run_module.run(settings(steps=steps), tmp_path / "run")
    run_module.run(load_run(tmp_path / "run", {"steps": 20}), tmp_path / "run", resume=True)
    jax.tree.map(np.testing.assert_array_equal, final(directory), final(tmp_path / "run"))
    assert events(directory) == events(tmp_path / "run")


def test_nobody_is_healed_who_is_not_asked_for(tmp_path):
    run_module.run(settings(heal_collapsed=0, steps=10), tmp_path / "run")
    assert events(tmp_path / "run") == []
    scores = [each for each in read_metrics(tmp_path / "run" / "metrics.jsonl") if each["kind"] == "score"]
    assert not any("signs" in each for each in scores)


@pytest.fixture(scope="module")
def game():
    tame = {**TREE["generators"], "optimizer": "shared"}
    built, source = build(settings(generators=tame))
    return built, source, built.init(jax.random.key(3))


def signs(game, source, state, history=()):
    scores = selection.select(game, state, source, num=32)
    return observed(game, state, scores, source, None, history)


def changed(state, side, member, change):
    """The state with other weights of one member, averages included."""
    group = getattr(state, side)[0]
    turn = lambda tree: jax.tree.map(lambda leaf: leaf.at[member].set(change(leaf[member])), tree)
    average = () if group.average == () else turn(group.average)
    return state._replace(**{side: (group._replace(params=turn(group.params), average=average),)})


def test_healthy_members_show_nothing(game):
    built, source, state = game
    assert signs(built, source, state)["signs"] == {"generators": [""] * 4, "discriminators": [""] * 4}


def test_what_shows_that_a_member_is_dead(game):
    built, source, state = game
    silent = changed(changed(state, "generators", 1, jnp.zeros_like), "discriminators", 3, jnp.zeros_like)
    found = signs(built, source, silent)["signs"]
    assert found == {"generators": ["", ALIKE, "", ""], "discriminators": ["", "", "", BLIND]}


def test_a_perfect_discriminator_is_dead_only_beside_others_that_are_not(game):
    built, source, state = game
    scores = selection.select(built, state, source, num=32)
    fool = np.full((4, 4), 0.3)
    fool[:, 2] = 0.0
    of = lambda fool: observed(built, state, scores._replace(fool=fool), source, None, ())["signs"]["discriminators"]
    assert of(fool) == ["", "", SHARP, ""]
    assert of(np.zeros((4, 4))) == [""] * 4  # the generators are bad
    fool[1, 2] = 1e-3
    assert of(fool) == [""] * 4


def test_weights_are_compared_with_the_last_score_of_another_step(game):
    built, source, state = game
    first = {"kind": "score", "step": 0, **signs(built, source, state)}
    later = state._replace(step=jnp.int32(5))
    moved = later
    for side, k in (("generators", 0), ("discriminators", 1)):
        moved = changed(moved, side, k, lambda leaf: leaf + 1e-6)
    found = signs(built, source, moved, [first])
    assert found["signs"] == {"generators": ["", STILL, STILL, STILL], "discriminators": [STILL, "", STILL, STILL]}
    assert signs(built, source, later, [first])["signs"]["generators"] == [""] * 4  # nobody learns: the rates are 0
    again = {"kind": "score", "step": 5, **found}
    assert signs(built, source, moved, [first, again]) == found


def score(step, g=("", ""), d=("",)):
    return {"kind": "score", "step": step, "signs": {"generators": [*g], "discriminators": [*d]}}


def healing(step, side, member):
    return {"kind": "healing", "step": step, "side": side, "member": member}


def test_one_sign_at_every_score_of_the_window():
    calm, bad, other = score(1), score(2, ("", ALIKE)), score(3, ("", STILL), (BLIND,))
    assert dead([], 1) == []
    assert dead([bad], 2) == []
    assert dead([calm, bad], 1) == [Dead(0, 1, ALIKE)]
    assert dead([bad, other], 2) == []
    assert dead([bad, other], 1) == [Dead(0, 1, STILL), Dead(1, 0, BLIND)]
    assert dead([bad, {**bad, "step": 3}, calm], 2) == []
    assert dead([bad, bad], 2) == []  # one score, made twice


def test_a_member_that_was_healed_begins_anew():
    steps = [score(step, ("", ALIKE)) for step in (10, 20, 30)]
    assert dead(steps, 3) == [Dead(0, 1, ALIKE)]
    for step in (10, 15, 30):
        assert dead([*steps, healing(step, "generator", 1)], 3) == []
    for other in (healing(9, "generator", 1), healing(20, "generator", 0), healing(20, "discriminator", 1)):
        assert dead([*steps, other], 3) == [Dead(0, 1, ALIKE)]


def test_the_log_gives_the_same_history():
    records = [
        {"kind": "train", "step": 1},
        {**score(10), "weights": {"generators": ["a"]}, "fool": [[0.5]]},
        {**score(15)},
        {"kind": "score", "step": 20},
        {**healing(20, "generator", 1), "cause": "x"},
        {**score(30)},
    ]
    found = remembered(records, 10, 20)
    assert [(each["kind"], each["step"]) for each in found] == [("score", 10), ("healing", 20)]
    assert "fool" not in found[0]


def test_a_game_that_does_not_heal_is_refused():
    with pytest.raises(InputError, match=r"heal_collapsed is 3, but members .*--on-failure heal"):
        build(settings(on_failure="stop"))
    small = {"count": 2, "network": MLP}
    with pytest.raises(InputError, match="with 2 generators, 2 discriminators"):
        build(settings(generators={**small, "network": {**MLP, "latent": 2}}, discriminators=small))
    with pytest.raises(InputError, match="heal_collapsed is -1; it must be at least 0"):
        settings(heal_collapsed=-1)
