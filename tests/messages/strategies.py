"""Messages of every kind: any N, D, K, dtype and scale, ordinary and degenerate, with rows missing or not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    Message,
    MixturePotential,
    Point,
    PooledGaussianPotential,
)

FLOATS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Size:
    """N items, D dimensions, K components or classes."""

    n: int
    d: int
    k: int


class Numbers:
    """Random tensors of one dtype and scale; about a third of what may degenerate does."""

    def __init__(self, seed: int, dtype: torch.dtype, exponent: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._dtype = dtype
        self._scale = 10.0**exponent

    def normal(self, *shape: int) -> Tensor:
        return (self._scale * self._noise(*shape)).to(self._dtype)

    def covariances(self, n: int, d: int, full: bool) -> Tensor:
        """Symmetric and positive semi-definite: some singular, some all zero; their diagonals unless `full`."""
        root = self._noise(n, d, d) * ~self._sometimes(n, d, 1) * ~self._sometimes(n, 1, d)
        covariances = (self._scale * (root @ root.mT)).to(self._dtype)
        return covariances if full else covariances.diagonal(dim1=-2, dim2=-1).contiguous()

    def probabilities(self, n: int, k: int) -> Tensor:
        """Rows that sum to 1; some of them put all on one class."""
        certain = torch.nn.functional.one_hot(torch.randint(k, (n,), generator=self._generator), k).double()
        return torch.where(self._sometimes(n, 1), certain, torch.softmax(self._noise(n, k), 1)).to(self._dtype)

    def log_weights(self, n: int, k: int) -> Tensor:
        """Some of them minus infinity, but never the last."""
        impossible = self._sometimes(n, k)
        impossible[:, -1] = False
        return self.normal(n, k).masked_fill(impossible, -torch.inf)

    def _noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64)

    def _sometimes(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._generator) < 1 / 3


def _gaussian(size: Size, numbers: Numbers, full: bool) -> Gaussian:
    return Gaussian(numbers.normal(size.n, size.d), numbers.covariances(size.n, size.d, full))


def _gaussian_potential(size: Size, numbers: Numbers, full: bool) -> GaussianPotential:
    precision = numbers.covariances(size.n, size.d, full)
    return GaussianPotential(numbers.normal(size.n, size.d), precision, numbers.normal(size.n))


def _pooled(size: Size, numbers: Numbers, full: bool) -> PooledGaussianPotential:
    weights, precision = numbers.probabilities(size.n, size.k), numbers.covariances(size.k, size.d, full)
    return PooledGaussianPotential(weights, numbers.normal(size.k, size.d), precision, numbers.normal(size.k))


def _mixture(size: Size, numbers: Numbers, full: bool) -> MixturePotential:
    log_weights, precision = numbers.log_weights(1, size.k)[0], numbers.covariances(size.k, size.d, full)
    return MixturePotential(size.n, log_weights, numbers.normal(size.k, size.d), precision, numbers.normal(size.k))


def _bytes(size: Size, numbers: Numbers) -> Point:
    return Point(numbers.normal(size.n, size.d).abs().clamp_max(255).to(torch.uint8), scale=1 / 255)


KINDS: dict[str, Callable[[Size, Numbers], Message]] = {
    "point": lambda size, numbers: Point(numbers.normal(size.n, size.d)),
    "scaled point": lambda size, numbers: Point(numbers.normal(size.n, size.d), scale=0.5),
    "image": lambda size, numbers: Point(numbers.normal(size.n, size.d, size.k)),
    "bytes": _bytes,
    "diagonal gaussian": lambda size, numbers: _gaussian(size, numbers, full=False),
    "full gaussian": lambda size, numbers: _gaussian(size, numbers, full=True),
    "diagonal gaussian potential": lambda size, numbers: _gaussian_potential(size, numbers, full=False),
    "full gaussian potential": lambda size, numbers: _gaussian_potential(size, numbers, full=True),
    "categorical": lambda size, numbers: Categorical(numbers.probabilities(size.n, size.k)),
    "categorical potential": lambda size, numbers: CategoricalPotential(numbers.log_weights(size.n, size.k)),
    "diagonal pooled potential": lambda size, numbers: _pooled(size, numbers, full=False),
    "full pooled potential": lambda size, numbers: _pooled(size, numbers, full=True),
    "diagonal mixture potential": lambda size, numbers: _mixture(size, numbers, full=False),
    "full mixture potential": lambda size, numbers: _mixture(size, numbers, full=True),
}
BELIEFS = ("diagonal gaussian", "full gaussian")
POTENTIALS = ("diagonal gaussian potential", "full gaussian potential")
POOLED = ("diagonal pooled potential", "full pooled potential")
MIXTURES = ("diagonal mixture potential", "full mixture potential")


# Hypothesis tries variations of an example before it tries another; what must all be tried is not left to chance.


@st.composite
def sizes(draw: st.DrawFn, least: int = 0) -> Size:
    some = st.sampled_from((2, 1, 3, 4))
    return Size(draw(st.sampled_from([n for n in (2, 5, 1, 3, 0) if n >= least])), draw(some), draw(some))


@st.composite
def numbers(draw: st.DrawFn, extreme: bool = True) -> Callable[[torch.dtype], Numbers]:
    """Huge and tiny ones too, as far as products of three of them stay within the dtype's range."""
    seeds = random.Random(draw(st.integers(0, 2**32)))
    exponent = draw(st.sampled_from((0, -1, 1, 0.25) if extreme else (0, -0.25, 0.25)))

    def of_dtype(dtype: torch.dtype) -> Numbers:
        return Numbers(seeds.randrange(2**32), dtype, round(exponent * (8 if dtype == torch.float32 else 60)))

    return of_dtype


@st.composite
def masks(draw: st.DrawFn, n: int) -> Tensor | None:
    """Rows that are missing: any of them, none of them, or no word about it."""
    rows = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return None if not any(rows) and draw(st.booleans()) else torch.tensor(rows, dtype=torch.bool)


@st.composite
def messages(draw: st.DrawFn, kinds: Sequence[str] = tuple(KINDS), least: int = 0) -> list[Message]:
    """A message of each kind and dtype, all of one size and with the same rows missing."""
    size = draw(sizes(least))
    of_dtype, missing = draw(numbers()), draw(masks(size.n))
    made = [KINDS[kind](size, of_dtype(dtype)) for kind in kinds for dtype in FLOATS]
    return [replace(message, missing=missing) for message in made]


@st.composite
def together(
    draw: st.DrawFn, *groups: Sequence[str], least: int = 0, extreme: bool = True
) -> list[tuple[Message, ...]]:
    """Messages about one variable, one of each group of kinds in all ways and dtypes, each of a scale of its own."""
    size = draw(sizes(least))
    scales = [draw(numbers(extreme)) for _ in groups]
    return [
        tuple(KINDS[kind](size, of_dtype(dtype)) for kind, of_dtype in zip(kinds, scales, strict=True))
        for kinds in itertools.product(*groups)
        for dtype in FLOATS
    ]
