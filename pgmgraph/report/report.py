"""The report of a run: one HTML file that can be opened anywhere, next year too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Message
from pgmgraph.observation import Values
from pgmgraph.report import sections, spaces
from pgmgraph.report.account import Account
from pgmgraph.report.page import Page, Pictures, Section, save_picture, write_page
from pgmgraph.report.sections import last
from pgmgraph.report.story import Story, tell
from pgmgraph.report.wording import counted
from pgmgraph.runs import CONFIG, CONTROL, PICTURES, REPORT, Run


def report_run(
    run: Run,
    graph: ModelGraph,
    beliefs: Mapping[str, Message],
    *,
    labels: Values | None = None,
    path: str | Path | None = None,
) -> Path:
    """Write the report of a run, and its pictures as files of their own, into its folder.

    A control, a run in the folder `control` within that of the run, is shown beside it.

    Args:
        run: the run directory.
        graph: as it has learnt.
        beliefs: as `FitResult.beliefs`, or from `infer`.
        labels: see `tell`.
        path: of the report, in the place of `report.html` in the run's folder.

    Returns:
        The path of the report.

    Raises:
        OutputError: it cannot be written.
    """
    control = run.path / CONTROL
    others = [Run(control)] if (control / CONFIG).is_file() else []
    page = report_page(tell(graph, beliefs, Account.of(run, others), labels=labels))
    written = write_page(page, Path(path or run.path / REPORT))
    for section in page.sections:
        pictures = [one for block in section.blocks if isinstance(block, Pictures) for one in block.pictures]
        for number, picture in enumerate(pictures, start=1):
            save_picture(picture, run.path / PICTURES / f"{section.name}-{number}")
    return written


def write_report(story: Story, path: str | Path) -> Path:
    """Write the report of a run.

    The file appears at once and whole, in the place of an older one.

    Args:
        story: what to tell; see `tell`.
        path: of the file, `report.html` by custom; missing folders are made.

    Returns:
        The path that was written.

    Raises:
        OutputError: it cannot be written.
    """
    return write_page(report_page(story), Path(path))


def report_page(story: Story) -> Page:
    """The report of a run as a page."""
    account = story.account
    parts = [
        sections.model(story),
        sections.learning(account),
        spaces.latent_space(story),
        spaces.images(story),
        spaces.clusters(story),
        sections.terms(account),
        sections.time(account),
        sections.warned(account),
        sections.environment(account),
    ]
    modules = len(story.wiring.nodes) - len(story.observations)
    subtitle = f"{counted(modules, 'module')}, {counted(len(story.observations), 'observation')}, " + counted(
        len(story.wiring.wires), "wire"
    )
    return Page(account.title, subtitle, sections.summary(story), parts, left_out(story, parts))


def left_out(story: Story, parts: Sequence[Section]) -> list[tuple[str, str]]:
    """What a reader might look for in vain, and why it is not there."""
    account = story.account
    reasons = {
        "learning": "No round is on record.",
        "latent-space": "Nothing is believed about a real vector: no variable has a Gaussian belief.",
        "images": "No observation below a discrete variable is an image."
        if story.partitions
        else "There are no clusters to show images of.",
        "clusters": "Nothing is believed about a choice: no variable has a categorical belief.",
        "terms": "No stage is on record, or F was not computed.",
        "time": "The time that each module took is not on record.",
        "environment": "They are not on record.",
    }
    if not story.items:
        reasons |= dict.fromkeys(("latent-space", "images", "clusters"), "No beliefs were given: there were no data.")
    absent = [(part.heading, reasons[part.name]) for part in parts if not part.blocks]
    if not account.configuration.strip():
        absent.append(("Configuration", "It is not on record."))
    if account.rounds and last(account.history.get("F", ())) is None:
        absent.append(("F", "It is not known: a module has no terms of it, or it was not computed."))
    if story.partitions and story.labels is None:
        absent.append(("Agreement with labels", "No labels were given."))
    return absent
