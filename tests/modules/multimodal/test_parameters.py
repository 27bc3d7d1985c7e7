"""All modalities of a mixture together."""

from itertools import pairwise

import torch

from pgmgraph import CategoricalPotential, Gaussian, Point
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.conjugate.prior import prior_from
from pgmgraph_modules.multimodal.parameters import Parameters
from pgmgraph_modules.multimodal.tables import Classes, Words

N, C = 20, 3


def mail():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return {
        "x.label": CategoricalPotential(draw(N, 4)),
        "v.image": Gaussian(draw(N, 2), draw(N, 2).exp()),
        "w.sound": Point(torch.randint(5, (N, 6), generator=generator).double()),
    }


def prior(weights=None):
    layout, normals = prior_from(mail()["v.image"], C, full=True)
    ones = torch.ones(C, 1, dtype=torch.float64)
    modalities = {
        "x.label": Classes(ones.expand(C, 4), 1.0),
        "v.image": Emissions(layout, normals, normals),
        "w.sound": Words(ones.expand(C, 6), 1.0, 12.0),
    }
    return Parameters(2 * ones[:, 0], 2.0, modalities, weights or {})


def learnt(weights=None, steps=1):
    """The parameters after some steps, and the bound before each, at its best beliefs about classes."""
    torch.manual_seed(1)
    probs = torch.softmax(torch.randn(N, C, dtype=torch.float64), 1)
    parameters, bounds = prior(weights), []
    for _ in range(steps):
        parameters = parameters.updated(parameters.sums(mail(), probs))
        joint = parameters.log_joint(mail())
        divergence = parameters.divergence_of_weights() + sum(parameters.divergences().values())
        bounds.append(float(joint.logsumexp(1).sum() - divergence))
        probs = torch.softmax(joint, 1)
    return parameters, bounds


def test_what_modalities_say_adds_up():
    parameters, _ = learnt()
    parts = [one.log_likelihoods(mail()[port]) for port, one in parameters.modalities.items()]
    torch.testing.assert_close(parameters.log_likelihoods(mail()), sum(parts))
    joint = parameters.log_joint(mail())
    torch.testing.assert_close(joint, sum(parts) + parameters.expected_log_weights())


def test_no_step_lowers_the_bound_nor_that_of_a_weighted_model():
    for weights in (None, {"w.sound": 0.2, "x.label": 3.0}):
        _, bounds = learnt(weights, steps=50)
        assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(bounds))


def test_a_weight_multiplies_evidence_and_sums():
    parameters, _ = learnt({"w.sound": 0.5})
    halved = {**mail(), "w.sound": Point(0.5 * mail()["w.sound"].value)}
    plain = Parameters(parameters.concentration, 2.0, parameters.modalities)
    torch.testing.assert_close(parameters.log_likelihoods(mail()), plain.log_likelihoods(halved))
    probs = torch.softmax(parameters.log_joint(mail()), 1)
    for port, sums in parameters.sums(mail(), probs).items():
        torch.testing.assert_close(sums, plain.sums(halved, probs)[port])


def test_a_modality_that_is_not_there_says_nothing_and_is_kept():
    parameters, _ = learnt()
    image = {"v.image": mail()["v.image"]}
    said = parameters.modalities["v.image"].log_likelihoods(image["v.image"])
    torch.testing.assert_close(parameters.log_likelihoods(image), said)


def test_its_state_brings_it_back():
    parameters, _ = learnt()
    again = prior().of_state(parameters.state())
    assert torch.equal(again.log_joint(mail()), parameters.log_joint(mail()))
    assert torch.equal(again.divergences()["v.image"], parameters.divergences()["v.image"])
