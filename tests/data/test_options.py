"""Options that sources have in common: those of samples are told from those of pictures."""

from ensgan.data.options import Options, Pictures, Rows, parted


def test_every_option_goes_to_its_kind():
    given = {"flip": True, "fractions": (0.7, 0.1, 0.1, 0.1), "size": 32, "background": "black"}
    options, pictures = parted(Rows(**given))
    assert options == {"flip": True, "fractions": (0.7, 0.1, 0.1, 0.1)}
    assert pictures == {"size": 32, "background": "black"}
    assert parted({}) == ({}, {})


def test_no_option_is_lost_or_of_both_kinds():
    assert not Options.__annotations__.keys() & Pictures.__annotations__.keys()
    every = dict.fromkeys(Rows.__annotations__, 1)
    options, pictures = parted(every)
    assert options | pictures == every


def test_the_help_of_a_table_tells_all_of_them():
    for name in (*Options.__annotations__, *Pictures.__annotations__):
        assert f"    {name}: " in Rows.__doc__
