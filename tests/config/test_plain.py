"""Plain values are copied; what is none, or too much, is refused wherever it stands."""

from __future__ import annotations

import numpy as np

from pgmgraph.config.plain import as_config
from pgmgraph.errors import ConfigError
from tests.refusals import refused


def test_the_copy_shares_nothing_and_has_builtin_types() -> None:
    inner = [1, (2.5, "x")]
    given = {"a": inner, "b": {"c": None, "d": np.float64(0.5), "e": True}}
    copied = as_config(given)
    assert copied == {"a": [1, [2.5, "x"]], "b": {"c": None, "d": 0.5, "e": True}}
    assert type(copied["b"]["d"]) is float  # type: ignore[index,call-overload]
    inner.append(3)
    assert copied["a"] == [1, [2.5, "x"]]


def test_all_that_is_not_plain_is_told_at_once_with_its_place() -> None:
    with refused(
        ConfigError, "3 problems", "a[1]: Expected plain", "b.c: Expected a number; got NaN", "b: Expected text"
    ):
        as_config({"a": [1, object()], "b": {"c": float("nan"), 3: 4}})


def test_bombs_and_loops_end() -> None:
    bomb: list[object] = ["x"] * 10
    for _ in range(20):
        bomb = [bomb] * 10
    with refused(ConfigError, "at most 100,000 values"):
        as_config({"a": bomb})
    loop: dict[str, object] = {}
    loop["again"] = loop
    with refused(ConfigError, "at most 32 levels of nesting"):
        as_config(loop)


def test_what_is_no_mapping() -> None:
    nothings: tuple[object, ...] = ([], None, "modules", 3)
    for given in nothings:
        with refused(ConfigError, "Expected a mapping", repr(given)):
            as_config(given)
