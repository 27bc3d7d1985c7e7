"""Plain values: what a configuration consists of, and what JSON and YAML can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from pgmgraph.config.problems import Problems, shown

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""None, truth values, numbers, text, and lists and mappings of these."""

DEEPEST = 32
_MOST = 100_000


def as_config(given: object) -> dict[str, Plain]:
    """A configuration as plain values of its own, shared with nobody.

    Raises:
        ConfigError: it is no mapping, holds NaN, anything that is not plain, keys that are no text, or is too deep
            or too large for what a hand or `to_config` has written.
    """
    problems = Problems()
    copied = _Copy(problems).of(given, "", 0)
    if not isinstance(copied, dict) and not len(problems):
        problems.add("", f"Expected a mapping with the keys observations, modules and wires; got {shown(given)}.")
    problems.refuse()
    assert isinstance(copied, dict)
    return copied


def joined(path: str, key: str | int) -> str:
    """The place of a member: `modules.gmm`, or `hidden[1]` in a list."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


class _Copy:
    """Copies plain values, counting them: aliases can make a few lines stand for millions."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._seen = 0

    def of(self, value: object, path: str, depth: int) -> Plain:
        self._seen += 1
        if self._seen > _MOST:
            if self._seen == _MOST + 1:
                self._problems.add(path, f"Expected at most {_MOST:,} values in a configuration; got more.")
            return None
        match value:
            case None | bool() | str():
                return value
            case int():
                return int(value)
            case float() if math.isnan(value):
                self._problems.add(path, "Expected a number; got NaN. Leave the argument out to have its default.")
            case float():
                return float(value)
            case Mapping() | list() | tuple() if depth == DEEPEST:
                self._problems.add(path, f"Expected at most {DEEPEST} levels of nesting; got more.")
            case Mapping():
                return self._mapping(value, path, depth)
            case list() | tuple():
                return [self.of(one, joined(path, place), depth + 1) for place, one in enumerate(value)]
            case _:
                self._problems.add(path, f"Expected plain values (text, numbers, lists, mappings); got {shown(value)}.")
        return None

    def _mapping(self, value: Mapping[object, object], path: str, depth: int) -> dict[str, Plain]:
        copied: dict[str, Plain] = {}
        for key, one in value.items():
            if isinstance(key, str):
                copied[str(key)] = self.of(one, joined(path, key), depth + 1)
            else:
                self._problems.add(path, f"Expected text as a key; got {shown(key)}. Put it in quotes.")
        return copied
