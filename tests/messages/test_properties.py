"""What every operation on messages keeps, whatever the shapes, dtypes, scales and rows that are missing."""

from __future__ import annotations

import dataclasses
import itertools
import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pgmgraph.errors import MessageError
from pgmgraph.messages import (
    Categorical,
    Gaussian,
    GaussianPotential,
    Message,
    Point,
    PooledGaussianPotential,
    convert,
    difference,
)
from tests.messages.strategies import BELIEFS, FLOATS, KINDS, MIXTURES, POOLED, POTENTIALS, masks, messages, together
from tests.refusals import refused

CPU = torch.device("cpu")
some = settings(deadline=None, max_examples=40, derandomize=True)
dtypes = st.sampled_from(FLOATS)


def assert_same(one: Message, other: Message) -> None:
    """The same kind, the same numbers bit for bit, the same rows missing."""
    assert type(one) is type(other)
    assert one.event_shape == other.event_shape
    assert torch.equal(one.missing_rows(), other.missing_rows())
    for field in dataclasses.fields(one):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if field.name != "missing":
            equal = torch.equal(before, after) if isinstance(before, Tensor) else before == after
            assert equal, f"{field.name} differs"


def slices(n: int) -> st.SearchStrategy[slice]:
    ends = st.none() | st.integers(-n - 2, n + 2)
    return st.builds(slice, ends, ends, st.none() | st.integers(1, 3))


def indices(n: int) -> st.SearchStrategy[Tensor]:
    """Rows in any order, some of them twice, some counted from the end; perhaps none."""
    rows = st.lists(st.integers(-n, n - 1), max_size=8) if n else st.just([])
    return rows.map(lambda chosen: torch.tensor(chosen, dtype=torch.int64))


# Indexing, joining, spreading


@some
@given(messages(), st.data())
def test_a_slice_is_its_rows_and_slices_compose(messages: list[Message], data: st.DataObject) -> None:
    rows = torch.arange(len(messages[0]))
    outer = data.draw(slices(len(rows)))
    inner = data.draw(slices(len(rows[outer])))
    for message in messages:
        assert_same(message[outer], message[rows[outer]])
        assert_same(message[outer][inner], message[rows[outer][inner]])


@some
@given(messages(), st.data())
def test_indices_compose(messages: list[Message], data: st.DataObject) -> None:
    first = data.draw(indices(len(messages[0])))
    second = data.draw(indices(len(first)))
    for message in messages:
        assert len(message[first]) == len(first)
        assert_same(message[first][second], message[first[second]])
        assert_same(message[torch.arange(len(message))], message)


@some
@given(messages(), st.data())
def test_pieces_put_together_are_the_whole_in_whatever_groups(messages: list[Message], data: st.DataObject) -> None:
    n = len(messages[0])
    cuts = sorted([0, n, *data.draw(st.lists(st.integers(0, n), max_size=3))])
    group = data.draw(st.integers(1, len(cuts) - 1))
    for message in messages:
        kind, pieces = type(message), [message[begin:end] for begin, end in itertools.pairwise(cuts)]
        # A piece in which nothing is missing need not say so.
        pieces = [piece if piece.missing_rows().any() else dataclasses.replace(piece, missing=None) for piece in pieces]
        assert_same(kind.concatenate(pieces), message)
        assert_same(kind.concatenate([kind.concatenate(pieces[:group]), *pieces[group:]]), message)


@some
@given(messages(), st.integers(0, 3), st.data())
def test_what_is_spread_is_found_where_it_was_put(messages: list[Message], absent: int, data: st.DataObject) -> None:
    n = len(messages[0]) + absent
    order = torch.tensor(data.draw(st.permutations(range(n))), dtype=torch.int64)
    rows, others = order[absent:], order[:absent]
    for message in messages:
        whole = message.spread(rows, n)
        assert len(whole) == n
        assert_same(whole[rows], message)
        assert_same(whole[others], message.blank(absent))


