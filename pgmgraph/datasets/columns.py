"""Which columns of a table are wanted: by name, by place counted from 0, or a range of places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pgmgraph.errors import DataFileError, suggestion

PLACE = re.compile(r"[0-9]{1,18}")
RANGE = re.compile(r"([0-9]{0,18}):([0-9]{0,18})")


def chosen_columns(asked: str | None, names: Sequence[str] | None, width: int, path: Path) -> list[int]:
    """The places of the columns that are asked for.

    Args:
        asked: comma-separated names or places, or ranges of places as in Python, such as "1:"; all where None.
        names: of the columns, where the table has any. A name goes before a place.
        width: the number of columns.
        path: of the table, for errors.

    Raises:
        DataFileError: there is no such column, or two of that name.
    """
    if asked is None:
        return list(range(width))
    return [place for column in asked.split(",") for place in _places(column.strip(), names, width, path)]


def _places(column: str, names: Sequence[str] | None, width: int, path: Path) -> list[int]:
    found = [place for place, name in enumerate(names or ()) if name == column]
    if len(found) > 1:
        raise DataFileError(
            f"Expected one column {column!r} in {path}; got {len(found)}, in the places {', '.join(map(str, found))}. "
            f"Ask for one by its place.",
            path,
        )
    span = RANGE.fullmatch(column)
    if not found and span is not None:
        found = list(range(width)[slice(*(int(bound) if bound else None for bound in span.groups()))])
    if not found and PLACE.fullmatch(column) and int(column) < width:
        found = [int(column)]
    if found:
        return found
    if names is None:
        known = f"{width} columns without names. Ask for them by their places, 0 to {width - 1}"
    else:
        some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        known = f"{some}.{suggestion(column, names)} Ask by name, or by place from 0 to {width - 1}"
    raise DataFileError(f"Expected a column {column!r} in {path}; got {known}.", path)


def one_column(asked: str | None, names: Sequence[str] | None, width: int, path: Path) -> int:
    """The place of the one column that is asked for; the table's only one where none is.

    Raises:
        DataFileError: there is no such column, or more than one.
    """
    found = chosen_columns(asked, names, width, path)
    if len(found) != 1:
        known = f": {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}" if names else ""
        raise DataFileError(
            f"Expected one column of labels in {path}; got {len(found)}{known}. Say which, as in {path}#COLUMN.", path
        )
    return found[0]
