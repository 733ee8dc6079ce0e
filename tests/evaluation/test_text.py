"""Tables and text, to the character."""

from toys import points

from ensgan.evaluation.comparison import compare
from ensgan.evaluation.tables import DistanceTable
from ensgan.evaluation.text import describe_distances, format_matrix, format_ranking


def test_text_tables_are_aligned():
    assert format_matrix([[0.5, None], [1.0, -0.25]], ["G 0", "G 10"], ["D 0", "D 1"]).split("\n") == [
        "        D 0     D 1",
        "G 0   0.500       -",
        "G 10  1.000  -0.250",
    ]
    assert format_ranking([1, 0], [0.4, 0.5], [0.01, None], "discriminator").split("\n") == [
        "1. discriminator 1  0.500 ± -",
        "2. discriminator 0  0.400 ± 0.010",
    ]


def test_a_run_with_few_samples_says_what_is_not_measured():
    few = compare(points(5, 0), points(5, 1), names=["Fréchet distance", "recall"], repeats=2, strict=False)
    none = few._replace(rows={}, refused={**few.refused, "Fréchet distance": "it is broken"}, notes=("fakes: copies",))
    table, each = DistanceTable({1: few}, few), DistanceTable({0: none, 1: few}, few)
    lines = describe_distances(table, each).splitlines()
    assert lines[0].startswith("distances to 5 held-out reals (report split)")
    assert lines[1].split() == ["generator", "1,", "the", "best", "mixture", "floor", "n"]
    assert lines[2].startswith("Fréchet distance")
    assert lines[3].startswith("recall            not defined, because there are 5 reals; at least 6 are needed")
    assert lines[4] == "there is no floor: it needs other reals"
    assert lines[5] == f"Fréchet distance of each generator: -, {few.rows['Fréchet distance'].value:.4g}"
    assert lines[6] == "Fréchet distance of generator 0: not defined, because it is broken"
    assert lines[7] == "generator 0: fakes: copies"
    assert len(lines) == 8
