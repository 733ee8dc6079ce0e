"""The values of `--from`, `--label` and `--sample-shape`, for a run of which only the numbers are needed."""

from types import SimpleNamespace

import numpy as np
import pytest

from ensgan.cli import choices
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs.identity import checksum
from ensgan.runs.origin import Elsewhere
from ensgan.types import InputError


def run(folder, mixture=(0.5, 0.5, 0.0), members="parts", step=4, classes=None, names=None):
    game = SimpleNamespace(M=3, members=members, classes=classes, mixture=lambda state: np.array(mixture))
    source = SimpleNamespace(class_names=names)
    return SimpleNamespace(directory=folder, game=game, state=SimpleNamespace(step=step), source=source)


def chosen(folder, step, **more):
    weights = {"single": [0.0, 0.0, 1.0]}
    write_json(RunFiles(folder).selection, {"step": step, "method": "single", "weights": weights, **more})


@pytest.mark.parametrize(
    ("mixture", "text"),
    [
        ((1 / 3, 1 / 3, 1 / 3), "the uniform mixture of 3 generators"),
        ((0.5, 0.0, 0.5), "the uniform mixture of 2 of 3 generators"),
        ((0.2, 0.3, 0.5), "the learned mixture of 3 generators"),
        ((0.2, 0.8, 0.0), "the learned mixture of 2 of 3 generators"),
    ],
)
def test_a_mixture_says_what_it_is(tmp_path, mixture, text):
    found, what = choices.weights("mixture", run(tmp_path, mixture))
    np.testing.assert_array_equal(found, mixture)
    assert what == text
    assert choices.weights(None, run(tmp_path, mixture))[1] == text  # of members that are parts, the default


def test_a_choice_of_this_step_is_taken_and_another_is_named(tmp_path, capsys):
    chosen(tmp_path, 4)
    found, text = choices.weights("mixture", run(tmp_path))
    assert (found.tolist(), text) == ([0, 0, 1], "the mixture single of 3 generators (selection.json)")
    assert choices.weights("mixture", run(tmp_path, step=5))[1] == "the uniform mixture of 2 of 3 generators"
    assert "selection.json is of step 4 and the run at step 5, so that mixture is not used" in capsys.readouterr().err


def test_a_choice_for_another_law_of_labels_is_noted(tmp_path, capsys):
    chosen(tmp_path, 4, class_law=[0.2, 0.8])
    for law in ([0.2, 0.8], [0.5, 0.5]):
        found, text = choices.weights("mixture", run(tmp_path), classes=np.array(law))
        assert (found.tolist(), text) == ([0, 0, 1], "the mixture single of 3 generators (selection.json)")
        assert ("was fitted with another law of labels" in capsys.readouterr().err) == (law[0] == 0.5)


def test_a_choice_for_other_members_is_named(tmp_path, capsys):
    here = run(tmp_path)
    here.state.generators, here.state.discriminators = np.ones(3), np.ones(2)
    chosen(tmp_path, 4, members_crc32=checksum(here.state))
    assert choices.weights("mixture", here)[1] == "the mixture single of 3 generators (selection.json)"
    here.state.generators = np.array([1.0, 1.0, 2.0])
    assert choices.weights("mixture", here)[1] == "the uniform mixture of 2 of 3 generators"
    assert "selection.json is of other members than those of" in capsys.readouterr().err


def test_one_member_has_all_the_weight(tmp_path):
    found, text = choices.weights("member:2", run(tmp_path))
    assert (found.tolist(), text) == ([0, 0, 1], "generator 2")


def test_the_best_is_that_of_the_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(choices, "law_of", lambda *given: None)
    logged = {"rank_g": [1, 0, 2], "coverage": [0.1, 0.25, 0.2, 0.5]}
    monkeypatch.setattr(choices.rundir, "scores_at", lambda folder, step: logged)
    here = run(tmp_path, members="complete")
    here.config = None
    found, text = choices.weights(None, here)
    assert (found.tolist(), text) == ([0, 1, 0], "generator 1 (the best)")
    assert capsys.readouterr().err == ""
    here.game.members = "parts"
    choices.weights("best", here)
    assert capsys.readouterr().err == "generator 1 covers 25% of held-out reals, the mixture 50%\n"


