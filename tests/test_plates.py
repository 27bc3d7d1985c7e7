"""The plate in minibatches: aligned over ports, every row once, missing rows nowhere."""

from __future__ import annotations

import threading
from typing import Self

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.messages import Gaussian, GaussianPotential, Point, PooledGaussianPotential
from pgmgraph.plates import Batch, Batches, Parcel
from tests.bits import bits_of
from tests.toys import Centre, Noisy

CPU = torch.device("cpu")
few = settings(deadline=None, max_examples=40)


def rows_of(batch: Batch) -> list[int]:
    """The rows that a minibatch of `plate` is of, the same at every port."""
    x, z = batch["x"], batch["z"]
    assert isinstance(x, Point)
    assert isinstance(z, GaussianPotential)
    assert torch.equal(x.value[:, 0], z.shift[:, 0])
    assert torch.equal(x.value[:, 0], z.log_scale)
    return [int(row) for row in x.value[:, 0]]


def plate(n: int, missing: torch.Tensor | None = None) -> Batches:
    row = torch.arange(n, dtype=torch.float64)
    x = Point(row[:, None].expand(n, 2), missing=missing)
    z = GaussianPotential(row[:, None], torch.ones(n, 1, dtype=torch.float64), row)
    mail = {"x": Parcel(x, Point), "z": Parcel(z, GaussianPotential)}
    return Batches(mail, frozenset({"x"}), CPU, torch.float64)


@few
@given(st.integers(1, 30), st.integers(1, 12))
def test_an_epoch_covers_each_row_once(n: int, size: int) -> None:
    batches = [rows_of(batch) for batch in plate(n).shuffled(size)]
    assert sorted(row for batch in batches for row in batch) == list(range(n))
    assert all(len(batch) == size for batch in batches[:-1])


def test_epochs_differ() -> None:
    batches = plate(50)
    first, second = ([row for batch in batches.shuffled(8) for row in rows_of(batch)] for _ in range(2))
    assert first != second != list(range(50))


@few
@given(st.integers(1, 30), st.one_of(st.none(), st.integers(1, 40)))
def test_in_order_covers_the_plate_in_order(n: int, size: int | None) -> None:
    assert [row for batch in plate(n).in_order(size) for row in rows_of(batch)] == list(range(n))


@few
@given(st.lists(st.booleans(), min_size=1, max_size=20).filter(lambda mask: not all(mask)), st.integers(1, 6))
def test_missing_rows_are_in_no_minibatch(mask: list[bool], size: int) -> None:
    batches = plate(len(mask), torch.tensor(mask))
    present = [row for row, missing in enumerate(mask) if not missing]
    assert (batches.size, batches.plate_size) == (len(present), len(mask))
    assert [row for batch in batches.in_order(size) for row in rows_of(batch)] == present
    assert [row for batch in batches.in_order() for row in rows_of(batch)] == present
    assert sorted(row for batch in batches.shuffled(size) for row in rows_of(batch)) == present


def test_a_row_is_left_out_where_every_port_below_misses_it() -> None:
    def parcel(mask: list[bool]) -> Parcel:
        return Parcel(Point(torch.arange(4.0)[:, None], missing=torch.tensor(mask)), Point)

    mail = {"x": parcel([True, True, False, False]), "y": parcel([True, False, True, False])}
    [batch] = Batches(mail, frozenset({"x", "y"}), CPU, torch.float32).in_order()
    x, y = batch["x"], batch["y"]
    assert isinstance(x, Point)
    assert isinstance(y, Point)
    assert y.value.flatten().tolist() == [1.0, 0.0, 3.0]  # row 2 misses y: it holds a placeholder, flagged
    assert y.missing_rows().tolist() == [False, True, False]
    assert x.missing_rows().tolist() == [True, False, False]


@few
@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 5))
def test_a_subset_is_fixed_by_its_generator(n: int, items: int, seed: int) -> None:
    batches = plate(n)
    chosen, again = (
        next(rows_of(batch) for batch in batches.subset(items, torch.Generator().manual_seed(seed)).in_order())
        for _ in range(2)
    )
    assert chosen == again == sorted(set(chosen))
    assert len(chosen) == min(items, n)
    assert batches.subset(items, torch.Generator()).size == min(items, n)


def test_a_subset_of_a_plate_with_missing_rows_has_none_of_them() -> None:
    mask = torch.arange(40) % 2 == 0
    part = plate(40, mask).subset(7, torch.Generator().manual_seed(0))
    rows = [row for batch in part.in_order(3) for row in rows_of(batch)]
    assert part.size == len(rows) == 7
    assert all(row % 2 == 1 for row in rows)


