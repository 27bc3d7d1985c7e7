"""The tree of errors is the one that is drawn, and errors keep their culprits."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from pgmgraph import errors


def drawn() -> dict[str, str]:
    """Each class of the tree in the docstring, with its parent."""
    assert errors.__doc__ is not None
    path: list[str] = []
    found = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"^    ([│├└─ ]*)(\w+Error|BoundDecreased)\b", line)
        if match is None or match[2] == "BoundDecreased":
            continue
        depth = len(match[1]) // 4
        path[depth:] = [match[2]]
        found[match[2]] = path[depth - 1] if depth else "Exception"
    return found


def test_the_tree_is_as_drawn() -> None:
    actual = {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.PgmgraphError)
    }
    assert actual == drawn()
    assert issubclass(errors.BoundDecreased, UserWarning)


def test_culprits_are_attributes() -> None:
    assert errors.ShapeError("no", "vae.z", "gmm.x").ports == ("vae.z", "gmm.x")
    assert errors.CycleError("no", ("a", "b")).cycle == ("a", "b")
    assert errors.DataError("no", "pixels", (3, 4)).rows == (3, 4)
    diverged = errors.DivergedError("no", "vae", 3, 17)
    assert (diverged.module, diverged.round, diverged.minibatch) == ("vae", 3, 17)
    assert errors.BoundDecreasedError("no", "gmm", 2, 0.5).fall == 0.5


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("gm", ["gmm", "vae"], " Did you mean 'gmm'?"),
        ("vea", ["gmm", "vae"], " Did you mean 'vae'?"),
        ("topic", ["gmm", "vae"], ""),
        ("vae", [], ""),
    ],
)
def test_suggestions(name: str, known: list[str], said: str) -> None:
    assert errors.suggestion(name, known) == said


@pytest.mark.parametrize(
    "error",
    [
        errors.DivergedError("no", "vae", 3, minibatch=2),
        errors.DataError("no", "pixels", (3, 4)),
        errors.UnknownNameError("no", "vea"),
        errors.CycleError("no", ("a", "b")),
        errors.DataFileError("no", Path("here")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_whole(error: errors.PgmgraphError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
