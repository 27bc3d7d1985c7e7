"""The table of conversions between messages: exact ones happen by themselves, lossy ones by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from pgmgraph.errors import MessageTypeError
from pgmgraph.messages.base import Message
from pgmgraph.messages.categorical import Categorical
from pgmgraph.messages.gaussian import Gaussian, GaussianPotential
from pgmgraph.messages.mixture import PooledGaussianPotential
from pgmgraph.messages.point import Point
from pgmgraph.messages.sparse import SparsePoint

MessageType = type[Message]
_Conversion = Callable[[Message], Message]

_EXACT: dict[tuple[MessageType, MessageType], _Conversion] = {}
_LOSSY: dict[tuple[MessageType, MessageType, str], _Conversion] = {}


def _point_to_gaussian(message: Message) -> Message:
    assert isinstance(message, Point)
    floating = message.value.is_floating_point()
    value = message.to(dtype=message.value.dtype if floating else torch.get_default_dtype()).value
    return Gaussian(value, torch.zeros_like(value), missing=message.missing)


def _point_to_sparse(message: Message) -> Message:
    assert isinstance(message, Point)
    return SparsePoint.of(message)


def _sparse_to_point(message: Message) -> Message:
    assert isinstance(message, SparsePoint)
    return message.dense()


def _sparse_to_gaussian(message: Message) -> Message:
    return _point_to_gaussian(_sparse_to_point(message))


def _pooled_to_dense(message: Message) -> Message:
    assert isinstance(message, PooledGaussianPotential)
    return message.dense()


def _gaussian_to_mean(message: Message) -> Message:
    assert isinstance(message, Gaussian)
    return Point(message.mean, missing=message.missing)


def _categorical_to_probs(message: Message) -> Message:
    assert isinstance(message, Categorical)
    return Point(message.probs, missing=message.missing)


_EXACT[Point, Gaussian] = _point_to_gaussian
_EXACT[Point, SparsePoint] = _point_to_sparse
_EXACT[SparsePoint, Point] = _sparse_to_point
_EXACT[SparsePoint, Gaussian] = _sparse_to_gaussian
_EXACT[PooledGaussianPotential, GaussianPotential] = _pooled_to_dense
_LOSSY[Gaussian, Point, "mean"] = _gaussian_to_mean
_LOSSY[Categorical, Point, "probs"] = _categorical_to_probs
_LOSSY[Gaussian, SparsePoint, "mean"] = lambda message: _point_to_sparse(_gaussian_to_mean(message))
_LOSSY[Categorical, SparsePoint, "probs"] = lambda message: _point_to_sparse(_categorical_to_probs(message))


def convertible(sent: MessageType, accepted: tuple[MessageType, ...], via: str | None = None) -> MessageType | None:
    """The first of the `accepted` types that a `sent` message can be made into, or None.

    Args:
        sent: the type that is sent.
        accepted: the types that the receiver accepts, preferred ones first.
        via: the name of a lossy conversion that the user asked for.
    """
    if via is None and sent in accepted:
        return sent
    for target in accepted:
        known = (sent, target) in _EXACT if via is None else (sent, target, via) in _LOSSY
        if known:
            return target
    return None


def convert(message: Message, target: MessageType, via: str | None = None) -> Message:
    """`message` as a `target`; itself where it is one already.

    Args:
        message: a message, or a minibatch of one.
        target: the type wanted.
        via: the name of a lossy conversion, for example "mean".

    Raises:
        MessageTypeError: there is no such conversion.
    """
    if via is None and isinstance(message, target):
        return message
    conversion = _EXACT.get((type(message), target)) if via is None else _LOSSY.get((type(message), target, via))
    if conversion is None:
        raise MessageTypeError(
            f"Expected a {target.__name__}; got a {type(message).__name__}, which "
            + ("has no exact conversion to it." if via is None else f"has no conversion to it by via={via!r}.")
        )
    return conversion(message)


def ways(sent: MessageType, accepted: tuple[MessageType, ...]) -> Iterator[str]:
    """The names of the lossy conversions from `sent` to any of the `accepted` types."""
    return iter(dict.fromkeys(name for source, target, name in _LOSSY if source is sent and target in accepted))
