"""Folders for runs that begin at the same time."""

from ensgan.cli.progress import claimed


def test_two_starts_at_once_get_two_folders_and_one_that_fails_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with claimed("a-0") as first, claimed("a-0") as second:
        assert [str(first), str(second)] == ["runs/a-0-1", "runs/a-0-2"]
        (second / "config.json").write_text("{}")
    assert [str(path) for path in sorted((tmp_path / "runs").rglob("*"))] == [
        str(tmp_path / "runs" / "a-0-2"),
        str(tmp_path / "runs" / "a-0-2" / "config.json"),
    ]
    with claimed("a-0") as again:
        assert str(again) == "runs/a-0-1"
