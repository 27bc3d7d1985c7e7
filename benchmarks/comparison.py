"""The report of `benchmarks.accuracy`: a row a scheme, over its seeds, as markdown, JSON and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from benchmarks.records import Record, Records, Scored
from benchmarks.report import Cell, Table, closing, write_json, write_text
from benchmarks.schemes import Scheme, Setting, plain, plan
from benchmarks.strips import strips_figure
from pgmgraph.plotting import save


@dataclass(frozen=True)
class Line:
    """What came of one way to learn, seed by seed.

    Attributes:
        name: of the scheme, or of scikit-learn's mixture on its latents.
        seeds: in rising order.
        training, test: a score a seed.
        F: in nats an image, a value a seed; none where it is not known.
        seconds, cpu_seconds: a value a seed; the latter empty where it was not measured.
    """

    name: str
    seeds: list[int]
    training: list[Scored]
    test: list[Scored]
    F: list[float]
    seconds: list[float]
    cpu_seconds: list[float]

    def cells(self) -> dict[str, Cell]:
        """The line as a row of the table."""
        return {
            "scheme": self.name,
            "seeds": " ".join(map(str, self.seeds)),
            "test accuracy": _spread([one.accuracy for one in self.test], "{:.3f}"),
            "each seed, test": _each([one.accuracy for one in self.test]),
            "training accuracy": _spread([one.accuracy for one in self.training], "{:.3f}"),
            "each seed, training": _each([one.accuracy for one in self.training]),
            "test NMI": _spread([one.nmi for one in self.test], "{:.3f}"),
            "training NMI": _spread([one.nmi for one in self.training], "{:.3f}"),
            "F, nats an image": _spread(self.F, "{:.2f}") if self.F else None,
            "seconds": f"{mean(self.seconds):,.0f}",
            "CPU seconds": f"{mean(self.cpu_seconds):,.0f}" if self.cpu_seconds else None,
        }

    def content(self) -> dict[str, object]:
        """The line for programs: means and standard deviations, then every seed."""
        columns: dict[str, list[float]] = {
            "test_accuracy": [one.accuracy for one in self.test],
            "training_accuracy": [one.accuracy for one in self.training],
            "test_nmi": [one.nmi for one in self.test],
            "training_nmi": [one.nmi for one in self.training],
            "F_per_image": self.F,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }
        return {"scheme": self.name, "seeds": self.seeds, **{name: _moments(each) for name, each in columns.items()}}


def write(setting: Setting, records: Records, output: Path, quick: bool) -> list[Line]:
    """Write accuracy-<setting>.json, .md and .png of all records that the setting's schemes made, and print the table.

    Records of other arguments than the schemes have now are left out, and named.
    """
    runs, stale = _sorted(setting, records)
    lines = [line for scheme in setting.schemes if scheme.name in runs for line in _lines(scheme, runs[scheme.name])]
    name = f"accuracy-{setting.name}"
    machines = list({tuple(run.machine.items()): run.machine for each in runs.values() for run in each}.values())
    table = Table(name, f"Accuracy: {setting.title}", [line.cells() for line in lines], _notes(setting, runs, stale))
    report = [f"# {table.title}", "", *table.lines(), "", *(f"- {note}" for note in table.notes)]
    for index, facts in enumerate(machines):
        report += closing(facts, quick and index == len(machines) - 1)
    content = {
        "benchmark": "accuracy",
        "title": table.title,
        "quick": quick,
        "setting": plain(asdict(setting)),
        "rows": [line.content() for line in lines],
        "runs": [asdict(run) for each in runs.values() for run in each],
        "notes": list(table.notes),
    }
    write_json(output / f"{name}.json", content)
    write_text(output / f"{name}.md", "\n".join(report) + "\n")
    if lines:
        panels = {
            title: {line.name: [one.accuracy for one in scores(line)] for line in lines}
            for title, scores in _PANELS.items()
        }
        save(strips_figure(panels, table.title, setting.marks), output / f"{name}.png")
    print("\n".join(report))
    return lines


_PANELS: Mapping[str, Callable[[Line], list[Scored]]] = {
    "images that learning never saw": lambda line: line.test,
    "images that were learnt from": lambda line: line.training,
}


def _sorted(setting: Setting, records: Records) -> tuple[dict[str, list[Record]], list[str]]:
    """The records by scheme, seeds rising, and the names of those that no scheme would make now."""
    schemes = {scheme.name: scheme for scheme in setting.schemes}
    runs: dict[str, list[Record]] = {}
    stale: list[str] = []
    for record in records:
        known = record.plan
        scheme = schemes.get(known["scheme"])
        if scheme and plan(setting, scheme, known["seed"], known["dataset"], known["n"]).recorded() == known:
            runs.setdefault(scheme.name, []).append(record)
        else:
            stale.append(f"{known['scheme']}-{known['seed']}")
    for each in runs.values():
        each.sort(key=lambda record: int(record.plan["seed"]))
    return runs, stale


def _lines(scheme: Scheme, runs: Sequence[Record]) -> list[Line]:
    """The line of a scheme, and where it was asked for that of scikit-learn on the same latents."""
    outcomes = [run.outcome for run in runs]
    seeds = [int(run.plan["seed"]) for run in runs]
    own = Line(
        scheme.name,
        seeds,
        [one.training for one in outcomes],
        [one.test for one in outcomes],
        [run.outcome.F / run.plan["n"] for run in runs if run.outcome.F is not None],
        [one.seconds for one in outcomes],
        [one.cpu_seconds for one in outcomes],
    )
    peers = [(seed, one.peer) for seed, one in zip(seeds, outcomes, strict=True) if one.peer]
    if not peers:
        return [own]
    other = Line(
        f"scikit-learn on the latents of {scheme.name}",
        [seed for seed, _ in peers],
        [peer.training for _, peer in peers],
        [peer.test for _, peer in peers],
        [],
        [peer.seconds for _, peer in peers],
        [],
    )
    return [own, other]


def _notes(setting: Setting, runs: Mapping[str, Sequence[Record]], stale: Sequence[str]) -> list[str]:
    data = {(run.plan["dataset"], run.plan["n"]) for each in runs.values() for run in each}
    notes = [f"Images: {', '.join(f'{n:,} of {name}' for name, n in sorted(data)) or 'none yet'}."]
    notes += [
        "Accuracy: the share of images whose cluster, under the best one-to-one matching of clusters and digits, is "
        "their digit. Test: images that learning never saw. Learning and all choices within it see no labels.",
        "Mean, and after it the standard deviation over the seeds (n - 1); then each seed in the order of `seeds`.",
        "What the VAE learns before any message has come is the same for all schemes of one seed and VAE. It is learnt "
        "once, and each scheme goes on from a copy of the networks, with a new optimiser and the last of the first "
        "epochs still to come. Seconds include it for each scheme.",
        "control: the same model without messages from the mixture to the VAE. scikit-learn: its GaussianMixture with "
        "full covariances, as many starts (n_init) and the same number of components, on the means of the final "
        "latents; its seconds are its own alone.",
        "F: at the end of learning, over the training images. It compares schemes of one graph and one kind of message "
        "only: with message='mixture' it is the collapsed bound, and with older messages it is bound by no guarantee.",
        "concentration is N / K, which assumes classes of about one size; `flat` has 1.",
    ]
    notes += [f"To compare with: {name}, {value:.4g}." for name, value in setting.marks.items()]
    lost = {name: _merged(each) for name, each in runs.items()}
    notes += [f"{name}: {text}." for name, text in lost.items() if text]
    if stale:
        notes.append(f"Left out, since no scheme has their arguments now: {', '.join(stale)}.")
    return notes


def _merged(runs: Sequence[Record]) -> str:
    """Which seeds ended with fewer components than they had."""
    fewer = [run for run in runs if run.outcome.active < run.plan["gmm"]["components"]]
    return ", ".join(f"{run.outcome.active} components alive with seed {run.plan['seed']}" for run in fewer)


def _spread(values: Sequence[float], style: str) -> str:
    middle = style.format(mean(values))
    return middle if len(values) < 2 else f"{middle} ± {style.format(stdev(values))}"


def _each(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}".removeprefix("0") for value in values)


def _moments(values: Sequence[float]) -> dict[str, object] | None:
    if not values:
        return None
    return {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else None, "each": list(values)}
