"""Groups: to which row of another plate each row of a plate belongs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pgmgraph.messages import Categorical, CategoricalPotential, Message, Point, SparsePoint

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class Groups:
    """The members of one plate, and the plate of their groups.

    Attributes:
        ids: (N,) int64, the row on the plate of groups that each member belongs to.
        size: how many groups there are; some may have no member.
    """

    ids: Tensor
    size: int

    def pooled(self, message: Message, average: bool = False) -> Message:
        """What the members say together, a message for each group; one that no member says anything of is missing.

        Evidence about a variable that the members share adds up: log lambda_g(k) = sum_n log lambda_n(k). So do values,
        unless their average is wanted. Members that are missing contribute nothing.

        Args:
            message: a `CategoricalPotential`, `Point` or `SparsePoint` of N rows; what is sparse stays so.
            average: whether values are divided by how many members were observed.
        """
        absent = message.missing_rows().cpu()
        present = torch.zeros(self.size, dtype=torch.int64).index_add_(0, self.ids, (~absent).long())
        empty = (present == 0).to(message.device)
        missing = empty if bool(empty.any()) else None
        match message:
            case CategoricalPotential():
                # What is missing may hold anything: it is left out, not multiplied by zero.
                said = message.log_weights.masked_fill(absent[:, None].to(message.device), 0.0)
                return replace(message, log_weights=self._sums(said), missing=missing)
            case Point():
                total = self._sums_of_values(message)
                if average:
                    total /= present.clamp(min=1).to(total).reshape(-1, *[1] * len(message.event_shape))
                return Point(total, missing=missing)
            case SparsePoint():
                return self._sums_of_entries(message, present if average else None, missing)
        raise AssertionError(type(message).__name__)

    def spread(self, belief: Message) -> Categorical:
        """What is believed of each group, for its members: they share its variable, missing ones too."""
        assert isinstance(belief, Categorical)
        ids = self.ids.to(belief.device)
        missing = None if belief.missing is None else belief.missing[ids]
        return Categorical(belief.probs[ids], missing=missing)

    def _sums(self, values: Tensor) -> Tensor:
        total = torch.zeros(self.size, *values.shape[1:], dtype=torch.float64, device=values.device)
        return total.index_add_(0, self.ids.to(values.device), values.double())

    def _sums_of_values(self, point: Point) -> Tensor:
        """Piece by piece, since a plate of bytes, or a file, takes up much more as numbers of 64 bits."""
        total = torch.zeros(self.size, *point.event_shape, dtype=torch.float64, device=point.device)
        for begin in range(0, len(point), _ROWS_AT_ONCE):
            here = slice(begin, begin + _ROWS_AT_ONCE)
            total.index_add_(0, self.ids[here].to(point.device), point[here].to(dtype=torch.float64).value)
        return total

    def _sums_of_entries(self, point: SparsePoint, present: Tensor | None, missing: Tensor | None) -> SparsePoint:
        seen = point.to(dtype=torch.float64)  # what is missing has no entries any more
        place = self.ids.to(seen.device)[seen.rows()] * seen.width + seen.columns.long()
        places, entry = place.unique(return_inverse=True)
        values = seen.values.new_zeros(len(places)).index_add_(0, entry, seen.values)
        groups = places // seen.width
        if present is not None:
            values /= present.to(groups.device)[groups]
        lengths = torch.bincount(groups, minlength=self.size)
        ends = lengths.cumsum(0)
        return SparsePoint(ends - lengths, ends, places % seen.width, values, seen.width, missing=missing)
