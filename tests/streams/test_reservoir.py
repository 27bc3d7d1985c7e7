"""A reservoir is a fair sample, of bounded size, and the same for the same seed."""

import torch

from pgmgraph import Point
from pgmgraph.streams.reservoir import Reservoir


def offered(reservoir: Reservoir, n: int, block: int) -> Reservoir:
    """A reservoir that the numbers from 0 to n were offered to, so many at a time."""
    for numbers in torch.arange(n, dtype=torch.float64).split(block):
        reservoir.offer({"x": Point(numbers[:, None]), "y": Point(-numbers[:, None])})
    return reservoir


def held(reservoir: Reservoir) -> list[int]:
    return [int(number) for number in reservoir.rows["x"].value[:, 0]]


def test_what_has_room_is_kept_in_order() -> None:
    assert held(offered(Reservoir(10, seed=0), 7, 3)) == list(range(7))


def test_it_never_holds_more_and_nothing_twice() -> None:
    reservoir = offered(Reservoir(10, seed=0), 1000, 33)
    assert len(reservoir) == 10
    assert reservoir.offered == 1000
    assert len(set(held(reservoir))) == 10


def test_every_item_is_kept_with_the_same_probability() -> None:
    """Counts over 2,000 reservoirs: 4 of 24 items each, in six groups, by a chi-squared test at a ten-thousandth."""
    counts = torch.zeros(6)
    for seed in range(2000):
        for number in held(offered(Reservoir(4, seed), 24, 5)):
            counts[number // 4] += 1
    expected = 2000 * 4 / 6
    # Groups of one reservoir exclude one another a little, which makes the sum smaller than of independent draws.
    assert float(((counts - expected) ** 2 / expected).sum()) < 25.7  # of 5 degrees of freedom


def test_rows_of_one_item_stay_together() -> None:
    reservoir = offered(Reservoir(10, seed=3), 500, 20)
    assert torch.equal(reservoir.rows["x"].value, -reservoir.rows["y"].value)


def test_a_seed_decides_and_a_state_goes_on() -> None:
    assert held(offered(Reservoir(10, seed=1), 300, 30)) == held(offered(Reservoir(10, seed=1), 300, 30))
    assert held(offered(Reservoir(10, seed=1), 300, 30)) != held(offered(Reservoir(10, seed=2), 300, 30))
    first, second = offered(Reservoir(10, seed=1), 150, 30), Reservoir(10, seed=1)
    second.restore(first.state())
    for numbers in torch.arange(150, 300, dtype=torch.float64).split(30):
        second.offer({"x": Point(numbers[:, None]), "y": Point(-numbers[:, None])})
    assert held(second) == held(offered(Reservoir(10, seed=1), 300, 30))


def test_missing_rows_and_scales_are_kept() -> None:
    reservoir = Reservoir(4, seed=0)
    reservoir.offer({"x": Point(torch.tensor([[10], [20]], dtype=torch.uint8), 0.1)})
    reservoir.offer({"x": Point(torch.tensor([[0.5], [0.0]]), missing=torch.tensor([False, True]))})
    rows = reservoir.rows["x"].to(dtype=torch.float32)
    torch.testing.assert_close(rows.value[:, 0], torch.tensor([1.0, 2.0, 0.5, 0.0]))
    assert rows.missing_rows().tolist() == [False, False, False, True]
