"""Estimators fitted to what lies in the mail."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from pgmgraph.errors import LearningError
from pgmgraph_modules.transforms.fitting import dense, fitted_to, rows, seeded
from tests.refusals import refused


def test_open_random_states_follow_torchs_generator_and_given_ones_stay():
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        pipeline = seeded(make_pipeline(PCA(), KMeans(random_state=7)))
        states.append(pipeline[0].random_state)
        assert pipeline[1].random_state == 7
    assert states[0] == states[1] != states[2]


def test_rows_are_flat_share_memory_and_cannot_be_written_to():
    values = torch.arange(12.0).reshape(2, 2, 3)
    laid_out = rows(values)
    assert laid_out.shape == (2, 6)
    values[0, 0, 0] = 9
    assert laid_out[0, 0] == 9
    with pytest.raises(ValueError, match="read-only"):
        laid_out[0, 0] = 1


def test_what_is_sparse_becomes_dense_float64():
    made = dense(csr_array(np.eye(3, dtype=np.float32)))
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made, np.eye(3))


def test_refusals_of_an_estimator_name_the_module():
    context = SimpleNamespace(name="reduce", round=4)
    with refused(LearningError, "PCA of reduce cannot be fitted to 5 x 2 values", "n_components=3") as caught:
        fitted_to(PCA(n_components=3), np.ones((5, 2)), context)
    assert (caught.value.module, caught.value.round) == ("reduce", 4)
