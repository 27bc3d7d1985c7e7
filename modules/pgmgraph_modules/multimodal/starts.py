"""Where a multimodal mixture starts: partitions of the data, learnt at once or cooled slowly, the best kept."""

from __future__ import annotations

import torch
from torch import Tensor

from pgmgraph import CategoricalPotential, Gaussian, Message, Point
from pgmgraph_modules.conjugate.centres import canonical_order, centres
from pgmgraph_modules.multimodal.parameters import Mail, Parameters
from pgmgraph_modules.multimodal.sparse import sparse

_HOTTEST = 50.0
_ITERATIONS = 100
_STANDSTILL = 1e-6
_ALIKE = 1e-6


def best_start(mail: Mail, prior: Parameters, starts: int, cooling: int) -> tuple[Parameters, float]:
    """The best of several starts by its own bound.

    Each begins with a partition by the nearest of k-means++ centres. Three of four then go through deterministic
    annealing (Ueda and Nakano, 1998; of variational Bayes, Katahira, Watanabe and Okada, 2008):
    q(c) ~ exp(log joint / T), with T falling from 50 to 1. At high temperatures components part along what the
    modalities tell most firmly, and more of them as it cools. But where they only part at T below 1, as normal
    densities may whose covariances follow, annealing leaves them all alike: hence the others.

    Args:
        mail: messages by the name of the port.
        prior: parameters at their prior.
        starts: how many.
        cooling: steps from the highest temperature to 1.

    Returns:
        The parameters after the best start, and its bound.
    """
    points = _features(mail)
    mail = {port: sparse(message) for port, message in mail.items()}
    ordered = points[canonical_order(points)].cpu().numpy()
    components = len(prior.concentration)
    best: tuple[Parameters, float] | None = None
    for number in range(starts):
        located = centres(ordered, components, int(torch.randint(2**31, ())), refine=False).to(points)
        partition = torch.nn.functional.one_hot(torch.cdist(points, located).argmin(1), components).to(points)
        started = prior.updated(prior.sums(mail, partition))
        if number % 4 != 3:
            started = _cooled(mail, started, cooling)
        found = _converged(mail, started)
        # Starts that end alike differ in rounding and in their components' numbers: the first one counts.
        if best is None or found[1] > best[1] + _ALIKE * abs(best[1]):
            best = found
    assert best is not None
    return best


def _cooled(mail: Mail, parameters: Parameters, steps: int) -> Parameters:
    for step in range(steps):
        temperature = _HOTTEST ** (1 - step / steps)
        probs = torch.softmax(parameters.log_joint(mail) / temperature, 1)
        parameters = parameters.updated(parameters.sums(mail, probs))
    return parameters


def _converged(mail: Mail, parameters: Parameters) -> tuple[Parameters, float]:
    last = -float("inf")
    for _ in range(_ITERATIONS):
        joint = parameters.log_joint(mail)
        divergence = torch.stack([parameters.divergence_of_weights(), *parameters.divergences().values()]).sum()
        bound = float(torch.logsumexp(joint, 1).sum() - divergence)
        if bound - last <= _STANDSTILL * abs(bound):
            return parameters, bound
        last = bound
        parameters = parameters.updated(parameters.sums(mail, torch.softmax(joint, 1)))
    return parameters, last


def _features(mail: Mail) -> Tensor:
    """Every modality as columns with a total variance of one, side by side, (n, columns); missing rows at the mean."""
    return torch.cat([_columns(message) for message in mail.values()], 1)


def _columns(message: Message) -> Tensor:
    match message:
        case Gaussian():
            values = message.mean
        case Point():
            values = message.value.clamp_min(0).sqrt()  # which makes the spread of counts alike
        case CategoricalPotential():
            values = torch.softmax(message.log_weights, 1)
        case _:
            raise AssertionError(type(message).__name__)
    seen = ~message.missing_rows()
    away = values - values[seen].mean(0) if seen.any() else torch.zeros_like(values)
    away = away.masked_fill(~seen[:, None], 0.0)
    size = away.square().sum(1).mean().sqrt()
    return away / size if size > 0 else away
