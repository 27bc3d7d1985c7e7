"""Data URIs hold the whole picture, the same text for the same picture."""

from __future__ import annotations

import base64
import io
from typing import Literal
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pgmgraph.plotting import curves_figure, data_uri, latent_figure


def figure() -> Figure:
    return curves_figure({"F": {"one": [1.0, 2.0], "two": [2.0, 1.0]}})


def content(uri: str, kind: str) -> bytes:
    head, _, body = uri.partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(body, validate=True)


def test_svg_is_whole_and_has_the_figures_size() -> None:
    drawn = figure()
    root = ElementTree.fromstring(content(data_uri(drawn), "image/svg+xml"))
    width, height = (float(root.attrib[name].removesuffix("pt")) / 72 for name in ("width", "height"))
    assert (width, height) == pytest.approx(tuple(drawn.get_size_inches()))


def test_png_is_whole_and_has_the_figures_size() -> None:
    drawn = figure()
    image = Image.open(io.BytesIO(content(data_uri(drawn, "png"), "image/png")))
    image.load()
    assert image.size == tuple(np.floor(drawn.get_size_inches() * drawn.dpi).astype(int))


@pytest.mark.parametrize("image_format", ["svg", "png"])
def test_the_same_picture_is_the_same_text(image_format: Literal["svg", "png"]) -> None:
    before = dict(mpl.rcParams)
    assert data_uri(figure(), image_format) == data_uri(figure(), image_format)
    assert dict(mpl.rcParams) == before


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    """matplotlib reads what stands between two of them as a formula, and stumbles where it is none."""
    names = ["$\\frac$", "costs $5 or $6"]
    data_uri(curves_figure({"$F_$": {name: [1.0] for name in names}}))
    drawn = latent_figure({"$_$": (np.eye(2), [0, 1])}, names=names)
    data_uri(drawn)
    assert drawn.axes[0].get_title(loc="left") == r"\$_\$"
