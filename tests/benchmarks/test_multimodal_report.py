"""The report of models beside their parts, from figures that are known."""

import json
from pathlib import Path

from benchmarks.multimodal_parts import Learnt, Model, Part
from benchmarks.multimodal_report import Outcome, Records, write

REACHED = {
    "image": {"accuracy": (0.6, 0.7)},
    "image, heard": {"accuracy": (0.8, 0.92)},
    "both": {"accuracy": (0.95, 0.97), "from images": (0.5, 0.5)},
}


def _never(data: None, seed: int) -> Learnt:
    raise AssertionError


def _rows(folder: Path) -> dict[str, dict[str, str]]:
    part = Part(
        "digits",
        lambda quick: None,
        [Model(name, _never, ["image", "image, heard"] if name == "both" else []) for name in REACHED],
        [],
    )
    records = Records(folder / "runs")
    for name, figures in REACHED.items():
        for seed in (1, 0):
            each = {figure: values[seed] for figure, values in figures.items()}
            records.write(Outcome("digits", name, seed, each, -1234.4, 1.0))
    write(records, [part], folder, threads=1, quick=True)
    return {row["figure"] if row["model"] == "" else row["model"]: row for row in json.loads(
        (folder / "multimodal-quick.json").read_text()
    )["rows"]}  # fmt: skip


def test_the_margin_is_over_the_better_part(tmp_path: Path) -> None:
    both = _rows(tmp_path)["both"]
    assert both["mean"] == "0.960 ± 0.014"
    assert both["each seed"] == "0.950 0.970"
    assert both["margin"] == "+0.100"
    assert both["least"] == "+0.050"
    assert both["F"] == "-1,234"


def test_figures_that_no_part_has_stand_alone(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    assert (rows["from images"]["mean"], rows["from images"]["margin"]) == ("0.500 ± 0.000", "")
    assert rows["image"]["margin"] == ""


def test_models_whose_names_begin_alike_are_told_apart(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    assert rows["image"]["each seed"] == "0.600 0.700"
    assert rows["image, heard"]["each seed"] == "0.800 0.920"


def test_records_know_what_is_done(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write(Outcome("digits", "image", 3, {"accuracy": 1.0}, None, 1.0))
    assert records.has("digits", "image", 3)
    assert not records.has("digits", "image", 2)
    assert not records.has("digits", "image, heard", 3)
    [outcome] = records.of("digits", "image")
    assert (outcome.seed, outcome.figures, outcome.F) == (3, {"accuracy": 1.0}, None)
