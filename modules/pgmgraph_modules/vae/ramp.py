"""A number that changes over the rounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ramp:
    """From `start` in round 0 in equal steps to `end` in round `rounds`, and `end` from then on.

    A KL weight that starts low keeps posterior variances small while clusters form; with a weight of 1
    from the start they are so wide that a mixture merges its components.

    Example:
        >>> Ramp(0.05, 1.0, rounds=10).at(5)
        0.525
    """

    start: float
    end: float
    rounds: int

    def at(self, round: int) -> float:
        """The value in a round."""
        return self.start + (self.end - self.start) * min(1.0, round / self.rounds)
