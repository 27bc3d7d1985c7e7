"""What every message is: a frozen batch of tensors over one plate."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.distributions import Distribution

from pgmgraph.errors import MessageError

Index = slice | Tensor

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class Message(ABC):
    """A frozen batch of N messages, one an item of the plate.

    Subclasses are dataclasses whose tensors are named in `per_item` (first dimension N) and `shared`
    (the same for the whole plate). `missing`, (N,) bool or None, flags the items that nothing was
    observed of; their rows hold placeholders, or what `infer` predicts, and must enter no statistic.

    Raises:
        MessageError: the tensors contradict one another.
    """

    per_item: ClassVar[tuple[str, ...]] = ()
    shared: ClassVar[tuple[str, ...]] = ()

    missing: Tensor | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        n = len(self)
        for name in self.per_item:
            tensor: Tensor = getattr(self, name)
            if tensor.ndim == 0 or tensor.shape[0] != n:
                raise MessageError(
                    f"Expected {n} rows in {type(self).__name__}.{name}, as in .{self.per_item[0]}; "
                    f"got shape {tuple(tensor.shape)}."
                )
        if self.missing is not None and (self.missing.shape != (n,) or self.missing.dtype != torch.bool):
            raise MessageError(
                f"Expected {type(self).__name__}.missing as ({n},) bool; "
                f"got {tuple(self.missing.shape)} {self.missing.dtype}."
            )
        self._check_shapes()

    @abstractmethod
    def _check_shapes(self) -> None:
        """Raise MessageError where the trailing dimensions contradict one another."""

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the variable for one item: (D,) for vectors, (K,) for a choice among K."""

    @abstractmethod
    def blank(self, n: int) -> Self:
        """A message of this kind and shape for `n` items, every one flagged missing."""

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        first: Tensor = getattr(self, (*self.per_item, *self.shared)[0])
        return first.device

    def __len__(self) -> int:
        first: Tensor = getattr(self, self.per_item[0])
        return first.shape[0]

    def __getitem__(self, index: Index) -> Self:
        """The items at `index`; a slice shares memory, a tensor of indices copies."""
        if isinstance(index, slice) and index.indices(len(self)) == (0, len(self), 1):
            return self
        changes = {name: getattr(self, name)[index] for name in self.per_item}
        if self.missing is not None:
            changes["missing"] = self.missing[index]
        return dataclasses.replace(self, **changes)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same message on `device`, floating-point tensors as `dtype`; itself where nothing changes."""
        changes: dict[str, Tensor] = {}
        for name in (*self.per_item, *self.shared):
            tensor: Tensor = getattr(self, name)
            there = moved(tensor, device).to(dtype=dtype if tensor.is_floating_point() else None)
            if there is not tensor:
                changes[name] = there
        if self.missing is not None and device is not None and self.missing.device != device:
            changes["missing"] = moved(self.missing, device)
        return dataclasses.replace(self, **changes) if changes else self

    def spread(self, rows: Tensor, n: int) -> Self:
        """This message's items at `rows` of a plate of `n`, every other item flagged missing."""
        whole = self.blank(n)
        changes = {name: getattr(whole, name).index_copy(0, rows, getattr(self, name)) for name in self.per_item}
        assert whole.missing is not None
        here = torch.zeros(len(self), dtype=torch.bool, device=rows.device) if self.missing is None else self.missing
        changes["missing"] = whole.missing.index_copy(0, rows, here)
        return dataclasses.replace(whole, **changes)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """One message from consecutive pieces of a plate; shared tensors are the first piece's."""
        if len(parts) == 1:
            return parts[0]
        changes = {name: torch.cat([getattr(part, name) for part in parts]) for name in cls.per_item}
        if any(part.missing is not None for part in parts):
            changes["missing"] = torch.cat([part.missing_rows() for part in parts])
        return dataclasses.replace(parts[0], **changes)

    def fetched(self) -> Message:
        """The message itself; what lies on another machine is brought here. See `RemoteMessage`."""
        return self

    def missing_rows(self) -> Tensor:
        """`missing` as a mask that is always there, (N,) bool."""
        if self.missing is not None:
            return self.missing
        return torch.zeros(len(self), dtype=torch.bool, device=self.device)

    def check_finite(self, source: str) -> None:
        """Raise MessageError, naming the rows, where a tensor holds NaN or infinity.

        A log-weight of minus infinity (an impossible class) is a number in log space and passes.
        """
        for name in (*self.per_item, *self.shared):
            tensor: Tensor = getattr(self, name)
            # A finite sum proves every element finite, at a tenth of the cost of looking at each; piece by piece, since
            # torch makes a copy in the type that it sums in.
            if not tensor.is_floating_point() or all(
                torch.isfinite(piece.sum(dtype=torch.float64)) for piece in tensor.split(_ROWS_AT_ONCE)
            ):
                continue
            bad = ~torch.isfinite(tensor)
            if name == "log_weights":
                bad &= tensor != -torch.inf
            if name in self.shared:
                if bad.any():
                    raise MessageError(f"Expected finite {name} from {source}; got NaN or infinity.")
                continue
            rows = bad.reshape(len(self), -1).any(1).nonzero().flatten()
            if len(rows):
                first = tuple(rows[:5].tolist())
                raise MessageError(
                    f"Expected a finite {type(self).__name__}.{name} from {source}; got NaN or infinity in "
                    f"{len(rows)} of {len(self)} rows, the first of them {', '.join(map(str, first))}.",
                    first,
                )


