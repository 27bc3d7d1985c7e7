"""What every operation on messages keeps, whatever the shapes, dtypes, scales and rows that are missing."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

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
)
from tests.messages.strategies import BELIEFS, FLOATS, KINDS, MIXTURES, POOLED, POTENTIALS, masks, messages, together
from tests.refusals import refused

CPU = torch.device("cpu")
some = settings(deadline=None, max_examples=60, derandomize=True)
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
def test_a_slice_is_its_rows_and_slices_compose(message: Message, data: st.DataObject) -> None:
    n = len(message)
    outer = data.draw(slices(n))
    part = message[outer]
    assert_same(part, message[torch.arange(n)[outer]])
    inner = data.draw(slices(len(part)))
    assert_same(part[inner], message[torch.arange(n)[outer][inner]])


@some
@given(messages(), st.data())
def test_indices_compose(message: Message, data: st.DataObject) -> None:
    first = data.draw(indices(len(message)))
    second = data.draw(indices(len(first)))
    assert len(message[first]) == len(first)
    assert_same(message[first][second], message[first[second]])
    assert_same(message[torch.arange(len(message))], message)


@some
@given(messages(), st.data())
def test_pieces_put_together_are_the_whole_in_whatever_groups(message: Message, data: st.DataObject) -> None:
    n, kind = len(message), type(message)
    cuts = sorted([0, n, *data.draw(st.lists(st.integers(0, n), max_size=3))])
    pieces = [message[begin:end] for begin, end in pairwise(cuts)]
    # A piece in which nothing is missing need not say so.
    pieces = [piece if piece.missing_rows().any() else dataclasses.replace(piece, missing=None) for piece in pieces]
    assert_same(kind.concatenate(pieces), message)
    group = data.draw(st.integers(1, len(pieces)))
    assert_same(kind.concatenate([kind.concatenate(pieces[:group]), *pieces[group:]]), message)


@some
@given(messages(), st.integers(0, 3), st.data())
def test_what_is_spread_is_found_where_it_was_put(message: Message, absent: int, data: st.DataObject) -> None:
    n = len(message) + absent
    order = torch.tensor(data.draw(st.permutations(range(n))), dtype=torch.int64)
    rows, others = order[: len(message)], order[len(message) :]
    whole = message.spread(rows, n)
    assert len(whole) == n
    assert_same(whole[rows], message)
    assert_same(whole[others], message.blank(absent))


@some
@given(messages(), st.integers(0, 4))
def test_placeholders_are_missing_finite_and_neutral(message: Message, n: int) -> None:
    blank = message.blank(n)
    assert len(blank) == n
    assert type(blank) is type(message)
    assert blank.event_shape == message.event_shape
    assert blank.missing_rows().all()
    blank.check_finite("placeholders")
    assert [getattr(blank, name).dtype for name in blank.per_item] == [
        getattr(message, name).dtype for name in message.per_item
    ]
    if isinstance(message, GaussianPotential):
        assert_same(message * message.blank(len(message)), message)


@some
@given(together(POTENTIALS, POTENTIALS), st.data())
def test_products_commute_and_go_with_slicing(both: list[Message], data: st.DataObject) -> None:
    f, g = (dataclasses.replace(one, missing=data.draw(masks(len(one)))) for one in both)
    assert isinstance(f, GaussianPotential)
    assert isinstance(g, GaussianPotential)
    assert_same(f * g, g * f)
    rows = data.draw(indices(len(f)))
    assert_same((f * g)[rows], f[rows] * g[rows])
    assert torch.equal((f * g).missing_rows(), f.missing_rows() & g.missing_rows())


# Moving and casting


@some
@given(messages(), dtypes)
def test_a_cast_is_made_once_and_there_is_a_way_back(message: Message, dtype: torch.dtype) -> None:
    cast = message.to(dtype=dtype)
    assert_same(cast.to(dtype=dtype), cast)
    assert cast.to(CPU) is cast
    assert torch.equal(cast.missing_rows(), message.missing_rows())
    if not isinstance(message, Point):  # a point is scaled as it is cast, and its missing rows are zero
        before = getattr(message, (*message.per_item, *message.shared)[0]).dtype
        if torch.finfo(dtype).bits >= torch.finfo(before).bits:
            assert_same(cast.to(dtype=before), message)


@some
@given(messages(), dtypes, st.data())
def test_casting_goes_with_slicing_and_joining(message: Message, dtype: torch.dtype, data: st.DataObject) -> None:
    rows = data.draw(indices(len(message)))
    assert_same(message[rows].to(dtype=dtype), message.to(dtype=dtype)[rows])
    cut = data.draw(st.integers(0, len(message)))
    pieces = [message[:cut].to(dtype=dtype), message[cut:].to(dtype=dtype)]
    assert_same(type(message).concatenate(pieces), message.to(dtype=dtype))


@some
@given(messages(), st.none() | dtypes)
def test_everything_moves_and_moves_once(message: Message, dtype: torch.dtype | None) -> None:
    away = torch.device("meta")  # a device on which tensors have shapes and nothing else
    moved = message.to(away, dtype)
    tensors = [getattr(moved, name) for name in (*moved.per_item, *moved.shared)]
    assert {tensor.device for tensor in tensors} == {moved.device} == {away}
    assert moved.missing is None or moved.missing.device == away
    assert len(moved) == len(message)
    assert message.to(CPU) is message
    if message.missing is None or not isinstance(message, Point):  # a point's missing rows are zeroed at every cast
        assert moved.to(away, dtype) is moved


# What is not finite


@some
@given(messages(kinds=tuple(set(KINDS) - {"bytes", *MIXTURES}), least=1), st.data())
def test_check_finite_names_exactly_the_bad_rows(message: Message, data: st.DataObject) -> None:
    n = len(message)
    message.check_finite("vae.z")
    name = data.draw(st.sampled_from(message.per_item))
    bad = [math.nan, math.inf] + ([] if name == "log_weights" else [-math.inf])
    rows = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    broken = getattr(message, name).clone()
    for row in rows:
        flat = broken[row].reshape(-1)
        flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(st.sampled_from(bad))
        broken[row] = flat.reshape(broken[row].shape)
    parts = f"{type(message).__name__}.{name}", "vae.z", f"{len(rows)} of {n} rows"
    with refused(MessageError, *parts) as caught:
        dataclasses.replace(message, **{name: broken}).check_finite("vae.z")
    assert caught.value.rows == tuple(rows[:5])


@some
@given(messages(kinds=(*POOLED, *MIXTURES)), st.data())
def test_check_finite_looks_at_every_shared_number(message: Message, data: st.DataObject) -> None:
    message.check_finite("gmm.x")
    name = data.draw(st.sampled_from(message.shared))
    broken = getattr(message, name).clone()
    entry = data.draw(st.integers(0, broken.numel() - 1))
    broken.view(-1)[entry] = data.draw(st.sampled_from([math.nan, math.inf]))
    with refused(MessageError, f"finite {name} from gmm.x"):
        dataclasses.replace(message, **{name: broken}).check_finite("gmm.x")


# Conversions


@some
@given(messages(kinds=("point", "scaled point", "bytes")), st.data())
def test_a_point_is_a_belief_without_variance(message: Message, data: st.DataObject) -> None:
    assert isinstance(message, Point)
    dtype = message.value.dtype if message.value.is_floating_point() else torch.get_default_dtype()
    q = convert(message, Gaussian)
    assert_same(convert(q, Point, "mean"), message.to(dtype=dtype))
    assert isinstance(q, Gaussian)
    assert not q.variance.any()
    rows = data.draw(indices(len(message)))
    assert_same(convert(message[rows], Gaussian), q[rows])


@some
@given(messages(kinds=POOLED), st.data())
def test_the_dense_potential_of_a_certain_component_is_that_component(message: Message, data: st.DataObject) -> None:
    assert isinstance(message, PooledGaussianPotential)
    k = message.weights.shape[1]
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, k - 1), min_size=len(message), max_size=len(message))))
    chosen = chosen.to(torch.int64)
    weights = torch.nn.functional.one_hot(chosen, k).to(message.weights)
    f = convert(dataclasses.replace(message, weights=weights), GaussianPotential)
    components = [getattr(message, name)[chosen] for name in ("shift", "precision", "log_scale")]
    assert_same(f, GaussianPotential(*components, missing=message.missing))


@some
@given(messages(kinds=(*BELIEFS, "categorical")), st.data())
def test_what_is_asked_for_by_name_keeps_its_rows(message: Message, data: st.DataObject) -> None:
    name = "probs" if isinstance(message, Categorical) else "mean"
    point = convert(message, Point, name)
    rows = data.draw(indices(len(message)))
    assert_same(point, Point(getattr(message, message.per_item[0]), missing=message.missing))
    assert_same(convert(message[rows], Point, name), point[rows])
