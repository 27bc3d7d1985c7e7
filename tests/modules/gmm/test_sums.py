"""Sums of components that are split and merged, and what merging gains."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.sums import Sums, drawn
from tests.modules.gmm.test_gmm import assigned_log_evidence
from tests.modules.gmm.test_starts import prior

torch.set_num_threads(1)


def some_sums(k=3, n=60, d=3, full=True, empty=0):
    torch.manual_seed(0)
    x = torch.randn(n, d, dtype=torch.float64) * torch.tensor([3.0, 1.0, 0.5]) + 2.0
    r = torch.zeros(n, k + empty, dtype=torch.float64)
    r[:, :k] = torch.softmax(2 * torch.randn(n, k, dtype=torch.float64), 1)
    layout = Layout(d, full, torch.zeros(d, dtype=torch.float64))
    return Sums(*layout.sums(r.T @ layout.moments(Gaussian(x, torch.zeros_like(x))).T))


def totals(sums):
    return [tensor.sum(0) for tensor in vars(sums).values()]


def covariance(sums, k):
    mean = sums.first[k] / sums.counts[k]
    return sums.second[k] / sums.counts[k] - mean.unsqueeze(-1) * mean.unsqueeze(-2)


def block_prior(k, d, full):
    """A prior in blocks as the layout has them."""
    whole = prior(k, d)
    if full:
        return whole
    components = whole.components
    diagonal = type(components)(
        torch.zeros(k, d, 1, dtype=torch.float64),
        components.beta,
        torch.ones(k, d, 1, 1, dtype=torch.float64),
        components.nu,
    )
    return type(whole)(whole.concentration, diagonal)


@pytest.mark.parametrize("full", [True, False])
def test_a_split_keeps_the_total_and_halves_a_component_across_its_axis(full):
    sums = some_sums(full=full, empty=1)
    torch.manual_seed(0)
    axis = sums.axis(1, block_prior(4, 3, full))
    split = sums.split(1, 3, axis)
    for before, after in zip(totals(sums), totals(split), strict=True):
        torch.testing.assert_close(after, before)
    torch.testing.assert_close(split.counts[[1, 3]], sums.counts[1].expand(2) / 2)
    apart = split.first[3] / split.counts[3] - split.first[1] / split.counts[1]
    torch.testing.assert_close(apart, 2 * (2 / torch.pi) ** 0.5 * axis)
    for k in (1, 3):
        assert torch.linalg.eigvalsh(covariance(split, k)).min() > 0
    for k in (0, 2):
        assert all(torch.equal(after[k], before[k]) for before, after in zip(*map(tensors, (sums, split)), strict=True))


def tensors(sums):
    return list(vars(sums).values())


def test_the_halves_of_a_split_have_the_moments_of_a_normal_cut_through_its_mean():
    torch.manual_seed(0)
    x = torch.randn(200_000, 1, dtype=torch.float64) * 2 + 5
    layout = Layout(1, True, torch.zeros(1, dtype=torch.float64))
    moments = layout.moments(Gaussian(x, torch.zeros_like(x)))
    whole = torch.stack([torch.ones_like(x[:, 0]), torch.zeros_like(x[:, 0])])
    cut = torch.stack([x[:, 0] <= x.mean(), x[:, 0] > x.mean()]).double()
    sums, expected = (Sums(*layout.sums(r @ moments.T)) for r in (whole, cut))
    split = sums.split(0, 1, sums.axis(0, prior(2, 1)))
    if split.first[0] > split.first[1]:
        split = sums.split(0, 1, -sums.axis(0, prior(2, 1)))
    for one, other in zip(tensors(split), tensors(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=0.01, atol=0.0)


@pytest.mark.parametrize("full", [True, False])
def test_axes_are_principal_and_drawn_by_the_variance_along_them(full):
    sums, units = some_sums(k=1, n=2_000, full=full), torch.tensor([1e6, 1.0, 1e-3], dtype=torch.float64)
    before = block_prior(1, 3, full)
    torch.manual_seed(1)
    axes = torch.stack([sums.axis(0, before).flatten() for _ in range(400)])
    variances = axes.square().sum(1)
    expected = covariance(sums, 0)[0] if full else covariance(sums, 0).flatten().diag()
    # Each is an eigenvector whose length is its standard deviation.
    torch.testing.assert_close(axes @ expected, variances[:, None] * axes)
    shares = torch.linalg.eigvalsh(expected) / expected.trace()
    drawn = torch.stack([torch.isclose(variances, value).double().mean() for value in torch.linalg.eigvalsh(expected)])
    assert ((drawn - shares).abs() < 4.5 * (shares * (1 - shares) / 400).sqrt()).all()
    # In other units of the columns, with a prior in those units, the axes are the same vectors.
    blocks = sums.first.shape[1:]
    unit = units.reshape(blocks)
    outer = unit.unsqueeze(-1) * unit.unsqueeze(-2)
    scaled = Sums(sums.counts, sums.first * unit, sums.second * outer)
    components = type(before.components)(
        **{**vars(before.components), "inverse_scale": before.components.inverse_scale * outer}
    )
    torch.manual_seed(1)
    again = torch.stack([scaled.axis(0, type(before)(before.concentration, components)).flatten() for _ in range(20)])
    torch.testing.assert_close((again / units).abs(), axes[:20].abs(), rtol=1e-6, atol=1e-9)


def test_a_merger_adds_up_two_components_and_empties_one():
    sums = some_sums()
    merged = sums.merged(2, 0)
    for before, after in zip(tensors(sums), tensors(merged), strict=True):
        torch.testing.assert_close(after[2], before[0] + before[2])
        assert torch.equal(after[1], before[1])
        assert not after[0].any()


def test_gains_are_differences_of_log_evidence_and_leave_empty_components_out():
    torch.manual_seed(0)
    x = torch.cat([torch.randn(5, 1), torch.randn(4, 1), torch.randn(3, 1) + 9]).double()
    labels = torch.tensor([0] * 5 + [1] * 4 + [2] * 3)
    layout = Layout(1, True, torch.zeros(1, dtype=torch.float64))
    r = torch.nn.functional.one_hot(labels, 4).double()
    sums = Sums(*layout.sums(r.T @ layout.moments(Gaussian(x, torch.zeros_like(x))).T))
    found = {(one, other): gain for gain, one, other in sums.gains(prior(4, 1))}

    def of(assignment):
        return assigned_log_evidence(x[:, 0].numpy(), assignment.numpy(), 4, 1.0, 1.0, 3.0, 1.0, 0.0)

    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    for (one, other), gain in found.items():
        merged = torch.where(labels == other, one, labels)
        assert gain == pytest.approx(of(merged) - of(labels), abs=1e-9)
    assert found[0, 1] > 0 > max(found[0, 2], found[1, 2])
    assert [gain for gain, *_ in sums.gains(prior(4, 1))] == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("full", [True, False])
def test_a_component_whose_items_are_all_alike_has_an_axis_too(full):
    x = torch.full((8, 3), 2.0, dtype=torch.float64)
    layout = Layout(3, full, torch.zeros(3, dtype=torch.float64))
    moments = layout.moments(Gaussian(x, torch.zeros_like(x)))
    sums = Sums(*layout.sums(torch.ones(1, 8, dtype=torch.float64) @ moments.T))
    axis = sums.axis(0, block_prior(1, 3, full))
    torch.testing.assert_close(axis, torch.zeros_like(axis), rtol=0, atol=1e-7)


def test_numbers_are_drawn_by_their_weights():
    torch.manual_seed(0)
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    times = torch.tensor([drawn(weights) for _ in range(2_000)]).bincount(minlength=5)
    assert times[[0, 2, 4]].sum() == 0
    assert abs(int(times[1]) - 1_500) < 4.5 * (2_000 * 3 / 16) ** 0.5