@some
@given(messages(), st.integers(0, 4))
def test_placeholders_are_missing_finite_and_neutral(messages: list[Message], n: int) -> None:
    for message in messages:
        blank = message.blank(n)
        assert len(blank) == n
        assert type(blank) is type(message)
        assert blank.event_shape == message.event_shape
        assert blank.missing_rows().all()
        blank.check_finite("placeholders")
        assert all(getattr(blank, name).dtype == getattr(message, name).dtype for name in message.per_item)
        if isinstance(message, GaussianPotential):
            assert_same(message * message.blank(len(message)), message)


@some
@given(together(POTENTIALS, POTENTIALS), st.data())
def test_products_commute_and_go_with_slicing(pairs: list[tuple[Message, ...]], data: st.DataObject) -> None:
    n = len(pairs[0][0])
    of_one, of_other, rows = data.draw(masks(n)), data.draw(masks(n)), data.draw(indices(n))
    for one, other in pairs:
        f, g = dataclasses.replace(one, missing=of_one), dataclasses.replace(other, missing=of_other)
        assert isinstance(f, GaussianPotential)
        assert isinstance(g, GaussianPotential)
        assert_same(f * g, g * f)
        assert_same((f * g)[rows], f[rows] * g[rows])
        assert torch.equal((f * g).missing_rows(), f.missing_rows() & g.missing_rows())


# Moving and casting


@some
@given(messages(), dtypes)
def test_a_cast_is_made_once_and_there_is_a_way_back(messages: list[Message], dtype: torch.dtype) -> None:
    for message in messages:
        cast = message.to(dtype=dtype)
        assert_same(cast.to(dtype=dtype), cast)
        assert cast.to(CPU) is cast
        assert torch.equal(cast.missing_rows(), message.missing_rows())
        if isinstance(cast, Point):  # which is scaled as it is cast
            assert not cast.value[message.missing_rows()].any()
        else:
            before = getattr(message, (*message.per_item, *message.shared)[0]).dtype
            if torch.finfo(dtype).bits >= torch.finfo(before).bits:
                assert_same(cast.to(dtype=before), message)


@some
@given(messages(), dtypes, st.data())
def test_casting_goes_with_slicing_and_joining(
    messages: list[Message], dtype: torch.dtype, data: st.DataObject
) -> None:
    n = len(messages[0])
    rows, cut = data.draw(indices(n)), data.draw(st.integers(0, n))
    for message in messages:
        assert_same(message[rows].to(dtype=dtype), message.to(dtype=dtype)[rows])
        pieces = [message[:cut].to(dtype=dtype), message[cut:].to(dtype=dtype)]
        assert_same(type(message).concatenate(pieces), message.to(dtype=dtype))


@some
@given(messages(), st.none() | dtypes)
def test_everything_moves_and_moves_once(messages: list[Message], dtype: torch.dtype | None) -> None:
    away = torch.device("meta")  # a device on which tensors have shapes and nothing else
    for message in messages:
        moved = message.to(away, dtype)
        tensors = [getattr(moved, name) for name in (*moved.per_item, *moved.shared)]
        assert {tensor.device for tensor in tensors} == {moved.device} == {away}
        assert moved.missing is None or moved.missing.device == away
        assert len(moved) == len(message)
        assert message.to(CPU) is message
        if message.missing is None or not isinstance(message, Point):  # a point's missing rows are zeroed by each cast
            assert moved.to(away, dtype) is moved


# What is not finite


@some
@given(messages(kinds=[kind for kind in KINDS if kind not in ("bytes", *MIXTURES)], least=1), st.data())
def test_check_finite_names_exactly_the_bad_rows(messages: list[Message], data: st.DataObject) -> None:
    n = len(messages[0])
    rows = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    dice = data.draw(st.randoms(use_true_random=False))
    for message in messages:
        message.check_finite("vae.z")
        name = dice.choice(message.per_item)
        broken = getattr(message, name).clone()
        for row in rows:
            entry = tuple(dice.randrange(length) for length in broken[row].shape)
            broken[(row, *entry)] = dice.choice([math.nan, math.inf] + ([] if name == "log_weights" else [-math.inf]))
        parts = f"{type(message).__name__}.{name}", "vae.z", f"{len(rows)} of {n} rows"
        with refused(MessageError, *parts) as caught:
            dataclasses.replace(message, **{name: broken}).check_finite("vae.z")
        assert caught.value.rows == tuple(rows[:5])


