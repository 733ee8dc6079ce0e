"""`ensgan evaluate --real A --fake B`: flags that do not go together, and folders that cannot be compared."""

import re

from image_files import pictures, save

from ensgan.cli import main as cli


def test_wrong_folders_are_one_line_and_code_2(tmp_path, capsys):
    real = str(save(tmp_path / "real", pictures(60, 0)))
    wide, colour = (
        save(tmp_path / "wide", pictures(60, 1, (4, 6))),
        save(tmp_path / "colour", pictures(60, 1, (4, 4, 3))),
    )
    (tmp_path / "empty").mkdir()
    for argv, message in (
        (["--real", real], "--fake is missing"),
        (["--real", real, "--fake", str(tmp_path / "empty")], "has no images"),
        (["--real", str(tmp_path / "none"), "--fake", real], "is missing; expected a directory"),
        (["--real", real, "--fake", str(wide)], r"real images are 4×4×1, fake ones 4×6×1 .*: give a size"),
        (["--real", real, "--fake", str(colour)], "save both as grey or both as RGB"),
        (
            ["--real", real, "--fake", real, "--features", "inception"],
            "unknown features 'inception'; known: classifier",
        ),
        (["--real", real, "--fake", real, "--features", "classifier"], "has no classes"),
        (["--real", real, "--fake", real, "--num", "3"], "--num is 3; give at least 4"),
        (["--real", real, "--fake", real, "--pixels", "0"], "size is 0"),
        (["--real", real, "--fake", real, "--repeats", "1"], "--repeats is 1; give 2 or more, or 0"),
        (["--real", real, "--fake", real, "--classifier-steps", "9"], "no classifier is trained without --fea"),
        (["--real", real, "--fake", real, "--moments", "--repeats", "9"], "--repeats is given, but --moments takes no"),
        (
            ["--real", real, "--fake", real, "--features", "classifier", "--pixels", "4"],
            "--pixels is given, but the features are no pixels; leave it out",
        ),
        (["--real", real, "--fake", real, "--steps", "3"], "unknown argument --steps"),
    ):
        assert cli.main(["evaluate", *argv]) == 2, argv
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("ensgan: ")
        assert err.count("\n") == 1
        assert re.search(message, err), err
