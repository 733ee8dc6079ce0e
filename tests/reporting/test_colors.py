"""The colours of members."""

from ensgan.reporting.colors import member_color


def test_colours_of_members_differ():
    colors = [member_color(index) for index in range(40)]
    assert len(set(colors)) == 40
    assert all(len(color) == 7 for color in colors)
