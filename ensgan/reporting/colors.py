"""The colours of members, the same in every picture."""

from __future__ import annotations

import colorsys

PALETTE = (
    *("#3b6fb6", "#e07b39", "#2f9967", "#c44e8a", "#7a5cc2"),
    *("#c9a227", "#25a5b8", "#d14a45", "#7d8794", "#8b5e3c"),
)


def member_color(index: int) -> str:
    """The colour of generator `index`, or of discriminator `index`, in every picture: `#rrggbb`."""
    if index < len(PALETTE):
        return PALETTE[index]
    # Golden-ratio steps keep neighbours apart in hue for any number of members.
    rgb = colorsys.hls_to_rgb(index * 0.618034 % 1.0, (0.34, 0.46, 0.58)[index % 3], 0.6)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
