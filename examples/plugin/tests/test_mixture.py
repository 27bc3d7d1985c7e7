"""What any exact module should be tested for: F never falls, and messages are derivatives."""

from itertools import pairwise

import pytest
import torch
from pgmgraph_bernoulli import BernoulliMixture

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    Context,
    In,
    ModelGraph,
    Module,
    Observation,
    Outbox,
    Point,
    fit,
    generate,
    infer,
)

PROTOTYPES = torch.tensor([[0.9] * 6 + [0.1] * 6, [0.1] * 6 + [0.9] * 6, [0.9, 0.1] * 6], dtype=torch.float64)


class Choice(Module):
    """The simplest parent of a discrete variable: p(c_n = k) is weights_k, learnt by maximum likelihood."""

    c = In(CategoricalPotential, back=Categorical)
    guarantee = "exact"
    dtype = torch.float64

    def setup(self, context: Context) -> None:
        super().setup(context)
        [states] = context.shapes["c"]
        self.weights = torch.full((states,), 1 / states, dtype=self.dtype)

    def believed(self, c: CategoricalPotential) -> torch.Tensor:
        return torch.softmax(c.log_weights + self.weights.log(), 1)

    def statistics(self, c: CategoricalPotential) -> torch.Tensor:
        return self.believed(c).sum(0)

    def learn(self, total: torch.Tensor) -> None:
        self.weights = total / total.sum()

    def send(self, c: CategoricalPotential) -> Outbox:
        return Outbox(c=Categorical(self.believed(c)))

    def elbo(self, c: Categorical) -> dict[str, torch.Tensor]:
        return {"log p(c)": c.probs @ self.weights.log(), "H[c]": c.entropy()}

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.weights = state["weights"]


def draw(seed: int, items: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (items,), generator=generator)
    return torch.bernoulli(PROTOTYPES[labels], generator=generator), labels


def wired(values: torch.Tensor, *, held_above: bool) -> tuple[ModelGraph, BernoulliMixture]:
    bits, mixture = Observation(values), BernoulliMixture(components=3)
    graph = ModelGraph(bits=bits, mixture=mixture)
    graph.connect(bits.value, mixture.x)
    if held_above:
        choice = Choice()
        graph.add("choice", choice)
        graph.connect(mixture.c, choice.c)
    return graph, mixture


@pytest.mark.parametrize("held_above", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_update_lowers_f(seed: int, held_above: bool) -> None:
    graph, _ = wired(draw(seed)[0], held_above=held_above)
    result = fit(graph, rounds=20, seed=seed, strict=True)
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    assert len(bounds) >= 20
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(bounds))


def test_the_message_up_is_the_derivative_of_the_terms() -> None:
    values, _ = draw(0)
    graph, mixture = wired(values, held_above=True)
    fit(graph, rounds=3)
    sent = mixture.send(x=Point(values), c=None).messages["c"]
    assert isinstance(sent, CategoricalPotential)
    probs = torch.full((len(values), 3), 1 / 3, dtype=torch.float64, requires_grad=True)
    terms = mixture.elbo(x=Point(values), c=Categorical(probs))
    torch.stack([term.sum() for term in terms.values()]).sum().backward()
    torch.testing.assert_close(probs.grad, sent.log_weights)


def test_the_bound_is_the_evidence_where_the_mixture_has_one_component() -> None:
    values, _ = draw(0)
    bits, mixture = Observation(values), BernoulliMixture(components=1)
    graph = ModelGraph(bits=bits, mixture=mixture)
    graph.connect(bits.value, mixture.x)
    ones, n = values.sum(0), torch.tensor(float(len(values)), dtype=torch.float64)
    # The Beta-binomial evidence of each column under a uniform prior.
    evidence = torch.lgamma(1 + ones) + torch.lgamma(1 + n - ones) - torch.lgamma(2 + n)
    assert fit(graph, rounds=2).history["F"][-1] == pytest.approx(float(evidence.sum()), rel=1e-12)


def test_it_finds_the_prototypes_and_draws_from_them() -> None:
    values, labels = draw(1, items=600)
    graph, mixture = wired(values, held_above=False)
    fit(graph, rounds=20, seed=1)
    found = infer(graph, {"bits": values})["mixture.c"]
    assert isinstance(found, Categorical)
    cluster = [int(found.most_probable()[labels == k].mode().values) for k in range(3)]
    assert sorted(cluster) == [0, 1, 2]
    torch.testing.assert_close(mixture.means[cluster], PROTOTYPES, atol=0.1, rtol=0)
    bits = generate(graph, {"mixture.c": cluster[0]}, n=2000)["bits"]
    torch.testing.assert_close(bits.mean(0), PROTOTYPES[0], atol=0.12, rtol=0)
    typical = generate(graph, {"mixture.c": cluster[0]}, temperature=0)["bits"]
    assert torch.equal(typical[0], mixture.means[cluster[0]].round())
    odds = (mixture.means[cluster[0]] / (1 - mixture.means[cluster[0]])) ** 0.5
    bold = generate(graph, {"mixture.c": cluster[0]}, n=4_000, temperature=2.0)["bits"]
    torch.testing.assert_close(bold.mean(0), odds / (1 + odds), atol=5 * 0.5 / 4_000**0.5, rtol=0)
