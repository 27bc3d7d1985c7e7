"""Boxes and arrows: parents above, every text there, nothing on top of anything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.transforms import Bbox

from pgmgraph.errors import DataError
from pgmgraph.plotting import graph_figure
from pgmgraph.plotting.graph import OBSERVED_FILL

NODES = {"pixels": "Observation", "sound": "Observation", "vae": "VAE", "hmm": "HMM", "gmm": "GMM", "lda": ""}
WIRES = [
    ("pixels", "vae", "value: Point"),
    ("vae", "gmm", "z: Gaussian"),
    ("sound", "hmm", "value: Point"),
    ("gmm", "lda", "c: Categorical"),
    ("hmm", "lda", "c: Categorical"),
    ("pixels", "lda", "raw: Point"),
]


def boxes(figure: Figure) -> dict[str, FancyBboxPatch]:
    """By name; they are drawn in the order of the nodes."""
    drawn = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    return dict(zip(NODES, drawn, strict=True))


def extents(figure: Figure) -> dict[str, Bbox]:
    return {name: box.get_path().get_extents(box.get_patch_transform()) for name, box in boxes(figure).items()}


def arrows(figure: Figure) -> list[FancyArrowPatch]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]


def ends(arrow: FancyArrowPatch) -> npt.NDArray[np.float64]:
    """(2, 2): where an arrow starts, and the highest point of it, in inches."""
    vertices = np.asarray(arrow.get_path().vertices, dtype=np.float64)
    return np.stack([vertices[0], vertices[vertices[:, 1].argmax()]])


def test_parents_stand_above_their_children() -> None:
    drawn = extents(graph_figure(NODES, WIRES))
    for child, parent, _ in WIRES:
        assert drawn[parent].y0 > drawn[child].y1
    assert drawn["pixels"].y0 == pytest.approx(drawn["sound"].y0)


def test_boxes_and_labels_lie_apart_and_inside_the_picture() -> None:
    figure = graph_figure(NODES, WIRES, "Wiring")
    figure.canvas.draw()
    axes = figure.axes[0]
    drawn = [box.get_window_extent() for box in boxes(figure).values()]
    labels = [text.get_window_extent() for text in axes.texts if text.get_text() in {label for _, _, label in WIRES}]
    assert len(labels) == len(WIRES)
    for a, b in combinations([*drawn, *labels], 2):
        assert Bbox.intersection(a, b) is None
    for extent in [*drawn, *labels]:
        assert figure.bbox.x0 <= extent.x0 < extent.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= extent.y0 < extent.y1 <= figure.bbox.y1


def test_texts_fit_into_their_boxes() -> None:
    nodes = {"a": "Observation (60,000 x 784)\nof two lines", "a_very_long_name_indeed": ""}
    figure = graph_figure(nodes, [])
    figure.canvas.draw()
    drawn = [patch.get_window_extent() for patch in figure.axes[0].patches]
    texts = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(texts) == 3
    for text in texts:
        assert any(box.x0 < text.x0 and text.x1 < box.x1 and box.y0 < text.y0 and text.y1 < box.y1 for box in drawn)


def test_arrows_run_from_child_to_parent() -> None:
    figure = graph_figure(NODES, WIRES)
    drawn = extents(figure)
    for arrow, (child, parent, _) in zip(arrows(figure), WIRES, strict=True):
        vertices = ends(arrow)
        assert vertices[0][1] == pytest.approx(drawn[child].y1)
        assert vertices[-1][1] == pytest.approx(drawn[parent].y0, abs=0.05)
        assert drawn[child].x0 < vertices[0][0] < drawn[child].x1
        assert drawn[parent].x0 < vertices[-1][0] < drawn[parent].x1


def test_observations_are_shaded() -> None:
    shaded = {
        name for name, box in boxes(graph_figure(NODES, WIRES)).items() if box.get_facecolor() == to_rgba(OBSERVED_FILL)
    }
    assert shaded == {"pixels", "sound"}


def test_parallel_wires_and_cycles_are_drawn_apart() -> None:
    figure = graph_figure({"a": "", "b": ""}, [("a", "b", "x"), ("a", "b", "y"), ("b", "a", "back")])
    starts = {tuple(ends(patch)[0].round(6).tolist()) for patch in arrows(figure)}
    assert len(starts) == 3
    assert [text.get_text() for text in figure.axes[0].texts][:3] == ["x", "y", "back"]


def test_impossible_wirings_are_refused() -> None:
    with pytest.raises(DataError, match="at least one node"):
        graph_figure({}, [])
    with pytest.raises(DataError, match="Give 'c' a caption"):
        graph_figure({"a": "", "b": ""}, [("a", "c", "")])
    with pytest.raises(DataError, match="to itself"):
        graph_figure({"a": ""}, [("a", "a", "")])
