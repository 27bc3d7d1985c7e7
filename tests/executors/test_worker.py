"""One call of one module: sums over minibatches, failures undone, missing rows left out and put back."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch

from pgmgraph import Context, Gaussian, GaussianPotential, In, Module, Out, Outbox, Point
from pgmgraph.errors import CapabilityError, DivergedError
from pgmgraph.executors import Call, worker
from pgmgraph.plates import Parcel
from tests.refusals import refused
from tests.toys import Centre, Failing, Noisy, Regression, Sink, Speaking, Walk

CPU = torch.device("cpu")
N = 11
VALUES = torch.randn(N, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def ready(module: Module, **shapes: tuple[int, ...]) -> Module:
    owned = frozenset(name for name, _ in module.outs())
    module.setup(Context("toy", shapes or {"x": (2,)}, frozenset({"x"}), owned, CPU, module.dtype, 0))
    return module


def noisy() -> Noisy:
    module = ready(Noisy(), y=(2,), z=(2,))
    assert isinstance(module, Noisy)
    return module


def mail(port: str = "y", missing: torch.Tensor | None = None) -> dict[str, Parcel | None]:
    return {port: Parcel(Point(VALUES, missing=missing), Point), **({"z": None} if port == "y" else {})}


@pytest.mark.parametrize("at_once", [1, 2, 5, 10, 100])
def test_minibatches_change_nothing(at_once: int) -> None:
    whole, pieces = noisy(), noisy()
    whole.at_once, pieces.at_once = None, at_once
    one, other = (worker.update(module, Call("toy", mail(), seed=1)) for module in (whole, pieces))
    torch.testing.assert_close(whole.shift, pieces.shift, rtol=1e-14, atol=1e-14)
    first, second = one.outbox.messages["z"], other.outbox.messages["z"]
    assert isinstance(first, Gaussian)
    assert isinstance(second, Gaussian)
    torch.testing.assert_close(first.mean, second.mean)
    believed: dict[str, Parcel | None] = {**mail(), "z": Parcel(first, Gaussian)}
    terms = [worker.evaluate(module, Call("toy", believed, seed=1)) for module in (whole, pieces)]
    assert terms[0] is not None
    assert terms[1] is not None
    assert terms[0].values == pytest.approx(terms[1].values, rel=1e-12)
    assert terms[0].exact


def test_global_terms_are_counted_once() -> None:
    centre = ready(Centre())
    believed = {"x": Parcel(Gaussian(VALUES, torch.ones_like(VALUES)), Gaussian)}
    worker.update(centre, Call("toy", believed, seed=1))
    whole = worker.evaluate(centre, Call("toy", believed, seed=1))
    centre.at_once = 3
    pieces = worker.evaluate(centre, Call("toy", believed, seed=1))
    assert whole is not None
    assert pieces is not None
    assert whole.values == pytest.approx(pieces.values, rel=1e-12)


def test_a_part_of_the_plate_is_scaled_up_and_global_terms_are_not() -> None:
    centre = ready(Centre())
    same = torch.ones(N, 2, dtype=torch.float64)  # every item has the same terms
    believed = {"x": Parcel(Gaussian(same, same), Gaussian)}
    worker.update(centre, Call("toy", believed, seed=1))
    whole = worker.evaluate(centre, Call("toy", believed, seed=1))
    centre.elbo_items = 4
    part = worker.evaluate(centre, Call("toy", believed, seed=1))
    assert whole is not None
    assert part is not None
    assert part.values == pytest.approx(whole.values, rel=1e-12)
    assert part.standard_error == pytest.approx(0.0, abs=1e-12)
    assert not part.exact


def test_missing_rows_are_left_out_and_put_back() -> None:
    mask = torch.arange(N) % 3 == 0
    full, part = noisy(), noisy()
    outbox = worker.update(full, Call("toy", mail(missing=mask), seed=1)).outbox
    kept: dict[str, Parcel | None] = {"y": Parcel(Point(VALUES[~mask]), Point), "z": None}
    expected = worker.update(part, Call("toy", kept, seed=1)).outbox
    assert torch.equal(full.shift, part.shift)
    got, without = outbox.messages["z"], expected.messages["z"]
    assert isinstance(got, Gaussian)
    assert isinstance(without, Gaussian)
    assert torch.equal(got.missing_rows(), mask)
    assert torch.equal(got.mean[~mask], without.mean)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), RuntimeError("no"), SystemExit()])
@pytest.mark.parametrize("at", [0, 1])
def test_whatever_happens_in_an_update_is_undone(error: BaseException, at: int) -> None:
    module = ready(Failing(error, at))
    assert isinstance(module, Failing)
    for number in range(at):
        worker.update(module, Call("toy", mail("x"), seed=number))
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(type(error)):
        worker.update(module, Call("toy", mail("x"), seed=at))
    assert module.state_dict() == before
    assert module.context.updates == at


@pytest.mark.filterwarnings("ignore:Encountered NaN")  # Pyro's own warning
def test_a_loss_that_turns_nan_names_module_round_and_minibatch_and_is_undone() -> None:
    module = ready(Regression(breaks=2))
    assert isinstance(module, Regression)
    for round in range(2):
        worker.update(module, Call("toy", mail("x"), seed=round, round=round))
    before = copy.deepcopy(module.state_dict())
    with refused(
        DivergedError, "loss of toy turned nan", "round 2", "minibatch 2", "as it was before", "Lower lr"
    ) as caught:
        worker.update(module, Call("toy", mail("x"), seed=2, round=2))
    assert (caught.value.module, caught.value.round, caught.value.minibatch) == ("toy", 2, 2)
    after = module.state_dict()
    assert _same(before, after)
    assert module.context.updates == 2


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def test_a_message_that_is_not_finite_is_a_failed_update() -> None:
    module = ready(Speaking(at=1), x=(2,), z=(2,))
    assert isinstance(module, Speaking)
    call = Call("toy", {**mail("x"), "z": None}, seed=0, round=5)
    worker.update(module, call)
    before = copy.deepcopy(module.state_dict())
    with refused(DivergedError, "Gaussian.mean from toy.z", "1 of 11 rows", "first of them 1", "Round 5") as caught:
        worker.update(module, call)
    assert (caught.value.module, caught.value.round, caught.value.minibatch) == ("toy", 5, None)
    assert module.state_dict() == before


def test_a_frozen_module_only_sends() -> None:
    module = noisy()
    updated = worker.update(module, Call("toy", mail(), seed=1, learn=False))
    assert torch.equal(module.shift, torch.zeros(2, dtype=torch.float64))
    assert isinstance(updated.outbox.messages["z"], Gaussian)
    assert module.context.updates == 0


def test_start_runs_once_and_before_learning():
    class Starting(Walk):
        def start(self, batches):
            self.started = getattr(self, "started", 0) + 1
            self.size = batches.size

    module = ready(Starting())
    for number in range(3):
        worker.update(module, Call("toy", mail("x", torch.arange(N) == 2), seed=number))
    assert (module.started, module.size) == (1, N - 1)


def test_passes_repeat_learning():
    class Counting(Noisy):
        passes = 3

        def learn(self, total):
            super().learn(total)
            self.times = getattr(self, "times", 0) + 1

    module = ready(Counting(), y=(2,), z=(2,))
    worker.update(module, Call("toy", mail(), seed=0))
    assert module.times == 3


class Stepping(Module):
    """Keeps what each step learnt from, and which items the step saw."""

    x = In(Point)
    dtype = torch.float64

    def __init__(self, step_items: int | None, passes: int = 1, at_once: int | None = None) -> None:
        self.step_items = step_items
        self.passes = passes
        self.at_once = at_once
        self.totals: list[Mapping[str, torch.Tensor]] = []
        self.pieces: list[int] = []

    def statistics(self, x: Point) -> dict[str, torch.Tensor]:
        self.pieces.append(len(x))
        count = torch.tensor(float(len(x)), dtype=torch.float64)
        return {"count": count, "sum": x.value.sum(0), "items": torch.isin(VALUES[:, 0], x.value[:, 0]).double()}

    def learn(self, total: Mapping[str, torch.Tensor]) -> None:
        self.totals.append(total)

    def send(self, x: Point) -> Outbox:
        return Outbox()

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Nothing to take back."""


