"""One call of one module: sums over minibatches, failures undone, missing rows left out and put back."""

from __future__ import annotations

import copy

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
