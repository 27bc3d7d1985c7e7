"""The sections of a report: a story as pictures, tables and text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pgmgraph.plotting import curves_figure, data_uri, graph_figure
from pgmgraph.report.account import Account, History
from pgmgraph.report.page import Bars, Block, Figure, Listing, Paragraph, Picture, Pictures, Section, Table
from pgmgraph.report.story import Story
from pgmgraph.report.wording import UNKNOWN, duration, number, percent

TABLE_ROUNDS = 12
MAIN_SCORES = 3


def summary(story: Story) -> tuple[Figure, ...]:
    """The main figures of a run."""
    account = story.account
    figures = [_last_value(account, name) for name in (*account.scores[:MAIN_SCORES], "F") if name in account.history]
    if account.rounds:
        total = sum(value or 0.0 for value in account.history.get("seconds", ()))
        figures.append(Figure("rounds", f"{account.rounds:,}", account.status))
        figures.append(Figure("time", duration(total), f"{duration(total / account.rounds)} a round"))
    for plate, size in story.items.items():
        figures.append(Figure(plate, f"{size:,}", ""))
    for partition in story.partitions:
        used, all_of_them = int((partition.counts > 0).sum()), len(partition.counts)
        remark = f"in use, of {all_of_them}" if used < all_of_them else "all in use"
        figures.append(Figure(f"clusters of {partition.variable}", f"{used}", remark))
    return tuple(figures)


def _last_value(account: Account, column: str) -> Figure:
    beside = [
        f"{name}: {number(last(history.get(column, ())))}"
        for name, history in account.others.items()
        if column in history
    ]
    return Figure(column, number(last(account.history[column])), "; ".join(beside))


def last(column: Sequence[float | None]) -> float | None:
    """The last value of a column that is known."""
    return next((value for value in reversed(column) if value is not None), None)


def model(story: Story) -> Section:
    """The wiring, beside the configuration that it was made from."""
    nodes, wires = story.wiring.nodes, story.wiring.wires
    described = "; ".join(f"{child} to {parent} ({' '.join(label.split())})" for child, parent, label in wires)
    picture = Picture(
        data_uri(graph_figure(nodes, wires)),
        f"The graph: {', '.join(nodes)}. Wires: {described or 'none'}.",
        "Data at the bottom, parents above. Each wire is one random variable: what is sent up it, and what is sent "
        "back down.",
    )
    blocks: list[Block] = [Pictures([picture], width=240)]
    if story.account.configuration.strip():
        blocks.append(Listing(story.account.configuration))
    return Section("model", "Model", blocks, beside=True)


def learning(account: Account) -> Section:
    """F and the scores by round, beside those of other runs."""
    runs = {account.name: account.history, **account.others}
    pictures = curves(runs)
    blocks: list[Block] = [pictures] if pictures.pictures else []
    if account.rounds > 1:
        blocks.append(_rounds_table(account))
    if any(account.others.values()):
        blocks.append(final_table(runs, "After the last round of each."))
    return Section("learning", "Learning", blocks)


def quantities(runs: Mapping[str, History]) -> dict[str, dict[str, Sequence[float | None]]]:
    """What `curves_figure` draws of several runs: F and each score that some run knows, F first, to its columns.

    A run without such a column has an empty one, so that it keeps its colour in every picture.
    """
    return {
        name: {run: history.get(name, ()) for run, history in runs.items()}
        for name in _columns(runs)
        if any(last(history.get(name, ())) is not None for history in runs.values())
    }


def _columns(runs: Mapping[str, History]) -> list[str]:
    """The columns of several histories but for the seconds, F first."""
    names = dict.fromkeys(name for history in runs.values() for name in history if name != "seconds")
    return sorted(names, key=lambda name: name != "F")


def curves(runs: Mapping[str, History]) -> Pictures:
    """A picture for each quantity that some run knows."""
    pictures = []
    for name, lines in quantities(runs).items():
        ends = ", ".join(f"{run} {number(last(line))}" for run, line in lines.items())
        pictures.append(Picture(data_uri(curves_figure({name: lines})), f"{name} by round; last: {ends}"))
    return Pictures(pictures)


def _rounds_table(account: Account) -> Table:
    """About a dozen of the rounds, the first and the last among them."""
    known = [name for name, column in account.history.items() if last(column) is not None]
    columns = sorted(known, key=lambda name: name == "seconds")
    chosen = sorted({int(place) for place in np.linspace(0, account.rounds - 1, min(account.rounds, TABLE_ROUNDS))})
    rows = [[f"{row + 1}", *(_cell(account.history[name], row, name) for name in columns)] for row in chosen]
    caption = "" if len(chosen) == account.rounds else f"{len(chosen)} of {account.rounds:,} rounds."
    return Table(["round", *columns], rows, caption)


def _cell(column: Sequence[float | None], row: int, name: str) -> str:
    value = column[row] if row < len(column) else None
    return duration(value) if name == "seconds" else number(value)


def final_values(runs: Mapping[str, History]) -> tuple[list[str], list[list[float | str | None]]]:
    """The last known value of every column of every run, as plain values.

    Args:
        runs: histories by the name of the run.

    Returns:
        The names of the columns, "run" and "rounds" first, and a row for each run; "seconds" is the sum over all
        rounds, and None stands where a run has no such column or knows nothing in it.
    """
    names = _columns(runs)
    rows: list[list[float | str | None]] = []
    for run, history in runs.items():
        rounds = max((len(column) for column in history.values()), default=0)
        seconds = sum(value or 0.0 for value in history["seconds"]) if "seconds" in history else None
        rows.append([run, rounds, *(last(history.get(name, ())) for name in names), seconds])
    return ["run", "rounds", *names, "seconds"], rows


def final_table(runs: Mapping[str, History], caption: str = "") -> Table:
    """`final_values` for a page."""
    columns, rows = final_values(runs)
    texts = [
        [
            value if isinstance(value, str) else duration(value) if name == "seconds" else number(value)
            for name, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    return Table([*columns[:-1], "time"], texts, caption)


def terms(account: Account) -> Section:
    """What F is made of."""
    known = next((entry for entry in reversed(account.trace) if entry.terms), None)
    if known is None:
        return Section("terms", "Terms of F", [])
    rows = [[module, name, number(value)] for module, values in known.terms.items() for name, value in values.items()]
    if known.F is not None:
        rows.append(["all", "F", number(known.F)])
    error = f" F is known to within {number(known.standard_error)}, one standard error." if known.standard_error else ""
    caption = f"After round {known.round + 1}, in nats; each term belongs to the one module that owns it.{error}"
    return Section("terms", "Terms of F", [Table(["module", "term", "nats"], rows, caption, words=2)])


def time(account: Account) -> Section:
    """How long each module took."""
    totals = {name: sum(value or 0.0 for value in column) for name, column in account.seconds.items()}
    whole = sum(totals.values())
    if not whole:
        return Section("time", "Time", [])
    all_rounds = sum(value or 0.0 for value in account.history.get("seconds", ()))
    shown = dict(totals)
    if all_rounds > whole * 1.001:
        shown["all else"] = all_rounds - whole
        whole = all_rounds
    bars = Bars(
        [
            (name, seconds / whole, f"{duration(seconds)} ({percent(seconds / whole)})")
            for name, seconds in shown.items()
        ],
        "Updates of the modules; all else is F, scores and what lies between." if "all else" in shown else "",
    )
    blocks: list[Block] = [bars]
    if account.rounds > 1:
        picture = Picture(
            data_uri(curves_figure({"seconds": account.seconds})),
            "Seconds by round: " + ", ".join(f"{name} {duration(total)} in all" for name, total in totals.items()),
        )
        blocks.append(Pictures([picture]))
    return Section("time", "Time", blocks, beside=True)


def warned(account: Account) -> Section:
    """What was warned about, each once."""
    times = Counter(account.warnings)
    if not times:
        return Section("warnings", "Warnings", [Paragraph("Nothing was warned about.")])
    rows = [[f"{count} \N{MULTIPLICATION SIGN}", text] for text, count in times.items()]
    return Section("warnings", "Warnings", [Table(["times", "warning"], rows, words=2)])


def environment(account: Account) -> Section:
    """What it was run with."""
    rows = [[name, value or UNKNOWN] for name, value in account.environment.items()]
    blocks = [Table(["what", "value"], rows, words=2)] if rows else []
    return Section("environment", "Versions and machine", blocks)