@some
@given(messages(kinds=(*POOLED, *MIXTURES)), st.data())
def test_check_finite_looks_at_every_shared_number(messages: list[Message], data: st.DataObject) -> None:
    dice = data.draw(st.randoms(use_true_random=False))
    for message, name in itertools.product(messages, ("shift", "precision", "log_scale")):
        message.check_finite("gmm.x")
        broken = getattr(message, name).clone()
        broken.view(-1)[dice.randrange(broken.numel())] = dice.choice([math.nan, math.inf])
        with refused(MessageError, f"finite {name} from gmm.x"):
            dataclasses.replace(message, **{name: broken}).check_finite("gmm.x")


# Conversions


@some
@given(messages(kinds=("point", "scaled point", "bytes")), st.data())
def test_a_point_is_a_belief_without_variance(messages: list[Message], data: st.DataObject) -> None:
    rows = data.draw(indices(len(messages[0])))
    for message in messages:
        assert isinstance(message, Point)
        dtype = message.value.dtype if message.value.is_floating_point() else torch.get_default_dtype()
        q = convert(message, Gaussian)
        assert isinstance(q, Gaussian)
        assert_same(convert(q, Point, "mean"), message.to(dtype=dtype))
        assert not q.variance.any()
        assert_same(convert(message[rows], Gaussian), q[rows])


@some
@given(messages(kinds=POOLED), st.data())
def test_the_dense_potential_of_a_certain_component_is_it(messages: list[Message], data: st.DataObject) -> None:
    first = messages[0]
    assert isinstance(first, PooledGaussianPotential)
    n, k = first.weights.shape
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)), dtype=torch.int64)
    for message in messages:
        assert isinstance(message, PooledGaussianPotential)
        weights = torch.nn.functional.one_hot(chosen, k).to(message.weights)
        f = convert(dataclasses.replace(message, weights=weights), GaussianPotential)
        components = message.shift[chosen], message.precision[chosen], message.log_scale[chosen]
        assert_same(f, GaussianPotential(*components, missing=message.missing))


@some
@given(messages(kinds=(*BELIEFS, "categorical")), st.data())
def test_what_is_asked_for_by_name_keeps_its_rows(messages: list[Message], data: st.DataObject) -> None:
    rows = data.draw(indices(len(messages[0])))
    for message in messages:
        name = "probs" if isinstance(message, Categorical) else "mean"
        point = convert(message, Point, name)
        assert_same(point, Point(getattr(message, name), missing=message.missing))
        assert_same(convert(message[rows], Point, name), point[rows])


# How far two messages are apart


@some
@given(messages(), st.data())
def test_a_difference_is_a_share_that_knows_no_units(messages: list[Message], data: st.DataObject) -> None:
    order = torch.tensor(data.draw(st.permutations(range(len(messages[0])))), dtype=torch.int64)
    for message in messages:
        other = message[order]
        assert difference(message, dataclasses.replace(message)) == 0.0
        assert difference(message, other) == difference(other, message)
        assert 0.0 <= difference(message, other) <= 1 + 1e-12
        assert difference(None, message) == 1.0
        assert difference(message, message.blank(len(message) + 1)) == 1.0
        if isinstance(message, Point) and message.value.is_floating_point():
            twice = Point(2 * message.value), Point(2 * message.value[order])
            assert difference(*twice) == difference(message, other)
            opposite = dataclasses.replace(message, value=-message.value)
            assert difference(message, opposite) == (1.0 if message.value.any() else 0.0)
