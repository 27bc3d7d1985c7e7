"""The report's means, deviations and lists, from records made by hand."""

import json
from dataclasses import replace
from statistics import mean, stdev

import pytest

from benchmarks.comparison import write
from benchmarks.records import Peer, Records, Scored
from benchmarks.schemes import SETTINGS, plan
from tests.benchmarks.test_records import MACHINE, OUTCOME

SETTING = SETTINGS["digits3000"]
EXPECTED, CONTROL, MIXTURE = SETTING.schemes[:3]
TRAINING = {0: 0.75, 2: 0.5, 11: 0.8}
TEST = {0: 0.7, 2: 0.45, 11: 0.81}


def outcome(seed, **changes):
    scores = {"training": Scored(TRAINING[seed], 0.5), "test": Scored(TEST[seed], 0.4)}
    return replace(OUTCOME, **scores, peer=None, **changes)


@pytest.fixture
def records(tmp_path):
    records = Records(tmp_path / "records")
    for seed in TRAINING:
        peer = Peer(Scored(0.1 + TRAINING[seed] / 10, 0.3), Scored(0.1, 0.2), 1.0)
        records.write(plan(SETTING, EXPECTED, seed, "mnist", 3_000), MACHINE, replace(outcome(seed), peer=peer))
    records.write(plan(SETTING, CONTROL, 0, "mnist", 3_000), MACHINE, outcome(0, active=9))
    return records


def report(records, folder):
    write(SETTING, records, folder, quick=False)
    name = f"accuracy-{SETTING.name}"
    return json.loads((folder / f"{name}.json").read_text()), (folder / f"{name}.md").read_text()


def test_a_row_has_mean_and_deviation_over_the_seeds_and_every_seed_in_rising_order(records, tmp_path):
    content, table = report(records, tmp_path)
    first, peer, control = content["rows"]
    assert [row["scheme"] for row in content["rows"]] == ["expected", peer["scheme"], "control"]
    assert first["seeds"] == [0, 2, 11]
    assert first["training_accuracy"]["each"] == list(TRAINING.values())
    assert first["test_accuracy"]["each"] == list(TEST.values())
    assert first["test_accuracy"]["mean"] == pytest.approx(mean(TEST.values()))
    assert first["test_accuracy"]["sd"] == pytest.approx(stdev(TEST.values()))
    assert first["F_per_image"]["mean"] == pytest.approx(OUTCOME.F / 3_000)
    assert control["training_accuracy"] == {"mean": 0.75, "sd": None, "each": [0.75]}
    assert "| expected | 0 2 11 | 0.653 ± 0.184 | .700 .450 .810 | 0.683 ± 0.161 | .750 .500 .800 |" in table


def test_scikit_learn_has_a_row_of_its_own_below_the_scheme_whose_latents_it_was_given(records, tmp_path):
    content, _ = report(records, tmp_path)
    peer = content["rows"][1]
    assert "scikit-learn" in peer["scheme"]
    assert "expected" in peer["scheme"]
    assert peer["training_accuracy"]["each"] == pytest.approx([0.175, 0.15, 0.18])
    assert peer["F_per_image"] is None


def test_every_run_is_in_the_report_with_its_history(records, tmp_path):
    content, _ = report(records, tmp_path)
    assert len(content["runs"]) == 4
    for run in content["runs"]:
        assert run["outcome"]["history"] == OUTCOME.history
        assert run["plan"]["n"] == 3_000


def test_runs_of_other_arguments_than_the_schemes_have_now_are_left_out_and_named(records, tmp_path):
    old = plan(SETTING, replace(MIXTURE, gmm={"message": "mixture", "draws": 2}), 5, "mnist", 3_000)
    gone = plan(SETTING, replace(MIXTURE, name="of-old"), 6, "mnist", 3_000)
    for one in (old, gone):
        records.write(one, MACHINE, OUTCOME)
    content, table = report(records, tmp_path)
    assert len(content["runs"]) == 4
    assert "mixture-5, of-old-6" in table


def test_components_that_died_are_named(records, tmp_path):
    _, table = report(records, tmp_path)
    assert "control: 9 components alive with seed 0." in table


def test_there_is_a_picture_and_a_report_before_any_run_is_done(records, tmp_path):
    report(records, tmp_path)
    assert (tmp_path / "accuracy-digits3000.png").read_bytes().startswith(b"\x89PNG")
    content, table = report(Records(tmp_path / "none"), tmp_path / "empty")
    assert content["rows"] == []
    assert "none yet" in table
