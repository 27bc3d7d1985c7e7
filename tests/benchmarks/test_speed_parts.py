"""What the parts of the speed benchmark count and how they put it down."""

import json

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]  # it ships neither types nor stubs

from benchmarks.growth import Measured, resample
from benchmarks.reference import REFERENCE_ACCURACY, REFERENCE_SECONDS, Course, Route, row
from benchmarks.report import Table, hold_to, images, write_json
from benchmarks.rounds import Case, Clock, modules_row
from pgmgraph import ModuleUpdated, RoundEnded, RoundStarted


def test_the_clock_leaves_the_first_round_out_and_keeps_modules_apart():
    clock = Clock()
    for number in range(3):
        clock(RoundStarted(number))
        clock(ModuleUpdated(number, "vae", 10.0 + number))
        clock(ModuleUpdated(number, "gmm", 20.0 + number))
        clock(RoundEnded(number, None, 40.0 + number, {}))
    assert clock.modules == {"vae": [11.0, 12.0], "gmm": [21.0, 22.0]}
    assert clock.rounds == [41.0, 42.0]
    assert len(clock.cpu_rounds) == 2


def test_what_a_round_takes_beside_its_modules_is_the_rest():
    clock = Clock()
    clock.modules = {"vae": [1.0, 2.0, 9.0], "gmm": [0.5, 0.25, 0.5]}
    clock.rounds = [2.0, 2.5, 10.0]
    cells = modules_row(Case((16,), 3, batch_size=100, n=2_000, rounds=3), "cpu", clock)
    assert cells["case"] == "784-16-3, batch 100, fp32, 2,000 images"
    assert (cells["VAE, s"], cells["mixture, s"], cells["round, s"]) == (2.0, 0.5, 2.5)
    assert cells["F and the rest, s"] == 0.5
    assert cells["rounds"] == 3


def test_resampled_images_are_some_of_those_that_there_are(tmp_path):
    path = tmp_path / "images.npy"
    resample(path, 300)
    values = np.load(path, mmap_mode="r")
    assert isinstance(values, np.memmap)
    assert values.shape == (300, 784)
    assert values.dtype == np.uint8
    known = {image.tobytes() for image in images(300)[1]}
    assert {image.tobytes() for image in values} <= known
    assert len({image.tobytes() for image in values}) > 100


def test_beyond_is_what_neither_images_nor_messages_take():
    assert Measured(10, 1.0, 1.0, peak=100.0, data=30.0, messages=20.0).beyond == 50.0
    assert Measured(10, 1.0, 1.0, peak=None, data=30.0, messages=20.0).beyond is None


def test_the_reference_accuracy_is_reached_by_the_mean_of_the_seeds_and_not_by_one_of_them():
    high, low = REFERENCE_ACCURACY + 0.05, REFERENCE_ACCURACY - 0.06
    courses = [Course([10.0, 20.0, 30.0], [low, high, high]), Course([12.0, 22.0, 50.0], [low, low, high])]
    cells = row(Route("some", {}, 3, equal=True), courses)
    assert cells["CPU s"] == pytest.approx(40.0)
    assert cells["times faster, at equal epochs"] == pytest.approx(REFERENCE_SECONDS / 40)
    assert cells[f"CPU s to {REFERENCE_ACCURACY}"] == pytest.approx(40.0)
    assert cells["times faster to it"] == pytest.approx(REFERENCE_SECONDS / 40)
    assert (cells["aim 8"], cells["aim 20"]) == ("met", "met")


def test_what_was_not_reached_has_no_time():
    cells = row(Route("some", {}, 1), [Course([1.0], [0.1]), Course([1.0], [0.2])])
    assert cells[f"CPU s to {REFERENCE_ACCURACY}"] is None
    assert cells["times faster to it"] is None
    assert cells["aim 20"] == "not reached"
    assert cells["aim 8"] == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""), (True, "yes"), ("words", "words"), (3_000, "3,000"), (0.6543, "0.654"), (12.345, "12.3"),
        (1234.5, "1,234"), (-2.0, "-2.00"), (2.5e-8, "2.5e-08"), (0.0, "0"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_a_cell_shows_three_digits_and_whole_numbers_whole(value, shown):
    assert Table("name", "title", [{"column": value}]).lines()[-1] == f"| {shown} |"


def test_a_table_lists_the_columns_of_all_rows_and_puts_numbers_to_the_right():
    lines = Table("name", "title", [{"case": "a", "x": 1.0}, {"case": "b", "y": 2.0}]).lines()
    assert lines == ["| case | x | y |", "| --- | ---: | ---: |", "| a | 1.00 |  |", "| b |  | 2.00 |"]


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "report.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_the_number_of_threads_holds_for_torch_and_the_blas_libraries():
    before = torch.get_num_threads()
    hold_to(1)
    try:
        assert torch.get_num_threads() == 1
        assert all(pool["num_threads"] == 1 for pool in threadpool_info())
    finally:
        torch.set_num_threads(before)