def stepping(step_items: int | None, passes: int = 1, at_once: int | None = None, seed: int = 0) -> Stepping:
    module = ready(Stepping(step_items, passes, at_once))
    assert isinstance(module, Stepping)
    worker.update(module, Call("toy", mail("x"), seed=seed))
    return module


@pytest.mark.parametrize(("step_items", "items"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 5), (10, 5)])
def test_a_step_learns_from_a_part_scaled_up_to_the_plate(step_items: int, items: int) -> None:
    # The steps that cover 11 items are all of one size, never above what was asked for.
    module = stepping(step_items)
    steps = -(-N // step_items)
    assert module.pieces == [items] * steps
    seen = torch.stack([total["items"] for total in module.totals]) * items / N
    assert seen.sum(0).max() == pytest.approx(1.0), "a pass sees no item twice"
    for total, mine in zip(module.totals, seen.round().bool(), strict=True):
        assert float(total["count"]) == pytest.approx(N)
        torch.testing.assert_close(total["sum"], VALUES[mine].mean(0) * N)


@pytest.mark.parametrize("step_items", [None, N, N + 1, 1_000])
def test_steps_as_large_as_the_plate_are_exact_and_in_order(step_items: int | None) -> None:
    module, whole = stepping(step_items, passes=2, at_once=4), stepping(None, passes=2, at_once=4)
    assert module.pieces == [4, 4, 3] * 2
    for one, other in zip(module.totals, whole.totals, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_each_pass_takes_its_steps_in_a_new_order_that_follows_from_the_seed() -> None:
    modules = stepping(5, passes=2), stepping(5, passes=2), stepping(5, passes=2, seed=1)
    items, repeated, otherwise = (torch.stack([total["items"] for total in module.totals]) for module in modules)
    assert torch.equal(items, repeated)
    assert not torch.equal(items, otherwise)
    assert not torch.equal(items[:3], items[3:])


def test_in_the_long_run_every_item_takes_part_as_often_as_any_other() -> None:
    module = stepping(4, passes=600)  # three of the four steps' worth of 11 items: two are left out each time
    times = torch.stack([total["items"] for total in module.totals]).count_nonzero(0).double()
    assert float(times.sum()) == 600 * 9
    share, expected = times / 600, 9 / 11
    assert (share - expected).abs().max() < 4.5 * (expected * (1 - expected) / 600) ** 0.5


def test_a_step_of_more_items_than_are_given_at_once_is_summed_from_pieces() -> None:
    module = stepping(6, at_once=2)
    assert module.pieces == [1, 1, 1] * 2
    assert all(float(total["count"]) == pytest.approx(N) for total in module.totals)


def test_missing_items_take_part_in_no_step() -> None:
    module = ready(Stepping(2, passes=5))
    assert isinstance(module, Stepping)
    missing = torch.arange(N) % 3 == 0
    worker.update(module, Call("toy", mail("x", missing), seed=0))
    items = torch.stack([total["items"] for total in module.totals]).sum(0)
    assert not items[missing].any()
    assert float(module.totals[0]["count"]) == pytest.approx(float((~missing).sum()))


def test_a_module_may_take_the_whole_plate_at_once():
    class Whole(Module):
        x = In(Point)
        z = Out(Gaussian, back=GaussianPotential)
        dtype = torch.float64
        at_once = 2

        def event_shapes(self, x):
            return {"z": x}

        def setup(self, context):
            super().setup(context)
            self.mean = torch.zeros(2, dtype=torch.float64)

        def update(self, x, z):
            self.mean = x.value.mean(0)
            return Outbox(z=Gaussian(self.mean.expand(len(x), -1), torch.ones(len(x), 2, dtype=torch.float64)))

        def state_dict(self):
            return {"mean": self.mean}

        def load_state_dict(self, state):
            self.mean = state["mean"]

    mask = torch.arange(N) == 3
    module = ready(Whole(), x=(2,), z=(2,))
    outbox = worker.update(module, Call("toy", {**mail("x", mask), "z": None}, seed=0)).outbox
    torch.testing.assert_close(module.mean, VALUES[~mask].mean(0))
    sent = outbox.messages["z"]
    assert isinstance(sent, Gaussian)
    assert torch.equal(sent.missing_rows(), mask)


def test_what_a_module_cannot_do_is_refused() -> None:
    sink = ready(Sink())
    with refused(CapabilityError, "toy (Sink)", "'predict'", "to predict 'x'"):
        worker.predict(sink, Call("toy", mail("x"), seed=0), "x")
    assert worker.evaluate(sink, Call("toy", mail("x"), seed=0)) is not None  # nothing learnt, no terms
    assert worker.evaluate(ready(Walk()), Call("toy", mail("x"), seed=0)) is None  # learns, and says nothing


def test_predictions_are_of_the_whole_plate() -> None:
    module = noisy()
    module.at_once = 4
    sent = worker.update(module, Call("toy", mail(), seed=0)).outbox.messages["z"]
    assert isinstance(sent, Gaussian)
    predicted = worker.predict(module, Call("toy", {**mail(), "z": Parcel(sent, Gaussian)}, seed=0), "y")
    assert isinstance(predicted, Point)
    torch.testing.assert_close(predicted.value, sent.mean + module.shift)


def test_of_a_plate_without_any_row_that_is_there_all_that_is_sent_is_flagged() -> None:
    missing = torch.ones(N, dtype=torch.bool)
    module = noisy()
    outbox = worker.send(module, Call("toy", mail(missing=missing), seed=0))
    sent, expected = outbox.messages["z"], worker.send(module, Call("toy", mail(), seed=0)).messages["z"]
    assert isinstance(sent, Gaussian)
    assert isinstance(expected, Gaussian)
    assert torch.equal(sent.missing_rows(), missing)
    assert (sent.mean.shape, sent.variance.shape) == (expected.mean.shape, expected.variance.shape)
    mailed = {**mail(missing=missing), "z": Parcel(sent, Gaussian)}
    predicted = worker.predict(module, Call("toy", mailed, seed=0), "y")
    assert isinstance(predicted, Point)
    assert torch.equal(predicted.missing_rows(), missing)
    assert predicted.value.shape == VALUES.shape


def test_a_temperature_is_for_modules_that_take_one() -> None:
    centre, call = ready(Centre()), Call("toy", {}, seed=3)
    assert isinstance(centre, Centre)
    warm, hot = (worker.sample(centre, call, 4, {}, temperature)["x"] for temperature in (1.0, 9.0))
    assert isinstance(warm, torch.Tensor)
    assert isinstance(hot, torch.Tensor)
    torch.testing.assert_close(hot - centre.mean, 3 * (warm - centre.mean))
    module = noisy()
    assert worker.sample(module, call, 4, {"z": None}).keys() == {"z", "y"}
    with refused(CapabilityError, "toy (Noisy)", "takes none", "Noisy.sample an argument `temperature=1.0`"):
        worker.sample(module, call, 4, {"z": None}, 2.0)