def test_without_data_the_best_is_that_of_the_log_and_this_is_said(tmp_path, monkeypatch, capsys):
    def elsewhere(*given, **more):
        raise Elsewhere("the data are not there")

    here = run(tmp_path, members="complete")
    here.config = SimpleNamespace(held_out=8)
    monkeypatch.setattr(choices, "law_of", lambda *given: np.array([0.9, 0.1]))
    monkeypatch.setattr(choices.selection, "select", elsewhere)
    uniform = np.array([0.5, 0.5])
    monkeypatch.setattr(choices.rundir, "scores_at", lambda folder, step: None)
    with pytest.raises(Elsewhere):
        choices.weights("best", here, classes=uniform)
    logged = {"rank_g": [1, 0, 2], "coverage": [0.1, 0.25, 0.2, 0.5]}
    monkeypatch.setattr(choices.rundir, "scores_at", lambda folder, step: logged)
    assert choices.weights("best", here, classes=uniform)[1] == "generator 1 (the best)"
    assert "for the run's own law of labels, since its data are elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ("luck", "--from is 'luck'; give best, mixture, or member:I with I from 0 to 2, or more$"),
        ("member:3", "--from asks for member 3; the run has generators 0 to 2"),
        ("member:-1", "--from is 'member:-1'; give member:I with I from 0 to 2"),
        ("member:", "--from is 'member:'"),
        ("member:1234567890", "give member:I"),
        ("member:²", "give member:I"),
    ],
)
def test_other_choices_name_what_there_is(tmp_path, choice, text):
    with pytest.raises(InputError, match=text):
        choices.weights(choice, run(tmp_path), ", or more")


def test_discriminators_are_called_so():
    assert choices.member("discriminator", "1", 2) == 1
    with pytest.raises(InputError, match="asks for discriminator 2; the run has discriminators 0 to 1"):
        choices.member("discriminator", "2", 2)


def test_classes_are_names_before_they_are_numbers(tmp_path):
    names = ["cat", "a, b", "0", "dog"]
    assert choices.classes(None, names) is None
    assert choices.classes("dog, cat", names) == [3, 0]
    assert choices.classes("a, b", names) == [1]  # a name with a comma in it
    assert choices.classes("0", names) == [2]
    assert choices.classes("1,0", ["cat", "dog"]) == [1, 0]
    with pytest.raises(InputError, match="'3' is no class"):
        choices.classes("3", names)  # where a name is a number, numbers are names
    with pytest.raises(
        InputError, match=r"--label is 'cat,bird', and 'bird' is no class; .* such as cat,a, b; the cla"
    ):
        choices.classes("cat,bird", names)
    with pytest.raises(InputError, match="not conditional; leave it out"):
        choices.classes("cat", None)


def test_a_class_without_training_samples_is_not_drawn():
    assert choices.classes("dog", ["cat", "dog"], np.array([0.0, 1.0])) == [1]
    with pytest.raises(InputError, match="--label asks for class cat, which has no training samples"):
        choices.classes("dog,cat", ["cat", "dog"], np.array([0.0, 1.0]))


def test_classes_without_names_are_numbers(tmp_path):
    assert choices.class_names(run(tmp_path)) is None
    assert choices.class_names(run(tmp_path, classes=3)) == ("0", "1", "2")
    assert choices.class_names(run(tmp_path, classes=2, names=("cat", "dog"))) == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [(None, None), ("64,64,3", (64, 64, 3)), ("64x32x1", (64, 32, 1)), ("8×8", (8, 8)), (" 2 ", (2,))],
)
def test_shapes_have_commas_or_crosses(text, sizes):
    assert choices.shape(text) == sizes


@pytest.mark.parametrize("text", ["", "8,x", "8,,3", "-8", "²"])
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(InputError, match="give H,W,C of images, such as 64,64,3, or D of points"):
        choices.shape(text)
