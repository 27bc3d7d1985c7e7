"""A fitted estimator as tensors and plain values, and back."""

import copy
import io

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import NMF, PCA, FactorAnalysis, FastICA, KernelPCA, TruncatedSVD
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, QuantileTransformer, StandardScaler

from pgmgraph.errors import CapabilityError
from pgmgraph_modules.transforms.fitted import Kept, as_state, from_state
from tests.refusals import refused

torch.set_num_threads(1)

X = np.random.default_rng(0).gamma(2.0, size=(80, 6))
NEW = np.random.default_rng(1).gamma(2.0, size=(20, 6))

MADE_OF_ARRAYS = [
    PCA(n_components=3, whiten=True),
    StandardScaler(),
    MinMaxScaler(),
    QuantileTransformer(n_quantiles=20),
    TruncatedSVD(n_components=2, algorithm="arpack", random_state=0),
    FactorAnalysis(n_components=2),
    NMF(n_components=2, random_state=0, max_iter=2_000),
    FastICA(n_components=2, random_state=0, whiten="unit-variance"),
    make_pipeline(StandardScaler(), make_pipeline(PCA(n_components=4), "passthrough"), PCA(n_components=2)),
]


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("estimator", MADE_OF_ARRAYS, ids=lambda one: type(one).__name__)
def test_estimators_made_of_arrays_come_back_bit_for_bit_from_a_file_that_runs_no_code(estimator):
    fitted = clone(estimator).fit(X)
    state = through_a_file(as_state(fitted, clone(estimator), "reduce"))
    again = from_state(state, clone(estimator))
    assert type(again) is type(fitted)
    assert again is not fitted
    assert np.array_equal(again.transform(NEW), fitted.transform(NEW))


def test_a_state_is_a_copy_that_later_changes_do_not_reach():
    fitted = StandardScaler().fit(X)
    state = as_state(fitted, StandardScaler(), "scale")
    mean = fitted.mean_.copy()
    fitted.mean_ += 1
    assert np.array_equal(from_state(state, StandardScaler()).mean_, mean)


def test_numbers_of_numpy_and_of_python_keep_their_kinds():
    fitted = PCA(n_components=2).fit(X)
    again = from_state(as_state(fitted, PCA(), "reduce"), PCA())
    for name, value in vars(fitted).items():
        assert type(getattr(again, name)) is type(value)


class Holding(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Holds something after its fit."""

    def __init__(self, thing=None):
        self.thing = thing

    def fit(self, X, y=None):
        self.held_ = self.thing
        return self

    def transform(self, X):
        return X


NOT_PLAIN = [
    (np.random.RandomState(0), "held_ is a RandomState"),
    (np.array(["a", "b"]), "held_ is of <U1"),
    (np.array([None]), "held_ is of object"),
    (np.array([1.0], dtype=np.longdouble), "held_ is of float128"),
    ([1, {"deep": abs}], "held_[1]['deep'] is a builtin_function_or_method"),
    ({(1, 2): 3}, "held_ is a dict"),
    (type("Named", (tuple,), {})((1,)), "held_ is a Named"),
]


@pytest.mark.parametrize(("thing", "part"), NOT_PLAIN, ids=[part for _, part in NOT_PLAIN])
def test_what_is_not_plain_is_kept_as_it_is_and_no_file_takes_it(thing, part):
    holding = Holding()
    holding.held_ = thing
    state = as_state(holding, Holding(), "reduce")
    assert isinstance(state, Kept)
    assert from_state(state, Holding()) is holding
    assert copy.deepcopy({"fitted": state})["fitted"] is state
    with refused(
        CapabilityError, "state of reduce", "a fitted Holding", part, "joblib.dump(reduce.fitted", "prefit=True"
    ):
        torch.save({"fitted": state}, io.BytesIO())


@pytest.mark.parametrize("estimator", [FunctionTransformer(np.log1p), KernelPCA(n_components=2)], ids=repr)
def test_functions_and_estimators_that_only_a_fit_makes_are_kept(estimator):
    fitted = clone(estimator).fit(X)
    state = as_state(fitted, clone(estimator), "reduce")
    assert isinstance(state, Kept)
    assert state.estimator is fitted


def test_plain_containers_come_back_as_they_were():
    thing = {"a": [1, (2.5, None, "x")], 3: np.arange(4, dtype=np.int16), "yes": True}
    holding = Holding()
    holding.held_ = thing
    again = from_state(through_a_file(as_state(holding, Holding(), "reduce")), Holding()).held_
    assert again.keys() == thing.keys()
    assert again["a"] == thing["a"]
    assert again["yes"] is True
    assert again[3].dtype == np.int16
    assert np.array_equal(again[3], thing[3])


def test_a_state_of_another_version_of_scikit_learn_warns():
    state = as_state(StandardScaler().fit(X), StandardScaler(), "scale")
    state["_sklearn_version"] = "1.0"
    with pytest.warns(InconsistentVersionWarning, match="StandardScaler from version 1.0"):
        from_state(state, StandardScaler())
