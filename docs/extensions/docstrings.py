"""Docstrings are plain text with code in backticks; this makes them safe for reStructuredText and napoleon."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# A star, bar or closing underscore that stands in a formula would open or close markup; code is left alone.
_MARKUP = re.compile(r"(`[^`]*`)|(\*+(?=\w))|(\|(?=\w))|((?<=\w)_(?!\w))")
# "child, out: ..." in a list of arguments: Sphinx would take the first name for the type of the second.
_NAMES = re.compile(r"^ +\w+(?:, \w+)+(?=: )")
_ZERO_WIDTH_SPACE = "\u200b"
_before_napoleon: dict[str, list[str]] = {}


def escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape what reStructuredText would take for markup."""
    lines[:] = [_MARKUP.sub(lambda found: found[1] or f"\\{found[0]}", line) for line in lines]
    lines[:] = [_NAMES.sub(lambda found: found[0].replace(", ", f",{_ZERO_WIDTH_SPACE}"), line) for line in lines]
    _before_napoleon[name] = list(lines)


def restore(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Put a property's single line back: napoleon takes what stands before a colon for its type."""
    if what in {"attribute", "property"} and len(before := [line for line in _before_napoleon[name] if line]) == 1:
        lines[:] = [*before, ""]


def setup(app: Sphinx) -> dict[str, object]:
    """Run before and after napoleon, which stands at 500."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
