"""Projections keep what they promise, and the picture shows each group once in one colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Ellipse as EllipsePatch

from pgmgraph.errors import DataError
from pgmgraph.plotting import Ellipse, latent_figure, principal_plane, project
from pgmgraph.plotting.latent import LEGEND_COLUMNS, LEGEND_ROWS
from pgmgraph.plotting.style import PALETTE, UNLABELLED

RANDOM = np.random.default_rng(0)


def colour(axes: Axes, group: int) -> tuple[float, ...]:
    """Red, green, blue and opacity of the points that were drawn `group`-th."""
    return tuple(np.asarray(axes.collections[group].get_facecolor())[0].tolist())


def test_pca_finds_the_plane_and_keeps_its_distances() -> None:
    plane = RANDOM.normal(size=(200, 2)) * [3.0, 1.0]
    rotation, _ = np.linalg.qr(RANDOM.normal(size=(6, 6)))
    points, rows = project(torch.tensor(plane @ rotation[:2] + 5))
    np.testing.assert_array_equal(rows, np.arange(200))
    np.testing.assert_allclose(
        np.linalg.norm(points[:, None] - points[None], axis=2), np.linalg.norm(plane[:, None] - plane[None], axis=2)
    )
    assert points[:, 0].var() > points[:, 1].var()


def test_a_choice_of_rows_is_repeatable_and_takes_their_points() -> None:
    latents = RANDOM.normal(size=(50, 3))
    everything, _ = project(latents)
    points, rows = project(latents, items=20, seed=3)
    again, rows_again = project(latents, items=20, seed=3)
    assert len(set(rows.tolist())) == 20
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(points, everything[rows])
    np.testing.assert_array_equal((points, rows[:, None] + points), (again, rows_again[:, None] + again))


def test_one_dimension_lies_on_a_line() -> None:
    points, _ = project(np.arange(5.0)[:, None])
    np.testing.assert_allclose(points, np.stack([np.arange(5) - 2, np.zeros(5)], axis=1))


def test_tsne_keeps_clusters_apart() -> None:
    groups = np.repeat([0, 1, 2], 20)
    latents = RANDOM.normal(size=(60, 4)) + 20 * np.eye(4)[groups]
    points, rows = project(latents, "tsne")
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(60)
    np.testing.assert_array_equal(groups[rows][distances.argmin(axis=1)], groups[rows])


@pytest.mark.parametrize("items", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_few_rows_and_equal_rows_are_no_error(method: str, items: int) -> None:
    points, rows = project(np.ones((10, 3)), method, items=items)  # type: ignore[arg-type]
    assert points.shape == (items, 2)
    assert rows.shape == (items,)
    assert np.isfinite(points).all()


def test_wrong_latents_are_refused() -> None:
    for latents in (np.zeros(3), np.zeros((0, 3)), np.full((2, 2), np.nan)):
        with pytest.raises(DataError):
            project(latents)
    with pytest.raises(DataError, match="'pca' or 'tsne'; got 'umap'"):
        project(np.ones((3, 3)), "umap")  # type: ignore[arg-type]


def test_panels_stand_side_by_side_with_one_legend() -> None:
    panels = {
        "before": (RANDOM.normal(size=(30, 2)), np.arange(30) % 3),
        "after": (10 * RANDOM.normal(size=(20, 2)), np.full(20, 1)),
    }
    figure = latent_figure(panels, "Latents", names={0: "cat", 1: "dog"})
    before, after = figure.axes
    assert [axes.get_title(loc="left") for axes in (before, after)] == ["before", "after"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog", "2"]
    assert figure.texts[0].get_text() == "Latents"
    assert before.get_position().size == pytest.approx(after.get_position().size)
    for axes, (points, _) in zip((before, after), panels.values(), strict=True):
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert right - left == pytest.approx(top - bottom)
        assert axes.get_aspect() == 1
        assert (points > [left, bottom]).all()
        assert (points < [right, top]).all()
    # Group 1 has the same colour in both panels.
    for axes in (before, after):
        assert colour(axes, 1) == to_rgba(PALETTE[1], 0.8)
    assert [len(np.asarray(collection.get_offsets())) for collection in after.collections] == [0, 20, 0]


def test_points_without_a_group_are_grey_and_last_in_the_legend() -> None:
    figure = latent_figure({"one": (np.zeros((3, 2)), torch.tensor([-1, 0, -7]))}, names=["zero"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["zero", "none"]
    assert colour(figure.axes[0], 0) == to_rgba(UNLABELLED, 0.8)


def test_many_panels_wrap() -> None:
    figure = latent_figure({str(index): (np.eye(2), [0, 1]) for index in range(4)})
    lefts = [axes.get_position().x0 for axes in figure.axes]
    assert lefts[3] == pytest.approx(lefts[0])
    assert figure.axes[3].get_position().y1 < figure.axes[0].get_position().y0


@pytest.mark.parametrize(
    ("points", "groups", "said"),
    [
        (np.zeros((3, 4)), [0, 1, 2], r"\(M, 2\) in panel 'p'; got \(3, 4\)"),
        (np.zeros((3, 2)), [0, 1], "each of the 3 points"),
        (np.zeros((3, 2)), [0, 1, 0.5], "integer groups"),
        (np.full((3, 2), np.inf), [0, 1, 2], "finite points of panel 'p'"),
    ],
)
def test_wrong_panels_are_refused(points: npt.NDArray[np.float64], groups: list[float], said: str) -> None:
    with pytest.raises(DataError, match=said):
        latent_figure({"p": (points, groups)})


def test_no_panels_are_refused() -> None:
    with pytest.raises(DataError, match="at least one panel"):
        latent_figure({})


def test_the_principal_plane_is_where_the_variance_is() -> None:
    latents = RANDOM.normal(size=(500, 5)) * [1.0, 4.0, 0.1, 2.0, 0.5] + 3
    plane = principal_plane(latents)
    np.testing.assert_allclose(plane.directions.T @ plane.directions, np.eye(2), atol=1e-12)
    points = plane.points(torch.tensor(latents))
    np.testing.assert_allclose(points, project(latents)[0])
    assert plane.shown == pytest.approx(points.var(axis=0).sum() / latents.var(axis=0).sum())
    assert plane.directions[np.abs(plane.directions).argmax(axis=0), [0, 1]].min() > 0


def test_a_plane_of_one_dimension_or_without_variance_is_whole() -> None:
    for latents in (np.arange(4.0)[:, None], np.ones((4, 3)), np.ones((1, 1))):
        plane = principal_plane(latents)
        assert plane.directions.shape == (latents.shape[1], 2)
        assert plane.shown == 1
    for latents in (np.zeros((0, 3)), np.zeros((3, 0))):
        with pytest.raises(DataError, match="at least one row and column"):
            principal_plane(latents)


def test_an_ellipse_is_at_two_standard_deviations_and_inside_the_window() -> None:
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]])
    mean = np.array([1.0, -2.0])
    figure = latent_figure(
        {"one": (np.zeros((2, 2)), [0, 1]), "two": (np.zeros((2, 2)), [0, 1])},
        ellipses={"one": {1: Ellipse(mean, covariance)}},
    )
    [patch] = [one for one in figure.axes[0].patches if isinstance(one, EllipsePatch)]
    assert not figure.axes[1].patches
    assert patch.get_edgecolor() == to_rgba(PALETTE[1])
    # Every point of the outline is two standard deviations away from the mean.
    outline = patch.get_patch_transform().transform(np.asarray(patch.get_path().vertices)[::3])
    apart = outline - mean
    distances = np.sqrt((apart * np.linalg.solve(covariance, apart.T).T).sum(axis=1))
    np.testing.assert_allclose(distances, 2.0, rtol=1e-3)
    (left, right), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert (outline > [left, bottom]).all()
    assert (outline < [right, top]).all()


def test_an_ellipse_without_width_is_a_line() -> None:
    flat = Ellipse(np.zeros(2), np.diag([1.0, 0.0]))
    figure = latent_figure({"one": (np.array([[1.0, 0.0]]), [0])}, ellipses={"one": {0: flat}})
    [patch] = figure.axes[0].patches
    assert isinstance(patch, EllipsePatch)
    assert (patch.width, patch.height) == (4.0, 0.0)


def test_ellipses_of_a_panel_that_is_not_there_are_refused() -> None:
    with pytest.raises(DataError, match="'one'; got some for 'two'"):
        latent_figure({"one": (np.eye(2), [0, 1])}, ellipses={"two": {}})


def test_two_pictures_can_agree_on_colours() -> None:
    figure = latent_figure({"one": (np.eye(2), [4, 7])}, styles={7: 0})
    assert colour(figure.axes[0], 1) == to_rgba(PALETTE[0], 0.8)


def test_a_legend_of_very_many_groups_is_cut() -> None:
    groups = np.arange(500)
    figure = latent_figure({"one": (RANDOM.normal(size=(500, 2)), groups)})
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == LEGEND_ROWS * LEGEND_COLUMNS
    assert texts[-1] == f"and {500 - len(texts) + 1} more"