def test_potentials_of_several_parents_are_multiplied() -> None:
    n = 6
    one = GaussianPotential(torch.randn(n, 2), torch.rand(n, 2), torch.randn(n))
    pooled = PooledGaussianPotential(torch.rand(n, 3), torch.randn(3, 2), torch.eye(2).expand(3, 2, 2), torch.randn(3))
    mail = {"z": (Parcel(one, GaussianPotential), Parcel(pooled, GaussianPotential))}
    q = Gaussian(torch.randn(n, 2), torch.rand(n, 2))
    expected = one.expectation(q) + pooled.expectation(q)
    got = [
        batch["z"].expectation(q[begin : begin + 4])  # type: ignore[union-attr]
        for begin, batch in zip((0, 4), Batches(mail, frozenset(), CPU, torch.float32).in_order(4), strict=True)
    ]
    torch.testing.assert_close(torch.cat(got), expected)


def test_families_keep_the_order_of_their_keys() -> None:
    parcel = Parcel(Point(torch.zeros(3, 1)), Point)
    [batch] = Batches({"x": {"b": parcel, "a": parcel}, "z": None}, frozenset({"x"}), CPU, torch.float64).in_order()
    assert isinstance(batch["x"], dict)
    assert list(batch["x"]) == ["b", "a"]
    assert batch["z"] is None


def test_the_whole_plate_is_laid_out_once() -> None:
    batches = plate(5)
    assert next(batches.in_order()) is next(batches.in_order())


def test_messages_are_cast_and_converted_as_they_are_opened() -> None:
    stored = torch.tensor([[0], [255]], dtype=torch.uint8)
    mail = {"x": Parcel(Point(stored, 1 / 255), Gaussian)}
    [batch] = Batches(mail, frozenset({"x"}), CPU, torch.float64).in_order()
    assert isinstance(batch["x"], Gaussian)
    assert batch["x"].mean.dtype == torch.float64
    torch.testing.assert_close(batch["x"].mean.flatten(), torch.tensor([0.0, 1.0], dtype=torch.float64))


@few
@given(st.integers(1, 20), st.integers(1, 7), st.integers(0, 10**6))
def test_statistics_of_minibatches_add_up_to_those_of_the_plate(n, size, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    q = Gaussian(y, torch.rand(n, 2, generator=generator, dtype=torch.float64))
    noisy = Noisy()
    noisy.shift = torch.ones(2, dtype=torch.float64)

    def total(module, port, message, at_once):
        mail = {port: Parcel(message, type(message)), **({"z": None} if port == "y" else {})}
        batches = Batches(mail, frozenset({port}), CPU, torch.float64)
        pieces = [module.statistics(**batch) for batch in batches.in_order(at_once)]
        return torch.stack([torch.cat([piece["sum"], piece["count"][None]]) for piece in pieces]).sum(0)

    torch.testing.assert_close(total(Centre(), "x", q, size), total(Centre(), "x", q, None))
    torch.testing.assert_close(total(noisy, "y", Point(y), size), total(noisy, "y", Point(y), None))


def test_the_placeholder_is_the_first_item_missing_or_not() -> None:
    assert rows_of(plate(5, torch.ones(5, dtype=torch.bool)).placeholder()) == [0]
    assert rows_of(plate(5, torch.arange(5) == 3).placeholder()) == [0]


@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 5, 1, 8, 6])], ids=["items", "sequences"])
@pytest.mark.parametrize("missing", [None, torch.arange(23) % 5 == 1], ids=["whole", "missing"])
def test_what_is_prefetched_is_what_is_fetched(
    monkeypatch: pytest.MonkeyPatch, missing: torch.Tensor | None, lengths: torch.Tensor | None
) -> None:
    pooled = PooledGaussianPotential(torch.rand(23, 4), torch.randn(4, 3), torch.rand(4, 3, 3), torch.randn(4))
    pixels = Point(torch.arange(23 * 2, dtype=torch.uint8).reshape(23, 2), 1 / 255, missing=missing)
    mail = {"x": Parcel(pixels, Point), "z": Parcel(pooled, GaussianPotential)}
    batches = Batches(mail, frozenset({"x"}), CPU, torch.float32, lengths is not None, lengths)
    found = []
    for least in (1 << 60, 0):
        monkeypatch.setattr("pgmgraph.plates._PREFETCHED_BYTES", least)
        torch.manual_seed(3)
        shuffled = [bits_of(batch) for batch in batches.shuffled(4)]
        found.append((shuffled, [bits_of(batch) for batch in batches.in_order(4)], torch.get_rng_state().tolist()))
    assert found[0] == found[1]


def test_an_error_in_reading_ahead_comes_to_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Point):
        def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Self:
            if int(self.value.max()) >= 8:
                raise OSError("the disk is gone")
            return super().to(device, dtype)

    monkeypatch.setattr("pgmgraph.plates._PREFETCHED_BYTES", 0)
    mail = {"x": Parcel(Broken(torch.arange(12.0)[:, None]), None)}
    given = Batches(mail, frozenset({"x"}), CPU, torch.float64).in_order(4)
    next(given)
    next(given)
    with pytest.raises(OSError, match="the disk is gone"):
        next(given)
    assert not [one for one in threading.enumerate() if one.name.startswith("pgmgraph-prefetch")]
