"""Numbers as a reader wants to see them."""

from __future__ import annotations

import math

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None) -> str:
    """A quantity in any unit: three decimals below ten, none from a thousand on; a dash where it is unknown."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else f"{MINUS}\N{INFINITY}"
    size = abs(value)
    if size >= 1e15 or 0 < size < 5e-4:
        text = f"{value:.3g}"
    elif size >= 1000 or value == int(value):
        text = f"{value:,.0f}"
    else:
        text = f"{value:,.{3 if size < 10 else 1}f}"
    return text.replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """A time in seconds in the two largest units that count."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0.01:
        return f"{1000 * seconds:.1f} ms"
    if round(seconds) < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def percent(share: float) -> str:
    """A share of a whole."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"


def counted(count: int, noun: str) -> str:
    """A count with its noun: 1 round, 2 rounds, 2 modules."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
