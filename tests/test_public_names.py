"""`__all__` is complete and in order."""

import importlib
import types

import pytest

PACKAGES = [
    "pgmgraph",
    "pgmgraph.config",
    "pgmgraph.datasets",
    "pgmgraph.plotting",
    "pgmgraph.report",
    "pgmgraph.streams",
    "pgmgraph.trackers",
]


def isort_style(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions: ruff's order."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_complete(name: str) -> None:
    package = importlib.import_module(name)
    public = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_") and not isinstance(value, types.ModuleType) and key != "annotations"
    }
    # A name in __all__ that stands for a sub-module is wanted; one that __all__ lacks is a leftover import.
    assert public <= set(package.__all__), f"{name}.__all__ lacks {', '.join(sorted(public - set(package.__all__)))}."
    absent = [key for key in package.__all__ if not hasattr(package, key)]
    assert not absent, f"{name}.__all__ names {', '.join(absent)}, which {name} does not have."


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_and_has_no_doubles(name: str) -> None:
    listed = list(importlib.import_module(name).__all__)
    assert listed == sorted(set(listed), key=isort_style)
