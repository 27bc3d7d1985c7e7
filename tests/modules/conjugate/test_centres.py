"""Centres that partitions follow from."""

import numpy as np
import pytest
import torch

from pgmgraph_modules.conjugate.centres import canonical_order, centres


def test_the_order_follows_the_rows_through_any_permutation():
    torch.manual_seed(0)
    rows, order = torch.randn(30, 2, dtype=torch.float64), torch.randperm(30)
    assert torch.equal(rows[canonical_order(rows)], rows[order][canonical_order(rows[order])])


@pytest.mark.parametrize("refine", [True, False])
def test_separate_clusters_get_a_centre_each(refine):
    points = np.random.default_rng(0).normal(size=(60, 2)) + 100 * np.repeat(np.arange(3), 20)[:, None]
    found = centres(points, 3, seed=1, refine=refine)
    nearest = torch.cdist(torch.from_numpy(points), found).argmin(1).reshape(3, 20)
    assert (nearest == nearest[:, :1]).all()
    assert len(set(nearest[:, 0].tolist())) == 3


def test_more_centres_than_points_are_out_of_reach():
    found = centres(np.array([[0.0, 1.0]]), 3, seed=0, refine=True)
    assert found[0].tolist() == [0, 1]
    assert (found[1:] > 1e5).all()
