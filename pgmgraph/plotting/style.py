"""The look that all pictures share: colours, sizes, and a figure that no global state touches."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 150

# Searched for: the least CIELAB distance between two of them, taken over normal vision and the Machado (2009)
# simulations of full protanopia, deuteranopia and tritanopia, is 26; that of matplotlib's tab10 is 5.
PALETTE: tuple[str, ...] = (
    "#3f4dd4",
    "#d1455f",
    "#a97010",
    "#10e4b0",
    "#6a1283",
    "#6c9cfa",
    "#7e0b4b",
    "#a2d672",
    "#9675a8",
    "#eabe29",
    "#404303",
    "#dfc0f7",
)

# Groups past the palette repeat its colours under another marker.
MARKERS: tuple[str, ...] = ("o", "^", "s", "D", "v", "P")

INK = "#222222"
FAINT_INK = "#6b6b6b"
RULE = "#d5d5d5"
UNLABELLED = "#c4c4c4"

TITLE_SIZE = 12.0
TEXT_SIZE = 9.5
SMALL_SIZE = 8.0


def new_figure(width: float, height: float, title: str | None = None) -> Figure:
    """A white figure of `width` x `height` inches; its title, where there is one, stands at the upper left."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    if title:
        figure.text(
            0.12 / width, 1 - 0.12 / height, title, size=TITLE_SIZE, weight="bold", color=INK, ha="left", va="top"
        )
    return figure


def place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place that is given in inches from the figure's lower left corner."""
    total_width, total_height = figure.get_size_inches()
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def group_style(index: int) -> tuple[str, str]:
    """Colour and marker of the group or line that comes `index`-th."""
    return PALETTE[index % len(PALETTE)], MARKERS[index // len(PALETTE) % len(MARKERS)]


def plain(text: str) -> str:
    """Text of the user's that is drawn sign by sign: a dollar would begin a formula."""
    return text.replace("$", r"\$")
