"""Live objects become plain values that make them again, or say that they cannot."""

from __future__ import annotations

import dataclasses
import functools
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from pgmgraph.config import Plain
from pgmgraph.config.writing import written
from pgmgraph_modules.vae import Ramp


class Colour(Enum):
    RED = 1


@dataclasses.dataclass
class Step:
    size: float
    shrink: bool = False
    by: Colour = Colour.RED


HERE = f"{__name__}:"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("text", "text"),
        (float("inf"), float("inf")),
        ((500, 300), [500, 300]),
        ([1, (2.5, None)], [1, [2.5, None]]),
        ({"a": (1,)}, {"a": [1]}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([[1, 2]]), [[1, 2]]),
        (torch.tensor([0.5, 1.0]), [0.5, 1.0]),
        (torch.float64, {"import": "torch:float64"}),
        (Path("a/b"), "a/b"),
        (torch.optim.SGD, {"import": "torch.optim:SGD"}),
        (functools.partial(torch.optim.SGD, lr=0.1), {"partial": "torch.optim:SGD", "lr": 0.1}),
        (Ramp(0.1, 1.0, rounds=3), {"call": "pgmgraph_modules.vae:Ramp", "start": 0.1, "end": 1.0, "rounds": 3}),
        (PCA(2), {"call": "sklearn.decomposition:PCA", "n_components": 2}),
        (PCA(), {"call": "sklearn.decomposition:PCA"}),
        (
            Pipeline([("scale", StandardScaler()), ("pca", PCA(2))]),
            {
                "call": "sklearn.pipeline:Pipeline",
                "steps": [
                    ["scale", {"call": "sklearn.preprocessing:StandardScaler"}],
                    ["pca", {"call": "sklearn.decomposition:PCA", "n_components": 2}],
                ],
            },
        ),
    ],
)
def test_what_can_be_told(value: object, plain: Plain) -> None:
    assert repr(written(value)) == repr(plain)


def test_defaults_of_dataclasses_are_left_out_and_members_go_by_name() -> None:
    assert written(Step(0.5)) == {"call": f"{HERE}Step", "size": 0.5}
    assert written(Step(0.5, shrink=True)) == {"call": f"{HERE}Step", "size": 0.5, "shrink": True}
    assert written(Colour.RED) == {"import": f"{HERE}Colour.RED"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (nn.Linear(2, 3), "Linear(in_features=2, out_features=3, bias=True)"),
        (nn.Parameter(torch.zeros(2)), "Parameter of torch.float32, 2"),
        (float("nan"), "nan"),
        (np.zeros((40, 50)), "ndarray of float64, 40 x 50"),
        (lambda: 0, "<function <lambda>>"),
        ({3: "x"}, "{3: 'x'}"),
        ({"call": "x"}, "{'call': 'x'}"),
        (functools.partial(max, 3), "functools.partial(<built-in function max>, 3)"),
        (object(), "<object object>"),
        ({1, 2}, "{1, 2}"),
        (PCA(1).fit(np.eye(3)), "PCA(n_components=1)"),
    ],
)
def test_what_cannot_be_told_says_what_it_was_without_its_address(value: object, text: str) -> None:
    assert written(value) == {"object": text}
