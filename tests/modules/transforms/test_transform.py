"""The least that a transform is: what it makes, and what it undoes."""

import torch

from pgmgraph import ModelGraph, Observation, fit, generate, infer
from pgmgraph.errors import CapabilityError, ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.transforms import Transform
from tests.refusals import refused
from tests.toys import blobs

torch.set_num_threads(1)


class Paired(Transform):
    """Neighbouring numbers as pairs, (D,) to (D / 2, 2)."""

    dtype = torch.float64

    def __init__(self, rows=None, numbers=None):
        self.rows, self.numbers = rows, numbers

    def label(self):
        return "pairing"

    def event_shapes(self, x):
        return {"y": (x[0] // 2, 2)}

    def made(self, x):
        return x.reshape(-1, x.shape[1] // 2, 2)[: self.rows]

    def undone(self, y):
        return y.flatten(1)[:, : self.numbers]


class OneWay(Paired):
    """As above, without a way back."""

    def undone(self, y):
        raise self._no_inverse("a way back", "take another")


def alone(module):
    data = Observation(blobs(30, d=4)[0])
    graph = ModelGraph(data=data, pairs=module)
    graph.connect(data.value, module.x)
    return graph


def test_values_go_up_in_one_shape_and_come_back_in_the_other():
    graph, values = alone(Paired()), blobs(30, d=4)[0]
    result = fit(graph, rounds=2)
    assert torch.equal(result.beliefs["pairs.y"].value, values.double().reshape(30, 2, 2))
    assert result.trace[-1].terms["pairs"] == {}
    assert result.history["F"] == [0.0, 0.0]
    assert torch.equal(infer(graph, predict=["data"])["data"].value, values.double())
    given = torch.rand(3, 2, 2, dtype=torch.float64)
    assert torch.equal(generate(graph, {"pairs.y": given[0]}, n=1)["data"], given[0].reshape(1, 4))


def test_other_rows_and_other_numbers_are_refused():
    with refused(ShapeError, "pairing of pairs to make (30, 2, 2) of (30, 4)", "got (7, 2, 2)", "one row of each"):
        fit(alone(Paired(rows=7)))
    graph = alone(Paired(numbers=3))
    fit(graph)
    with refused(ShapeError, "inverse of pairs to make (30, 4) of (30, 2, 2)", "got (30, 3)"):
        infer(graph, predict=["data"])


def test_without_a_way_back_or_a_prior_nothing_is_drawn():
    graph = alone(OneWay())
    fit(graph)
    with refused(CapabilityError, "pairing of pairs", "a way back", "take another"):
        generate(graph, {"pairs.y": torch.zeros(2, 2)}, n=1)
    with refused(CapabilityError, "pairs has no prior", "graph.connect(pairs.y, gmm.x)"):
        generate(graph)


def test_vectors_alone_go_on_to_a_mixture():
    graph = alone(Paired())
    graph.add("gmm", gmm := GMM(2))
    graph.connect(graph.modules["pairs"].y, gmm.x)
    with refused(ShapeError, "vectors (D,) at gmm.x", "(2, 2)"):
        graph.check()
