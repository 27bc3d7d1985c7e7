"""Pieces put together once are what they are when they are joined and spread, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pgmgraph import (
    Categorical,
    Gaussian,
    GaussianPotential,
    Message,
    MixturePotential,
    Outbox,
    Point,
    PooledGaussianPotential,
)
from pgmgraph.errors import MessageError
from pgmgraph.executors.assembly import Assembly, TermsAssembly, growing
from pgmgraph.executors.spill import Spill
from pgmgraph.messages import SparsePoint
from pgmgraph.plates import Batches, Parcel
from tests.bits import bits_of
from tests.refusals import refused

CPU = torch.device("cpu")
N, D, K = 11, 3, 4
RANDOM = torch.Generator().manual_seed(0)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=RANDOM, dtype=dtype)


def sparse() -> SparsePoint:
    return SparsePoint.of(Point(drawn(N, 6).relu()))


COVARIANCES = drawn(N, D, 2 * D)
MESSAGES: tuple[Message, ...] = (
    Gaussian(drawn(N, D), drawn(N, D).exp()),
    Gaussian(drawn(N, D), COVARIANCES @ COVARIANCES.mT),
    GaussianPotential(drawn(N, D), drawn(N, D).exp(), drawn(N, dtype=torch.float64)),
    Categorical(drawn(N, K, dtype=torch.float64).softmax(1)),
    Point(torch.arange(N * 4, dtype=torch.uint8).reshape(N, 2, 2), scale=1 / 255),
    PooledGaussianPotential(drawn(N, K), drawn(K, D), drawn(K, D, D), drawn(K)),
    MixturePotential(N, drawn(K), drawn(K, D), drawn(K, D), drawn(K)),
    sparse(),
)


def batches(missing: torch.Tensor | None = None) -> Batches:
    mail = {"x": Parcel(Point(torch.zeros(N, 1), missing=missing), None)}
    return Batches(mail, frozenset({"x"}), CPU, torch.float32)


def flags(*rows: int) -> torch.Tensor:
    return torch.tensor([row in rows for row in range(N)])


def same(one: Message, other: Message) -> bool:
    """Alike to the last bit; where a sparse row's entries lie is nobody's concern."""
    if isinstance(one, SparsePoint) and isinstance(other, SparsePoint):
        return same(one.dense(), other.dense())
    return bits_of(one) == bits_of(other)


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("absent", [(), (0,), (2, 3, 10), tuple(range(1, N))])
@pytest.mark.parametrize("size", [1, 4, 11])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_grows_to_what_its_pieces_join_and_spread_to(
    tmp_path: Path, message: Message, size: int, absent: tuple[int, ...], spilled: bool
) -> None:
    given = batches(flags(*absent) if absent else None)
    whole = message if given.rows is None else message[given.rows]
    pieces = [whole[begin : begin + size] for begin in range(0, len(whole), size)]
    expected = type(whole).concatenate(pieces)
    if given.rows is not None:
        expected = expected.spread(given.rows, N)
    grown = growing(pieces[0], given, Spill(0, tmp_path) if spilled else None)
    for piece in pieces:
        grown.add(piece)
    assert same(grown.whole(), expected)
    assert list(tmp_path.iterdir()) == []


def test_flags_of_some_pieces_are_flags_of_the_whole() -> None:
    message = Gaussian(drawn(N, D), drawn(N, D).exp(), missing=flags(4, 9))
    first = Gaussian(message.mean[:4], message.variance[:4])
    grown = growing(first, batches(), None)
    for piece in (first, message[4:8], message[8:]):
        grown.add(piece)
    assert same(grown.whole(), message)


def test_a_piece_that_is_all_there_is_is_not_copied() -> None:
    message = Gaussian(drawn(N, D), drawn(N, D).exp())
    grown = growing(message, batches(), Spill(10**6))
    grown.add(message)
    assert grown.whole() is message


def test_the_tensors_of_the_plate_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []
    empty = torch.empty

    def counted(shape: tuple[int, ...], **options: object) -> torch.Tensor:
        made.append(shape)
        return empty(shape, **options)  # type: ignore[call-overload, no-any-return]  # as it was given

    message = Gaussian(drawn(N, D), drawn(N, D).exp())
    pieces = [message[begin : begin + 2] for begin in range(0, N, 2)]
    monkeypatch.setattr("pgmgraph.executors.assembly.torch.empty", counted)
    grown = growing(pieces[0], batches(), None)
    for piece in pieces:
        grown.add(piece)
    whole = grown.whole()
    assert isinstance(whole, Gaussian)
    assert made == [(N, D), (N, D)]


def test_pieces_that_differ_are_refused() -> None:
    one = Gaussian(drawn(4, D), drawn(4, D).exp())
    for other, parts in (
        (Point(drawn(4, D)), ("a Gaussian of every minibatch", "got a Point")),
        (Gaussian(drawn(4, 1), drawn(4, 1).exp()), ("Gaussian.mean", "(3,) torch.float32", "got (1,)")),
        (one.to(dtype=torch.float64), ("Gaussian.mean", "torch.float32", "got (3,) torch.float64")),
    ):
        grown = growing(one, batches(), None)
        grown.add(one)
        with refused(MessageError, *parts):
            grown.add(other)


def test_an_outbox_keeps_families_beliefs_and_terms_apart() -> None:
    z, c = Gaussian(drawn(N, D), drawn(N, D).exp()), Categorical(drawn(N, K).softmax(1))
    score = drawn(N, dtype=torch.float64)

    def sent(rows: slice) -> Outbox:
        return Outbox(
            z=z[rows], x={"a": c[rows], "b": z[rows]}, beliefs={"z": z[rows]}, elbo={"t": score[rows], "all": score[0]}
        )

    assembly = Assembly(batches(), None)
    for begin in range(0, N, 4):
        assembly.add(sent(slice(begin, begin + 4)), min(4, N - begin))
    whole = assembly.whole()
    assert assembly.done == N
    expected = sent(slice(None))
    for ours, theirs in ((whole.messages, expected.messages), (whole.beliefs, expected.beliefs)):
        assert bits_of(dict(ours)) == bits_of(dict(theirs))
    assert bits_of(whole.elbo) == bits_of(expected.elbo)


@pytest.mark.parametrize("spill", [None, Spill(0)])
def test_terms_of_items_follow_one_another_and_those_of_all_count_once(spill: Spill | None) -> None:
    terms = TermsAssembly(5, spill)
    terms.add({"each": torch.tensor([1.0, 2.0, 3.0]), "all": torch.tensor(7.0)}, 3)
    terms.add({"each": torch.tensor([4.0, 5.0]), "all": torch.tensor(7.0)}, 2)
    whole = terms.whole()
    assert whole["each"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert whole["all"].shape == ()
    assert float(whole["all"]) == 7.0
