"""The report: whole, in a real browser, and for runs of which little is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pgmgraph import Categorical, Gaussian, Message, ModelGraph, Observation
from pgmgraph.report import Account, Story, tell, write_report
from pgmgraph.report.page import Heat, Page, render
from pgmgraph.report.report import report_page
from pgmgraph.report.spaces import clusters
from pgmgraph_modules.gmm import GMM
from tests.report.browser import measured, needs_chromium, opened
from tests.toys import Noisy


def headings(page: Page) -> list[str]:
    return [section.heading for section in page.sections if section.blocks]


def pair(items: int, k: int, values: int = 3) -> tuple[ModelGraph, dict[str, Message]]:
    """A graph that has not learnt, and beliefs as if it had."""
    pixels, noisy, gmm = Observation(torch.rand(items, values)), Noisy(), GMM(k)
    graph = ModelGraph(pixels=pixels, noisy=noisy, gmm=gmm)
    graph.connect(pixels.value, noisy.y)
    graph.connect(noisy.z, gmm.x)
    probs = torch.softmax(torch.randn(items, k), 1)
    return graph, {"noisy.z": Gaussian(torch.randn(items, 2), torch.ones(items, 2)), "gmm.c": Categorical(probs)}


def test_a_whole_run_has_every_section(page: Page) -> None:
    assert headings(page) == [
        "Model", "Learning", "Latent space", "Images by cluster", "Clusters", "Terms of F", "Time", "Warnings",
        "Versions and machine",
    ]  # fmt: skip
    assert not page.left_out


def test_the_page_is_the_same_for_the_same_story(story: Story, page: Page) -> None:
    assert render(report_page(story)) == render(page)


@needs_chromium
def test_a_browser_has_nothing_to_complain_about(story: Story, tmp_path: Path) -> None:
    wild = "</script><script>document.title = 'broken'</script><img src=x onerror=alert(1)>"
    told = replace(story.account, title=wild, configuration=wild, warnings=[wild], environment={wild: wild})
    path = write_report(replace(story, account=told), tmp_path / "report.html")
    page, console = opened(path, tmp_path / "profile")
    assert console == []
    assert "Made by pgmgraph" in page
    assert "<title>&lt;/script&gt;" in page
    for width in (1200, 500):
        broken, pictures, wider = measured(path, tmp_path / "profile", width)
        assert (broken, wider) == (0, 0)
        assert pictures == 1 + 4 + 2 + 1 + 1  # wiring, F and scores, latents, images, seconds


@needs_chromium
def test_the_browser_would_complain(tmp_path: Path) -> None:
    """What the test above relies on: the console tells of a script and of a picture that are not allowed."""
    path = tmp_path / "page.html"
    policy = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:">"""
    path.write_text(f"<html><head>{policy}</head><script>1</script><img src='http://localhost:1/x.png'></html>")
    _, console = opened(path, tmp_path / "profile")
    assert len(console) == 2


@pytest.mark.parametrize(("items", "k"), [(1, 1), (2, 1), (2, 5), (3, 2), (5, 1)])
def test_few_items_and_one_cluster_are_told(items: int, k: int) -> None:
    graph, beliefs = pair(items, k)
    story = tell(graph, beliefs, Account("few"), labels=list(range(items)))
    page = report_page(story)
    assert {"Latent space", "Clusters"} <= set(headings(page))
    assert len(render(page)) > 10_000


def test_what_is_not_known_is_named_with_its_reason() -> None:
    graph, beliefs = pair(9, 3)
    page = report_page(tell(graph, {}, Account("nothing")))
    assert headings(page) == ["Model", "Warnings"]
    assert {what for what, _ in page.left_out} == {
        "Learning", "Latent space", "Images by cluster", "Clusters", "Terms of F", "Time", "Versions and machine",
        "Configuration",
    }  # fmt: skip
    assert "no data" in dict(page.left_out)["Clusters"]
    html = render(page)
    assert all(f"<dt>{what}</dt><dd>{reason}</dd>" in html for what, reason in page.left_out)
    reasons = dict(report_page(tell(graph, {"noisy.z": beliefs["noisy.z"]}, Account("no choice"))).left_out)
    assert "categorical" in reasons["Clusters"]
    assert "no clusters" in reasons["Images by cluster"]
    reasons = dict(report_page(tell(graph, {"gmm.c": beliefs["gmm.c"]}, Account("no vector"))).left_out)
    assert "Gaussian" in reasons["Latent space"]
    assert reasons["Images by cluster"] == "No observation below a discrete variable is an image."
    assert reasons["Agreement with labels"] == "No labels were given."


def test_one_round_without_f_is_told() -> None:
    graph, _ = pair(9, 3)
    page = report_page(tell(graph, {}, Account("one", history={"F": [None], "seconds": [0.5], "accuracy": [0.25]})))
    assert "F" in dict(page.left_out)
    figures = {figure.name: figure.value for figure in page.figures}
    assert (figures["F"], figures["accuracy"], figures["rounds"], figures["time"]) == ("–", "0.250", "1", "0.5 s")
    assert "Learning" in headings(page)
    unscored = tell(graph, {}, Account("one", history={"F": [None], "seconds": [0.5]}))
    assert "Learning" not in headings(report_page(unscored))


def test_many_clusters_and_labels_stay_readable() -> None:
    graph, beliefs = pair(200, 80)
    labels = [f"label ${place % 90}" for place in range(200)]
    [_, heat] = clusters(tell(graph, {"gmm.c": beliefs["gmm.c"]}, Account("many"), labels=labels)).blocks
    assert isinstance(heat, Heat)
    assert (len(heat.rows), len(heat.columns)) == (50, 50)
    assert np.shape(heat.counts) == np.shape(heat.shares) == (50, 50)
    assert "The first 50 of" in heat.caption
