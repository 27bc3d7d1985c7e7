"""Functions of tensors and of arrays between modules."""

import numpy as np
import pytest
import torch

from pgmgraph import ModelGraph, Observation, fit, generate, infer
from pgmgraph.config import from_config, to_config
from pgmgraph.errors import CapabilityError, DivergedError, ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.transforms import FunctionTransform
from tests.refusals import refused

torch.set_num_threads(1)

VALUES = np.random.default_rng(0).gamma(2.0, size=(50, 3))


def alone(function, data=VALUES, missing=None, **options):
    observation, module = Observation(data, missing=missing), FunctionTransform(function, **options)
    graph = ModelGraph(data=observation, f=module)
    graph.connect(observation.value, module.x)
    return graph, module


@pytest.mark.parametrize(
    ("function", "arrays", "expected"),
    [
        (torch.log, False, np.log(VALUES)),
        (np.log, True, np.log(VALUES)),
        (lambda x: x.mean(1), True, VALUES.mean(1)),
        (lambda x: x[:, ::-1], True, VALUES[:, ::-1]),
        (lambda x: x > 1, False, VALUES > 1),
        (lambda x: np.stack([x, x], 2).astype(np.float32), True, np.stack([VALUES, VALUES], 2).astype(np.float32)),
    ],
)
def test_what_is_sent_is_what_the_function_makes_in_minibatches_of_any_size(function, arrays, expected):
    for at_once in (None, 7):
        graph, _ = alone(function, arrays=arrays, at_once=at_once)
        assert graph.check().shapes["f"]["y"] == expected.shape[1:]
        y = fit(graph, rounds=2).beliefs["f.y"].value
        assert y.dtype == torch.float64
        np.testing.assert_allclose(y, expected.astype(float), rtol=1e-15)
    np.testing.assert_allclose(infer(graph, {"data": VALUES[:3]})["f.y"].value, expected[:3].astype(float), rtol=1e-15)


@pytest.mark.parametrize("arrays", [False, True])
def test_a_function_that_writes_into_what_it_is_given_leaves_the_data_alone(arrays):
    data = VALUES.copy()

    def doubled(x):
        x *= 2
        return x

    graph, _ = alone(doubled, data, arrays=arrays)
    np.testing.assert_array_equal(fit(graph).beliefs["f.y"].value, 2 * VALUES)
    np.testing.assert_array_equal(data, VALUES)


def test_rows_are_decoded_and_generated_through_the_inverse():
    graph, module = alone(torch.log, inverse=torch.exp)
    gmm = GMM(2, starts=1)
    graph.add("gmm", gmm)
    graph.connect(module.y, gmm.x)
    result = fit(graph, rounds=3)
    np.testing.assert_allclose(infer(graph, predict=["data"])["data"].value, VALUES)
    drawn = generate(graph, n=200)
    np.testing.assert_allclose(drawn["data"], drawn["f.y"].exp())
    assert float(drawn["data"].min()) > 0
    alike, plain = Observation(np.log(VALUES)), GMM(2, starts=1)
    same = ModelGraph(data=alike, gmm=plain)
    same.connect(alike.value, plain.x)
    assert result.history["F"] == fit(same, rounds=3).history["F"], "it has no terms"


def test_an_inverse_keeps_the_shape_of_events():
    images = np.random.default_rng(0).normal(size=(20, 2, 3))
    graph, _ = alone(lambda x: x.flatten(1), images, inverse=lambda y: y)
    fit(graph)
    np.testing.assert_allclose(infer(graph, predict=["data"])["data"].value, images)


def test_where_the_inverse_has_no_value_what_is_generated_is_nan():
    graph, module = alone(lambda x: x.square(), inverse=torch.sqrt)
    graph.add("gmm", gmm := GMM(1, starts=1))
    graph.connect(module.y, gmm.x)
    fit(graph, rounds=2)
    drawn = generate(graph, n=100)
    beyond = (drawn["f.y"] < 0).any(1)
    assert beyond.any()
    assert not beyond.all()
    assert torch.equal(drawn["data"].isnan().any(1), beyond)


def test_missing_rows_are_never_seen_by_the_function():
    seen = []
    holed = VALUES.copy()
    holed[::5] = np.nan

    def looked(x):
        seen.append(x)
        return x

    graph, _ = alone(looked, holed, missing=np.arange(50) % 5 == 0)
    y = fit(graph).beliefs["f.y"]
    assert all(torch.isfinite(x).all() for x in seen)
    assert y.missing.sum() == 10


def test_functions_that_do_not_serve_are_refused():
    with refused(ShapeError, "the function sum to make a tensor", "got a single number"):
        alone(torch.sum)[0].check()
    with refused(ShapeError, "an array, with a row for each row", "got float64"):
        alone(np.sum, arrays=True)[0].check()
    with refused(ShapeError, "arrays=True is for functions of arrays", "got ndarray"):
        alone(lambda x: x.numpy())[0].check()
    with refused(ShapeError, "of f to make (50, 3)", "got (25, 3)", "one row of each"):
        fit(alone(lambda x: x[::2])[0])
    with refused(ShapeError, "of f to make (50, 2)", "got (50, 3)", "FunctionTransform(..., event_shape=(3,))"):
        fit(alone(torch.log, event_shape=(2,))[0])
    with refused(ShapeError, "does not take a row of shape (3,)", "event_shape"):
        alone(lambda x: x[:, 7])[0].check()
    with refused(DivergedError, "from f.y; got NaN or infinity in 2 of 50 rows", "3, 8"):
        fit(alone(torch.log, np.where(np.isin(np.arange(50), [3, 8])[:, None], -1.0, VALUES))[0])
    with refused(ValueError, "function as a function of rows; got int"):
        FunctionTransform(3)
    with refused(ValueError, "inverse as a function of rows; got str"):
        FunctionTransform(torch.log, inverse="exp")
    with refused(ValueError, "at_once of at least 1"):
        FunctionTransform(torch.log, at_once=0)


def test_what_cannot_be_undone_is_refused_by_name():
    graph, _ = alone(torch.log)
    fit(graph)
    with refused(CapabilityError, "the function log of f", "FunctionTransform(function, inverse=...)"):
        infer(graph, predict=["data"])
    with refused(CapabilityError, "no prior"):
        generate(graph)


def test_a_configuration_names_functions_by_where_they_are():
    graph, _ = alone(torch.nn.functional.tanhshrink)
    config = to_config(graph)
    assert config["modules"]["f"] == {
        "module": "function_transform",
        "function": {"import": "torch.nn.functional:tanhshrink"},
    }
    assert to_config(from_config(config)) == config
    named = {
        **config,
        "modules": {"f": {"module": "function_transform", "function": {"import": "numpy:log1p"}, "arrays": True}},
    }
    np.testing.assert_allclose(fit(from_config(named, {"data": VALUES})).beliefs["f.y"].value, np.log1p(VALUES))
