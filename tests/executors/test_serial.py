"""One process: modules are set up on their seeds, and progress is heard."""

from __future__ import annotations

import torch

from pgmgraph import Context, Point, SerialExecutor
from pgmgraph.executors import Call
from pgmgraph.plates import Parcel
from tests.toys import Centre, Regression, Walk

CPU = torch.device("cpu")


def context(name: str, seed: int) -> Context:
    return Context(name, {"x": (2,)}, frozenset({"x"}), frozenset(), CPU, torch.float32, seed)


def mail() -> dict[str, Parcel]:
    return {"x": Parcel(Point(torch.arange(16.0).reshape(8, 2)), Point)}


class Rolling(Walk):
    """Draws a number as it is set up."""

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.rolled = float(torch.rand(()))


def test_modules_are_set_up_on_seeds_of_their_own() -> None:
    first, second, third = Rolling(), Rolling(), Rolling()
    modules = {"first": first, "second": second, "third": third}
    contexts = {"first": context("first", 1), "second": context("second", 2), "third": context("third", 1)}
    before = torch.get_rng_state()
    SerialExecutor().setup(modules, contexts, lambda *progress: None)
    assert first.rolled == third.rolled != second.rolled
    assert torch.equal(torch.get_rng_state(), before)


def test_who_is_set_up_already_is_left_alone() -> None:
    module = Rolling()
    SerialExecutor().setup({"one": module}, {"one": context("one", 1)}, lambda *progress: None)
    rolled = module.rolled
    SerialExecutor().setup({"one": module}, {}, lambda *progress: None)
    assert module.rolled == rolled


def test_progress_is_heard_with_the_modules_name() -> None:
    heard = []
    executor = SerialExecutor()
    modules = {"one": Regression()}
    executor.setup(modules, {"one": context("one", 1)}, lambda *progress: heard.append(progress))
    executor.update([Call("one", mail(), seed=3)])
    [(name, done, total, values)] = heard
    assert (name, done, total) == ("one", 1, 1)
    assert values["loss"] > 0


def test_calls_are_answered_in_order() -> None:
    executor, centre, walk = SerialExecutor(), Centre(), Walk()
    executor.setup(
        {"centre": centre, "walk": walk},
        {"centre": context("centre", 1), "walk": context("walk", 1)},
        lambda *progress: None,
    )
    calls = [
        Call("walk", mail(), seed=1),
        Call("centre", {"x": Parcel(mail()["x"].message, Centre.x.accepts[0])}, seed=1),
    ]
    walked, centred = executor.update(calls)
    assert not walked.outbox.messages
    assert set(centred.outbox.messages) == {"x"}
    answers = [terms() for terms in executor.evaluate(calls)]
    assert [terms and set(terms.values) for terms in answers] == [
        None,
        {"log p(x|mu)", "-KL mu"},
    ]
    drawn = executor.sample(calls[1], 5, {})["x"]
    assert isinstance(drawn, torch.Tensor)
    assert drawn.shape == (5, 2)
