"""Shapes, found by one row of ones."""

import pytest
import torch

from pgmgraph.errors import ShapeError
from pgmgraph_modules.transforms import FunctionTransform
from pgmgraph_modules.transforms.trial import shape_of
from tests.refusals import refused

SOME = FunctionTransform(torch.tanh)


def shape(function, given):
    return shape_of(function, given, torch.float64, torch.device("cpu"), SOME)


@pytest.mark.parametrize(
    ("function", "given", "made"),
    [
        (torch.log, (3,), (3,)),
        (lambda x: x.sum(1), (3,), ()),
        (lambda x: x.flatten(1), (2, 5), (10,)),
        (lambda x: x[..., None].expand(-1, -1, 4), (3,), (3, 4)),
    ],
)
def test_the_shape_is_that_of_one_row(function, given, made):
    assert shape(function, given) == made


def test_the_row_is_of_ones_of_the_type_asked_for():
    seen = []
    shape(lambda x: seen.append(x) or x, (2, 3))
    assert torch.equal(seen[0], torch.ones(1, 2, 3, dtype=torch.float64))
    assert seen[0].dtype == torch.float64


@pytest.mark.parametrize(
    ("function", "given", "parts"),
    [
        (torch.tanh, None, ["In a cycle of wires", "FunctionTransform(..., event_shape=...)"]),
        (lambda x: x @ torch.ones(9, 2).double(), (3,), ["does not take a row of shape (3,)", "event_shape=..."]),
        (lambda x: x.repeat(2, 1), (3,), ["one row of one row", "got (2, 3)"]),
        (torch.sum, (3,), ["got ()"]),
        (lambda x: "text", (3,), ["got str"]),
    ],
)
def test_what_makes_no_row_of_one_is_refused(function, given, parts):
    with refused(ShapeError, *parts):
        shape(function, given)
