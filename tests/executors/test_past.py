"""An update with a past: old sums are added, old items replayed, and what was said of the new ones comes back."""

import pytest
import torch

from pgmgraph import Context, Gaussian, Module
from pgmgraph.errors import CapabilityError
from pgmgraph.executors import Call, Past, Updated, worker
from pgmgraph.plates import Batches, Parcel
from tests.refusals import refused
from tests.toys import Centre

CPU = torch.device("cpu")
VALUES = torch.randn(11, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def centre(cls=Centre) -> Centre:
    module: Centre = cls()
    module.setup(Context("toy", {"x": (2,)}, frozenset({"x"}), frozenset(), CPU, module.dtype, 0))
    return module


def updated(module: Module, past: Past | None, missing: torch.Tensor | None = None) -> Updated:
    mail = {"x": Parcel(Gaussian(VALUES, torch.zeros_like(VALUES), missing=missing), Gaussian)}
    return worker.update(module, Call("toy", mail, seed=1, past=past))


def sums(total: torch.Tensor, count: float) -> dict[str, torch.Tensor]:
    return {"sum": total, "count": torch.tensor(count, dtype=torch.float64)}


def test_without_a_stream_nothing_is_remembered() -> None:
    assert updated(centre(), None).total is None


def test_old_sums_are_learnt_from_and_new_ones_come_back() -> None:
    module, old = centre(), torch.tensor([5.0, -1.0], dtype=torch.float64)
    found = updated(module, Past(sums(old, 4.0)))
    assert module.variance == pytest.approx(1 / (1 / 100 + 15), rel=1e-14)
    torch.testing.assert_close(module.mean, module.variance * (VALUES.sum(0) + old))
    assert isinstance(found.total, dict)
    torch.testing.assert_close(found.total["sum"], VALUES.sum(0))
    assert float(found.total["count"]) == 11
    assert found.guarantee == "none"
    assert updated(module, Past()).guarantee == "exact"


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("at_once", [None, 3])
def test_replayed_rows_count_by_their_weight(weight: float, at_once: int | None) -> None:
    module = centre()
    module.at_once = at_once
    missing = torch.arange(11) % 5 == 0  # rows 0, 5, 10: two new ones, one old
    found = updated(module, Past(replayed=4, weight=weight), missing)
    new, old = VALUES[[1, 2, 3, 4, 6]], VALUES[[7, 8, 9]]
    assert module.variance == pytest.approx(1 / (1 / 100 + 5 + 3 * weight), rel=1e-14)
    torch.testing.assert_close(module.mean, module.variance * (new.sum(0) + weight * old.sum(0)))
    assert isinstance(found.total, dict)
    torch.testing.assert_close(found.total["sum"], new.sum(0))


class Stepped(Centre):
    """Takes steps on parts of the plate, and keeps what it learnt from."""

    step_items = 4

    def learn(self, total) -> None:
        self.learnt = [*getattr(self, "learnt", []), total["sum"]]
        super().learn(total)


def test_steps_on_parts_of_the_plate_see_all_of_the_past() -> None:
    module, old = centre(Stepped), torch.tensor([50.0, -10.0], dtype=torch.float64)
    found = updated(module, Past(sums(old, 4.0)))
    assert isinstance(module, Stepped)
    assert len(module.learnt) == 3
    assert isinstance(found.total, dict)
    torch.testing.assert_close(torch.stack(module.learnt).mean(0), found.total["sum"] + old)
    assert float(found.total["count"]) == pytest.approx(11)


class Turning(Centre):
    """Has other statistics in its second pass."""

    passes = 2

    def statistics(self, x):
        self.seen = getattr(self, "seen", 0) + 1
        return {**super().statistics(x), **({"more": torch.zeros(3)} if self.seen == 2 else {})}


def test_sums_of_another_kind_are_refused_and_the_update_undone() -> None:
    module = centre(Turning)
    with refused(CapabilityError, "toy.statistics", "more", "earlier chunks"):
        updated(module, Past())
    assert module.variance == 100.0
    with refused(CapabilityError, "toy.statistics"):
        updated(centre(), Past({"other": torch.zeros(2)}))


def test_the_last_rows_are_parted_from_the_others() -> None:
    missing = torch.arange(11) % 5 == 0
    mail = {"x": Parcel(Gaussian(VALUES, torch.ones_like(VALUES), missing=missing), Gaussian)}
    batches = Batches(mail, frozenset({"x"}), CPU, torch.float64)
    same, nothing = batches.parted(0)
    assert same is batches
    assert nothing is None
    new, old = batches.parted(4)
    assert old is not None
    for part, rows in ((new, [1, 2, 3, 4, 6]), (old, [7, 8, 9])):
        [batch] = part.in_order()
        message = batch["x"]
        assert isinstance(message, Gaussian)
        assert part.size == len(rows)
        assert torch.equal(message.mean, VALUES[rows])