class RemoteMessage(Message):
    """A message that lies, or will lie, on another machine: `fetched` brings it here, and waits for it.

    It is passed on as any other is, but until it is fetched nobody can look into it.
    """

    def __len__(self) -> int:
        return len(self.fetched())

    @property
    def event_shape(self) -> tuple[int, ...]:
        """See `Message`."""
        return self.fetched().event_shape

    @abstractmethod
    def fetched(self) -> Message:
        """The message, on this machine."""

    def __post_init__(self) -> None:
        """Nothing is known yet that could contradict itself."""

    def _check_shapes(self) -> None:
        """See `__post_init__`."""

    def blank(self, n: int) -> Self:
        """See `Message`; a message is blanked where it is used."""
        raise TypeError(f"Expected a fetched message to make {n} blank rows of.")


class Belief(Message):
    """q(v), an approximate posterior marginal, given by its moments."""

    @abstractmethod
    def distribution(self) -> Distribution:
        """The belief as a torch distribution with batch shape (N,)."""

    @abstractmethod
    def draw(self, temperature: float = 1.0) -> Tensor:
        """A draw for each item from q^(1/temperature), normalised; the mode at 0."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """H[q(v_n)] in nats, (N,) float64."""


class Potential(Message):
    """An unnormalised log-function of v, given by natural parameters and a scalar."""


def moved(tensor: Tensor, device: torch.device | None) -> Tensor:
    """The tensor on `device`: to a GPU from pinned memory, so that nobody waits until it is there."""
    if device is not None and device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device=device)


def difference(before: Message | None, after: Message) -> float:
    """How much a message differs from the one before it, from 0 to 1; 1 where there was none of its kind.

    The largest, over the message's tensors, of |after - before| / (|after| + |before|) in Euclidean norm.
    """
    if after is before:
        return 0.0
    if before is None or type(before) is not type(after) or len(before) != len(after):
        return 1.0
    shares = [0.0]
    for name in (*after.per_item, *after.shared):
        # An impossible class has a log-weight of minus infinity, from which nothing can be subtracted.
        old, new = (torch.nan_to_num(getattr(one, name).double(), neginf=-1e3) for one in (before, after))
        if old.shape != new.shape:
            return 1.0
        size = float(old.norm() + new.norm())
        shares.append(float((new - old).norm()) / size if size > 0 else 0.0)
    return max(shares)


def expect_shape(message: Message, name: str, shape: tuple[int, ...]) -> None:
    """Raise MessageError unless the tensor called `name` has the given shape."""
    got = tuple(getattr(message, name).shape)
    if got != shape:
        raise MessageError(f"Expected {type(message).__name__}.{name} of shape {shape}; got {got}.")
