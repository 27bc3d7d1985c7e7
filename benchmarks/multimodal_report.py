"""The report of all runs on the field's data: a line for each figure of each model, beside its parts alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.multimodal_parts import Model, Part
from benchmarks.report import Cell, Table, closing, machine, write_json, write_text
from benchmarks.strips import strips_figure
from pgmgraph.plotting import save

TITLE = "Models of several modalities, each beside its parts alone"
MARKS = {"reference on digits, both": 0.675, "reference on digits, sounds": 0.769}


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        part, model: by name.
        seed: of learning.
        figures: by name, the main one first.
        F: at the end, in nats; None where it is not known.
        seconds: of the processor's time, for all of it; None where it was not measured.
    """

    part: str
    model: str
    seed: int
    figures: Mapping[str, float]
    F: float | None
    seconds: float | None


class Records:
    """The runs that lie in a folder, one file each.

    Args:
        folder: made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, part: str, model: str, seed: int) -> bool:
        """Whether this run is done."""
        return self._path(part, model, seed).exists()

    def write(self, outcome: Outcome) -> None:
        """Keep it."""
        write_json(self._path(outcome.part, outcome.model, outcome.seed), asdict(outcome))

    def of(self, part: str, model: str) -> list[Outcome]:
        """The runs of a model, seeds rising."""
        paths = self.folder.glob(f"{_filed(part, model)}-*.json")
        found = [Outcome(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        # Names of models may begin alike.
        return sorted((one for one in found if one.model == model), key=lambda one: one.seed)

    def _path(self, part: str, model: str, seed: int) -> Path:
        return self.folder / f"{_filed(part, model)}-{seed}.json"


def _filed(part: str, model: str) -> str:
    return f"{part}-{model}".replace(",", "").replace(" ", "-").lower()


def write(records: Records, parts: Sequence[Part[Any]], output: Path, threads: int, quick: bool) -> None:
    """Write multimodal.json, .md and .png of all that is recorded, and print the table."""
    rows: list[dict[str, Cell]] = []
    runs: list[Outcome] = []
    accuracies: dict[str, list[float]] = {}
    for part in parts:
        found = {model.name: outcomes for model in part.models if (outcomes := records.of(part.name, model.name))}
        for model in part.models:
            if model.name in found:
                rows += _rows(part.name, model, found)
                runs += found[model.name]
                main = next(iter(found[model.name][0].figures))
                accuracies[f"{part.name}: {model.name}"] = [one.figures[main] for one in found[model.name]]
    notes = [
        "Mean, and after it the standard deviation over the seeds (n - 1); then each seed, rising.",
        "Accuracy: the share of items under the best matching of classes and labels, which only scores see. Of models "
        "with two of them, objects come first.",
        "Margin: the mean less that of the best of its parts alone; least: the smallest margin of a seed over the best "
        "part with the same seed.",
        *(note for part in parts for note in part.notes),
        "The reference of the field has .675 on both senses of the digits, .769 on the sounds alone.",
        "Seconds are of the processor's time, for a run and all that is measured of it; models without were learnt "
        "by an earlier version of this benchmark, on another machine.",
    ]
    name = "multimodal-quick" if quick else "multimodal"
    facts = machine(threads)
    table = Table(name, TITLE, rows, notes)
    text = [f"# {TITLE}", "", *table.lines(), "", *(f"- {note}" for note in notes), *closing(facts, quick)]
    content = {"benchmark": name, "machine": facts, "rows": rows, "runs": [asdict(run) for run in runs], "notes": notes}
    write_json(output / f"{name}.json", content)
    write_text(output / f"{name}.md", "\n".join(text) + "\n")
    if accuracies:
        save(strips_figure({"accuracy, each seed and their mean": accuracies}, TITLE, MARKS), output / f"{name}.png")
    print("\n".join(text))


def _rows(part: str, model: Model[Any], found: Mapping[str, Sequence[Outcome]]) -> list[dict[str, Cell]]:
    """A line for each figure of a model; seconds and F stand with the first."""
    runs = found[model.name]
    rows = []
    for number, figure in enumerate(runs[0].figures):
        values = [run.figures[figure] for run in runs]
        parts = [found[name] for name in model.beside if name in found and figure in found[name][0].figures]
        bounds = [run.F for run in runs if run.F is not None]
        seconds = [run.seconds for run in runs if run.seconds is not None]
        row: dict[str, Cell] = {
            "data": part if number == 0 else "",
            "model": model.name if number == 0 else "",
            "figure": figure,
            "mean": spread(values),
            "each seed": " ".join(f"{value:.3f}" for value in values),
            "margin": "",
            "least": "",
            "F": f"{mean(bounds):,.0f}" if bounds and number == 0 else "",
            "seconds": f"{mean(seconds):.0f}" if seconds and number == 0 else "",
        }
        if parts:
            row["margin"], row["least"] = _margins(figure, runs, parts)
        rows.append(row)
    return rows


def _margins(figure: str, runs: Sequence[Outcome], parts: Sequence[Sequence[Outcome]]) -> tuple[str, str]:
    """Of the means over that of the best part, and the least of those of seeds that all have."""
    best = max(mean(run.figures[figure] for run in part) for part in parts)
    by_seed = [
        run.figures[figure] - max(one.figures[figure] for part in parts for one in part if one.seed == run.seed)
        for run in runs
        if all(any(one.seed == run.seed for one in part) for part in parts)
    ]
    margin = mean(run.figures[figure] for run in runs) - best
    return f"{margin:+.3f}", f"{min(by_seed):+.3f}" if by_seed else ""


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
