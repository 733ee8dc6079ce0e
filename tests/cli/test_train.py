"""`ensgan train`: what it prints, and how it ends."""


def test_train_prints_the_matrix_the_rankings_and_where_the_pictures_are(ring):
    folder, done = ring
    run = folder / "runs" / "small-3-1"
    assert (run / "report.html").is_file()
    for text in ("score matrix", "generator 0", "D1", "1. generator", "1. discriminator", "runs/small-3-1/samples.png"):
        assert text in done.stdout, text
    assert "\r" not in done.stderr  # no bar where there is no terminal
    assert "step 6/6" in done.stderr
