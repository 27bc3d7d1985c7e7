"""Sequences: rows that belong together come together, whole and in order, with what is missing in its place."""

import pytest
import torch
from torch import Tensor

from pgmgraph import Gaussian, In, ModelGraph, Module, Observation, Out, Outbox, Point, fit, infer
from pgmgraph.errors import DataError, DefinitionError, PlateError
from tests.refusals import refused


class Steps(Module):
    """Counts the steps of each sequence up to each row; a row that is missing is a step too."""

    x = In(Point)
    count = Out(Gaussian)
    sequential = True
    at_once = 4

    def event_shapes(self, x):
        return {"count": (1,)}

    def send(self, x, count, sequences: Tensor) -> Outbox:
        assert int(sequences.sum()) == len(x)
        steps = torch.cat([torch.arange(1.0, int(length) + 1) for length in sequences])
        seen = torch.where(x.missing_rows(), torch.zeros(()), torch.ones(()))
        return Outbox(count=Gaussian(steps[:, None], seen[:, None]))


def steps(n, ids=None, missing=None):
    observation = Observation(torch.arange(float(n))[:, None], sequences=ids, missing=missing)
    graph = ModelGraph(x=observation, steps=(module := Steps()))
    graph.connect(observation.value, module.x)
    return graph


def counted(graph, data=None):
    return infer(graph, data)["steps.count"].mean.flatten().int().tolist()


def test_sequences_come_whole_however_they_are_cut():
    ids = ["b"] * 3 + ["a"] * 2 + ["c"] + ["d"] * 7
    assert counted(steps(13, ids)) == [1, 2, 3, 1, 2, 1, 1, 2, 3, 4, 5, 6, 7]


def test_a_plate_without_ids_is_one_sequence():
    assert counted(steps(6)) == [1, 2, 3, 4, 5, 6]
    assert counted(steps(6, [0, 0, 0, 1, 1, 1]), {"x": torch.zeros(3, 1)}) == [1, 2, 3]
    other = Observation(torch.zeros(4, 1), sequences=[5, 5, 7, 7])
    assert counted(steps(6), {"x": other}) == [1, 2, 1, 2]


def test_time_goes_on_where_nothing_was_observed():
    missing = torch.tensor([False, True, False, True, True])
    graph = steps(5, [0, 0, 0, 1, 1], missing)
    assert counted(graph) == [1, 2, 3, 1, 2]
    assert infer(graph)["steps.count"].variance.flatten().tolist() == [1, 0, 1, 0, 0]


def test_what_looks_along_time_is_not_cut_into_blocks():
    with refused(DataError, "steps", "batch_size", "2"):
        infer(steps(5), batch_size=2)


def test_ids_that_come_back_are_refused():
    with refused(DataError, "1 begins again", "row 4", "Sort") as caught:
        Observation(torch.zeros(5, 1), sequences=[1, 1, 2, 2, 1])
    assert caught.value.rows == (4,)
    for wrong in ([1, 2], [[1]] * 5, [0.5] * 5):
        with refused(DataError, "5 ids"):
            Observation(torch.zeros(5, 1), sequences=wrong)


def test_one_plate_has_one_set_of_sequences():
    class Pair(Steps):
        y = In(Point)

        def event_shapes(self, x, y):
            return {"count": (1,)}

        def send(self, x, y, count, sequences):
            return super().send(x, count, sequences)

    def graph(first, second):
        one = Observation(torch.zeros(4, 1), sequences=first)
        other = Observation(torch.zeros(4, 1), sequences=second)
        made = ModelGraph(one=one, other=other, pair=(pair := Pair()))
        made.connect(one.value, pair.x)
        made.connect(other.value, pair.y)
        return made

    with refused(PlateError, "'one'", "'other'", "same sequences"):
        graph([0, 0, 1, 1], [0, 1, 1, 1]).check()
    # One of them may state it for both; and it is their lengths that count, not what they are called.
    for second in (None, ["a", "a", "b", "b"]):
        fit(made := graph([0, 0, 1, 1], second))
        assert infer(made)["pair.count"].mean.flatten().tolist() == [1, 2, 1, 2]


def test_a_module_that_looks_along_time_must_take_sequences():
    with pytest.raises(DefinitionError, match="sequences"):

        class Deaf(Steps):
            def send(self, x, count):
                return Outbox()
