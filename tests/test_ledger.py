"""F: closed forms, who owns what, and what happens where an exact update lowers it."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch.distributions import MultivariateNormal

from pgmgraph import ModelGraph, Module, Observation, Outbox, fit
from pgmgraph.errors import BoundDecreased, BoundDecreasedError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import (
    Centre,
    Drifting,
    Noisy,
    Regression,
    StochasticDrifting,
    Walk,
    Weights,
    blobs,
    dense,
    intensities,
    observed,
)

VALUES = dense(observed(n=9))


def chain(parent: Module | None = None, backward: bool = True, **options: object) -> ModelGraph:
    data, noisy, centre = Observation(VALUES), Noisy(**options), parent or Centre()  # type: ignore[arg-type]
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x, backward=backward)  # type: ignore[attr-defined]
    return graph


def mixture(values: torch.Tensor, parent: bool = False) -> ModelGraph:
    data, gmm = Observation(values), GMM(3, starts=2)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    if parent:
        graph.add("weights", weights := Weights())
        graph.connect(gmm.c, weights.c)
    return graph


def values_of(result) -> list[float]:
    return [entry.F for entry in result.trace if entry.F is not None]


def test_exact_inference_in_one_module_gives_the_evidence() -> None:
    data, noisy = Observation(VALUES), Noisy(0.5)
    graph = ModelGraph(data=data, noisy=noisy)
    graph.connect(data.value, noisy.y)
    result = fit(graph, rounds=3)
    evidence = MultivariateNormal(noisy.shift, 1.5 * torch.eye(2, dtype=torch.float64)).log_prob(VALUES).sum()
    assert result.history["F"][-1] == pytest.approx(float(evidence), rel=1e-12)


def test_a_chain_stays_below_its_evidence_and_climbs_to_what_mean_field_allows() -> None:
    result = fit(chain(learn_shift=False), rounds=200, strict=True)
    # y = mu + z's noise + noise: the rows' common mean makes them dependent.
    n = len(VALUES)
    covariance = 100.0 * torch.ones(n, n, dtype=torch.float64) + 1.5 * torch.eye(n, dtype=torch.float64)
    evidence = sum(MultivariateNormal(torch.zeros(n).double(), covariance).log_prob(VALUES[:, d]) for d in range(2))
    found = values_of(result)
    assert all(after >= before - 1e-9 for before, after in pairwise(found))
    # The best mean-field value: each factor's precision is the joint posterior's diagonal.
    posterior = torch.zeros(n + 1, n + 1, dtype=torch.float64)
    posterior[:n, :n] = torch.eye(n) * (1 / 0.5 + 1)
    posterior[n, n] = n + 0.01
    posterior[:n, n] = posterior[n, :n] = -1.0
    gap = 2 * 0.5 * float(posterior.diagonal().log().sum() - torch.linalg.slogdet(posterior).logabsdet)
    assert found[-1] == pytest.approx(float(evidence) - gap, abs=1e-6)


def test_own_terms_add_up_to_f_and_nothing_is_counted_twice() -> None:
    result = fit(chain(), rounds=2)
    last = result.trace[-1]
    assert pytest.approx(math.fsum(sum(terms.values()) for terms in last.terms.values()), rel=1e-12) == last.F
    assert set(last.terms["noisy"]) == {"log p(y|z)", "H[z]"}  # p(z) belongs to the parent, q(z) to the child
    assert set(last.terms["centre"]) == {"log p(x|mu)", "-KL mu"}
    assert result.history["F"][-1] == last.F
    assert last.standard_error == 0.0


def test_terms_of_a_mixture_and_of_one_whose_components_a_parent_holds() -> None:
    values, _ = blobs(40)
    own = fit(mixture(values), rounds=3, strict=True).trace[-1]
    assert pytest.approx(sum(own.terms["gmm"].values()), rel=1e-12) == own.F
    result = fit(mixture(values, parent=True), rounds=5, strict=True)
    last = result.trace[-1]
    assert set(last.terms["gmm"]) == {"log p(x|c)", "-KL components"}
    assert set(last.terms["weights"]) == {"log p(c)", "H[c]"}
    assert pytest.approx(sum(sum(terms.values()) for terms in last.terms.values()), rel=1e-12) == last.F


def test_f_is_unknown_until_every_module_has_been_updated() -> None:
    result = fit(chain(), rounds=2)
    assert [entry.F is None for entry in result.trace] == [True, False, False, False]
    assert [entry.modules for entry in result.trace] == [("noisy",), ("centre",)] * 2
    with pytest.warns(UserWarning, match="never updated centre"):
        result = fit(chain(), schedule=lambda view, round: ["noisy"], rounds=2)
    assert result.history["F"] == [None, None]


def test_f_is_known_at_once_in_a_second_fit() -> None:
    graph = chain()
    fit(graph, rounds=2)
    assert all(entry.F is not None for entry in fit(graph).trace)


def test_without_backward_messages_the_parent_owns_the_prior_all_the_same() -> None:
    graph = chain(backward=False)
    last = fit(graph, rounds=3, strict=True).trace[-1]
    assert set(last.terms["noisy"]) == {"log p(y|z)", "H[z]"}
    better = fit(chain(), rounds=3).history["F"][-1]
    assert better is not None
    assert last.F is not None
    assert better > last.F


def test_a_module_without_terms_leaves_f_unknown() -> None:
    graph = chain()
    graph.add("walk", walk := Walk())
    graph.connect(graph.observations["data"].value, walk.x)
    assert fit(graph, rounds=2).history["F"] == [None, None]


def test_a_wrong_exact_module_is_caught() -> None:
    with pytest.warns(BoundDecreased, match=r"Updating centre in round 1 lowered F by .*exact"):
        fit(chain(Drifting()), rounds=2)
    with refused(BoundDecreasedError, "centre", "round 1", "contradict") as caught:
        fit(chain(Drifting()), rounds=2, strict=True)
    assert (caught.value.module, caught.value.round) == ("centre", 1)
    assert caught.value.fall > 0


def test_the_fall_is_what_is_reported() -> None:
    result = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = fit(chain(Drifting()), rounds=2)
    before, after = [entry.F for entry in result.trace][-2:]
    assert before is not None
    assert after is not None
    [warning] = [one for one in caught if one.category is BoundDecreased]
    assert f"lowered F by {before - after:.6g}" in str(warning.message)


def test_what_promises_less_is_not_held_to_it() -> None:
    result = fit(chain(StochasticDrifting()), rounds=3, strict=True)
    assert values_of(result)[-1] < values_of(result)[0]


def test_a_prior_that_does_not_arrive_whole_excuses_a_fall() -> None:
    class Sliding(Noisy):
        def learn(self, total):
            super().learn(total)
            self.shift = self.shift + self.context.updates

    def sliding(backward: bool) -> ModelGraph:
        data, noisy, centre = Observation(VALUES), Sliding(), Centre()
        graph = ModelGraph(data=data, noisy=noisy, centre=centre)
        graph.connect(data.value, noisy.y)
        graph.connect(noisy.z, centre.x, backward=backward)
        return graph

    with refused(BoundDecreasedError, "noisy"):
        fit(sliding(backward=True), rounds=3, strict=True)
    found = values_of(fit(sliding(backward=False), rounds=3, strict=True))
    assert any(after < before for before, after in pairwise(found))


def test_a_module_that_is_sent_something_else_than_the_belief_is_not_held_to_it() -> None:
    """A mixture of means alone is no mixture of the vectors that F counts; of the beliefs themselves it is."""

    def learnt(send: Literal["belief", "mean"]) -> list[float]:
        pixels, vae, gmm = Observation(intensities(60, 8)), VAE(2, hidden=(8,), send=send), GMM(3, starts=1)
        graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
        graph.connect(pixels.value, vae.x)
        graph.connect(vae.z, gmm.x)
        pairs = pairwise(fit(graph, rounds=6, strict=True).trace)
        known = [(before.F, after.F) for before, after in pairs if after.modules == ("gmm",)]
        return [after - before for before, after in known if before is not None and after is not None]

    assert min(learnt("mean")) < 0
    assert min(learnt("belief")) > 0


def test_modules_of_one_stage_that_share_a_wire_are_not_held_to_it() -> None:
    graph = chain(Drifting())
    fit(
        graph,
        rounds=3,
        strict=True,
        schedule=lambda view, round: ["noisy", "centre"] if not round else [("noisy", "centre")],
    )


def vae_mixture(n: int = 60) -> ModelGraph:
    data, vae, gmm = Observation(intensities(n)), VAE(2, hidden=(4,), batch_size=20), GMM(2, starts=1)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph


def test_a_fixed_subset_and_fixed_noise_give_the_same_value_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = vae_mixture()
    monkeypatch.setattr(VAE, "elbo_items", 17)
    fit(graph, rounds=2)
    first, second = (fit(graph, frozen=["vae", "gmm"], schedule=["vae"], seed=5).trace[-1] for _ in range(2))
    assert first.F == second.F
    assert first.terms == second.terms
    assert first.standard_error == second.standard_error > 0
    other = fit(graph, frozen=["vae", "gmm"], schedule=["vae"], seed=6).trace[-1]
    assert other.F != first.F
    # Scaled up, the part speaks for the whole, give or take its error.
    monkeypatch.setattr(VAE, "elbo_items", None)
    whole = fit(graph, frozen=["vae", "gmm"], schedule=["vae"], seed=5).trace[-1]
    assert whole.standard_error == 0.0
    assert first.F is not None
    assert whole.F is not None
    assert abs(whole.F - first.F) < 6 * first.standard_error


def test_terms_are_cached_until_something_changes():
    data, noisy, regression = Observation(VALUES), Noisy(), Regression()
    asked: list[str] = []
    elbo = noisy.elbo

    def counted(**beliefs):
        asked.append("noisy")
        return elbo(**beliefs)

    noisy.elbo = counted
    graph = ModelGraph(data=data, noisy=noisy, regression=regression)
    graph.connect(data.value, noisy.y)
    graph.connect(data.value, regression.x)
    fit(graph, rounds=1)
    asked.clear()
    fit(graph, schedule=lambda view, round: ["regression", "regression", "noisy"])
    assert len(asked) == 2  # at the start, and when it was updated itself


def test_wires_that_come_later_decide_who_owns_the_prior_from_then_on() -> None:
    graph = ModelGraph(data=(data := Observation(VALUES)), noisy=(noisy := Noisy()))
    graph.connect(data.value, noisy.y)
    assert "log p(z)" in fit(graph).trace[-1].terms["noisy"]
    graph.add("centre", centre := Centre())
    graph.connect(noisy.z, centre.x)
    last = fit(graph, rounds=2, strict=True).trace[-1]
    assert set(last.terms["noisy"]) == {"log p(y|z)", "H[z]"}
    assert noisy.context.connected == {"y", "z"}


def test_without_the_objective_nothing_is_evaluated() -> None:
    result = fit(chain(), rounds=2, objective=False)
    assert result.trace == []
    assert result.history["F"] == [None, None]


def test_a_module_may_report_its_terms_as_it_sends() -> None:
    class Reporting(Centre):
        def send(self, x):
            terms = Centre.elbo(self, x)
            return Outbox(x=self._potential(len(x)), elbo=terms)

        def __getattribute__(self, name):
            if name == "elbo":
                raise AttributeError(name)
            return super().__getattribute__(name)

    reporting = fit(chain(Reporting()), rounds=3, strict=True)
    asked = fit(chain(), rounds=3, schedule="bottom_up", strict=True)
    # When the child changes its belief they are out of date, so F is unknown until the module sends again.
    assert [entry.F is None for entry in reporting.trace] == [True, False, True, False, True, False]
    assert reporting.history["F"] == pytest.approx(asked.history["F"], rel=1e-12)
