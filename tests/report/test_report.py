"""The report: whole, in a real browser, and for runs of which little is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pgmgraph import Categorical, Gaussian, Message, ModelGraph, Observation
from pgmgraph.report import Account, Story, tell, write_report
from pgmgraph.report.page import render
from pgmgraph.report.report import report_page
from pgmgraph_modules.gmm import GMM
from tests.report.browser import measured, needs_chromium, opened
from tests.report.stories import Fitted, whole_story
from tests.toys import Noisy


def headings(story: Story) -> list[str]:
    return [section.heading for section in report_page(story).sections if section.blocks]


def left_out(story: Story) -> dict[str, str]:
    return dict(report_page(story).left_out)


def pair(items: int, k: int, values: int = 3) -> tuple[ModelGraph, dict[str, Message]]:
    """A graph that has not learnt, and beliefs as if it had."""
    pixels, noisy, gmm = Observation(torch.rand(items, values)), Noisy(), GMM(k)
    graph = ModelGraph(pixels=pixels, noisy=noisy, gmm=gmm)
    graph.connect(pixels.value, noisy.y)
    graph.connect(noisy.z, gmm.x)
    probs = torch.softmax(torch.randn(items, k), 1)
    return graph, {"noisy.z": Gaussian(torch.randn(items, 2), torch.ones(items, 2)), "gmm.c": Categorical(probs)}


def test_a_whole_run_has_every_section(fitted: Fitted) -> None:
    story = whole_story(fitted)
    assert headings(story) == [
        "Model", "Learning", "Latent space", "Images by cluster", "Clusters", "Terms of F", "Time", "Warnings",
        "Versions and machine",
    ]  # fmt: skip
    assert left_out(story) == {}


def test_the_page_is_the_same_for_the_same_story(fitted: Fitted) -> None:
    story = whole_story(fitted)
    assert render(report_page(story)) == render(report_page(story))


@needs_chromium
def test_a_browser_has_nothing_to_complain_about(fitted: Fitted, tmp_path: Path) -> None:
    story = whole_story(fitted)
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
    assert {"Latent space", "Clusters"} <= set(headings(story))
    render(report_page(story))


def test_what_is_not_known_is_named_with_its_reason() -> None:
    graph, beliefs = pair(9, 3)
    story = tell(graph, {}, Account("nothing"))
    assert headings(story) == ["Model", "Warnings"]
    reasons = left_out(story)
    assert set(reasons) == {
        "Learning", "Latent space", "Images by cluster", "Clusters", "Terms of F", "Time", "Versions and machine",
        "Configuration",
    }  # fmt: skip
    for what, reason in reasons.items():
        assert f"<dt>{what}</dt><dd>{reason}</dd>" in render(report_page(story)).replace("&#39;", "'")
    without_clusters = tell(graph, {"noisy.z": beliefs["noisy.z"]}, Account("no discrete variable"))
    assert "categorical" in left_out(without_clusters)["Clusters"]
    assert "no clusters" in left_out(without_clusters)["Images by cluster"]
    without_latents = tell(graph, {"gmm.c": beliefs["gmm.c"]}, Account("no real vector"))
    assert "Gaussian" in left_out(without_latents)["Latent space"]
    assert left_out(without_latents)["Images by cluster"] == "No observation below a discrete variable is an image."
    assert left_out(without_latents)["Agreement with labels"] == "No labels were given."


def test_one_round_without_f_is_told() -> None:
    graph, beliefs = pair(9, 3)
    story = tell(graph, beliefs, Account("one", history={"F": [None], "seconds": [0.5], "accuracy": [0.25]}))
    assert "F" in left_out(story)
    figures = {figure.name: figure.value for figure in report_page(story).figures}
    assert (figures["F"], figures["accuracy"], figures["rounds"], figures["time"]) == ("–", "0.250", "1", "0.5 s")
    assert "Learning" in headings(story)
    unscored = tell(graph, beliefs, Account("one", history={"F": [None], "seconds": [0.5]}))
    assert "Learning" not in headings(unscored)


def test_many_clusters_and_labels_stay_readable() -> None:
    graph, beliefs = pair(400, 80)
    story = tell(graph, beliefs, Account("many"), labels=[f"label ${place % 90}" for place in range(400)])
    html = render(report_page(story))
    assert len(html) < 3_000_000
    assert "The first 50 of" in html
