"""A Bayesian hidden Markov model, over a module's classes, over vectors, or over both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from pgmgraph import (
    Batches,
    Categorical,
    CategoricalPotential,
    Context,
    Gaussian,
    In,
    Message,
    Module,
    Out,
    Outbox,
    Point,
    PooledGaussianPotential,
)
from pgmgraph.errors import DataError, MessageTypeError, WiringError
from pgmgraph_modules.arguments import check_choice, check_counts, check_positive
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.prior import prior_from
from pgmgraph_modules.hmm.belief import ChainBelief
from pgmgraph_modules.hmm.dynamics import Dynamics
from pgmgraph_modules.hmm.smoothing import Smoothed
from pgmgraph_modules.hmm.starts import best_start
from pgmgraph_modules.hmm.viterbi import most_probable_path

_BYTES_AT_ONCE = 128 * 2**20


class HMM(Module):
    """p(pi) Dirichlet; p(A_i) Dirichlet; s_1 given pi, s_n given A_(s_n-1); p(mu_k, Lambda_k), x_n given s_n normal.

    The posterior is q(s) q(pi) q(A) q(mu, Lambda), where q(s) is a whole chain (Beal, 2003, chapter 3). With the
    messages lambda_n(k) from below, of which missing ones are left out,

        q(s) ~ exp( E log pi_(s_1) + sum E log A_(s_n-1, s_n) + sum_n log lambda_n(s_n) + E log N(x_n | s_n) )
        q(pi) = Dirichlet(start_concentration + q(s_1)),  q(A_i) = Dirichlet(concentration + sum_n q(s_n-1 = i, s_n))
        to c: q(s_n), the derivative of log Z by log lambda_n;  to x: sum_k q(s_n = k) E log N(x_n | mu_k, Lambda_k)

    and own terms of F: E log p(s) + H[q(s)] + E log p(x | s) - KL of the parameters. Rows after the last one of their
    sequence that was observed are forecast, by E[A], and have no terms. Learns and sends in float64. It looks along
    time: `Observation(values, sequences=ids)` says which rows are a sequence.

    Ports, c or x or both:
        c: the classes of the module below, which are the states. The HMM holds them.
        x: vectors, as beliefs or values, for emissions of the HMM's own. Sends back a potential.
        s: the states, for modules above, which send nothing back. The belief is a `ChainBelief`.

    Args:
        states: K; as many as c has classes.
        concentration: of the Dirichlet prior of each row of A. Small ones, such as 0.1, say that few states follow.
        start_concentration: of the Dirichlet prior of the first state.
        stickiness: added to the concentration of staying in a state.
        covariance: of x: "full" or "diagonal".
        starts: how many starts are tried at the first update, where x is wired and c is not: partitions by k-means
            and by k-means++ in turn, each learnt to a standstill. The best by its own bound is kept. With c wired,
            what comes from there says where to start.
        passes: times that one update runs over the plate.
        mean_precision: how many rows the prior mean of a state is worth.
        freedom: degrees of freedom of the Wishart prior; by default D + 2.
        scale: prior covariance, one number for all dimensions; by default the variance of the data of the first
            update along each dimension, whose mean is the prior mean.

    Raises:
        ValueError: an argument that no hidden Markov model can have.
    """

    c = In(CategoricalPotential, back=Categorical, optional=True)
    x = In(Gaussian, back=PooledGaussianPotential, optional=True)
    s = Out(Categorical)

    guarantee = "exact"
    sequential = True
    dtype = torch.float64

    def __init__(
        self,
        states: int,
        *,
        concentration: float = 1.0,
        start_concentration: float = 1.0,
        stickiness: float = 0.0,
        covariance: Literal["full", "diagonal"] = "full",
        starts: int = 4,
        passes: int = 2,
        mean_precision: float = 1.0,
        freedom: float | None = None,
        scale: float | None = None,
    ) -> None:
        check_counts({"states": states, "starts": starts, "passes": passes})
        check_positive({"concentration": concentration, "start_concentration": start_concentration})
        check_positive({"mean_precision": mean_precision, "scale": scale})
        if not 0 <= stickiness < math.inf:
            raise ValueError(f"Expected stickiness of 0 or more; got {stickiness}.")
        check_choice("covariance", covariance, ("full", "diagonal"))
        self.states = states
        self.concentration = concentration
        self.start_concentration = start_concentration
        self.stickiness = stickiness
        self.covariance = covariance
        self.starts = starts
        self.passes = passes
        self.mean_precision = mean_precision
        self.freedom = freedom
        self.scale = scale

    def check_wiring(self, connected: frozenset[str], owned: frozenset[str]) -> list[str]:
        """See `Module`."""
        if not connected & {"c", "x"}:
            raise WiringError("Expected a wire at c or at x, to learn states from; both are open. Wire one of them.")
        return []

    def event_shapes(self, c: tuple[int, ...] | None, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        return {"s": (self.states,), "c": (self.states,)}

    def setup(self, context: Context) -> None:
        """See `Module`; the emissions' prior comes with the first data, in `start`."""
        super().setup(context)
        numbers = self.states**2
        if "x" in context.shapes:
            [dimensions] = context.shapes["x"]
            full = self.covariance == "full"
            least = dimensions if full else 1
            if self.freedom is not None and self.freedom <= least - 1:
                raise ValueError(f"Expected freedom above {least - 1} in {dimensions} dimensions; got {self.freedom}.")
            numbers = max(numbers, Layout(dimensions, full, torch.zeros(dimensions)).columns)
        self.at_once = max(1, _BYTES_AT_ONCE // (8 * numbers))
        ones = torch.ones(self.states, self.states, dtype=self.dtype, device=context.device)
        stay = self.stickiness * torch.eye(self.states).to(ones)
        self.prior = Dynamics(self.start_concentration * ones[0], self.concentration * ones + stay)
        self.dynamics = self.prior
        self.emissions: Emissions | None = None

    def start(self, batches: Batches) -> None:
        """Fix the prior of the emissions, and tell the states apart: by what comes from c, or by several starts."""
        [batch] = batches.in_order()
        x, c, sequences = batch["x"], batch["c"], batch["sequences"]
        if x is None:
            return
        assert isinstance(x, Gaussian)
        assert isinstance(sequences, Tensor)
        layout, components = prior_from(
            x[~x.missing_rows()],
            self.states,
            full=self.covariance == "full",
            mean_precision=self.mean_precision,
            freedom=self.freedom,
            scale=self.scale,
        )
        self.emissions = Emissions(layout, components, components)
        if isinstance(c, CategoricalPotential):
            likely = torch.softmax(c.log_weights, 1) * ~c.missing_rows()[:, None]
            self.emissions = self.emissions.updated(self.emissions.sums(x, likely))
            return
        lengths = sequences.to(x.device)
        self.dynamics, self.emissions, bound = best_start(x, lengths, self.prior, self.emissions, self.starts)
        self.context.progress(self.starts, self.starts, {"bound": bound})

    def statistics(
        self, c: CategoricalPotential | None, x: Gaussian | None, s: None, sequences: Tensor
    ) -> Mapping[str, Tensor]:
        """Expected counts of starts, (K,), and transitions, (K, K); products with the moments of x, (K, columns)."""
        states = self._smoothed(c, x, sequences)[0]
        counts = {"starts": states.starts, "transitions": states.transitions}
        return counts if x is None else {**counts, "emissions": self._emissions().sums(x, states.probs)}

    def learn(self, total: Mapping[str, Tensor]) -> None:
        """The M step."""
        self.dynamics = self.prior.updated(total["starts"], total["transitions"])
        if "emissions" in total:
            self.emissions = self._emissions().updated(total["emissions"])

    def send(self, c: CategoricalPotential | None, x: Gaussian | None, s: None, sequences: Tensor) -> Outbox:
        """The states to all sides: as a belief to c and to s, as weights of the components to x."""
        states, evidence = self._smoothed(c, x, sequences)
        begins = torch.zeros(len(evidence), dtype=torch.bool, device=evidence.device)
        begins[sequences.cumsum(0) - sequences] = True
        belief = Categorical(states.probs)
        chain = ChainBelief(states.probs, states.coupling, evidence, begins)
        outbox = Outbox(s=belief, c=belief, beliefs={"s": chain})
        if x is not None:
            outbox.messages["x"] = self._emissions().message(states.probs)
        return outbox

    def elbo(
        self, c: Categorical | None, x: Gaussian | None, s: Categorical, sequences: Tensor
    ) -> Mapping[str, Tensor]:
        """E log p(s) + H[s] and, with emissions, E log p(x | s); less the KL of the parameters.

        The first two were taken when s was sent, with the parameters of that moment, which have not changed since.
        """
        assert isinstance(s, ChainBelief)
        terms = {"log p(s) + H[s]": s.coupling, "-KL dynamics": -self.dynamics.divergence(self.prior)}
        if x is not None:
            terms["log p(x|s)"] = (s.probs * self._emissions().log_likelihoods(x)).sum(1)
            terms["-KL emissions"] = -self._emissions().divergence()
        return terms

    def predict(self, port: str, s: Categorical) -> Point:
        """The expected vectors given the belief about the states; of rows to come, their forecast."""
        return Point(s.probs.to(self.means) @ self.means)

    def sample(self, n: int, s: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """Draw one sequence of n states from the posterior mean of the dynamics, and vectors from the predictive."""
        if s is None:
            s = self.dynamics.draw(n, temperature)
        if self.emissions is None:
            return {"s": s, "c": s}
        components = self.emissions.posterior
        hottest = float(components.hottest[s].min())
        if temperature >= hottest:
            raise DataError(
                f"Expected a temperature below {hottest:.4g} to draw from {self.context.name}; got {temperature:g}. "
                "The tails of a state that few rows are known of are so heavy that nothing is left to normalise."
            )
        x = components.predictive(s, temperature) + self.emissions.layout.centre
        return {"s": s, "c": s, "x": x}

    def most_probable_path(self, belief: Message) -> Tensor:
        """The states of whole sequences that are the most probable together, (N,) int64, by Viterbi (1967).

        They are states in a row that can follow each other, which the most probable state of each row need not be.

        Args:
            belief: about the states, as `fit` and `infer` give it: `beliefs["hmm.s"]`, uncut.

        Raises:
            MessageTypeError: the belief holds no evidence, as one does that was saved and loaded.
        """
        if not isinstance(belief, ChainBelief):
            raise MessageTypeError(
                f"Expected a ChainBelief, beliefs['{self.context.name}.s'] of fit or infer; got a "
                f"{type(belief).__name__}. Infer again: the evidence is not saved with a belief."
            )
        return most_probable_path(belief.evidence, belief.lengths(), *self.dynamics.expected_log())

    def forecast(self, probs: Tensor, steps: int) -> Tensor:
        """What is believed of the states that come next, (..., steps, K), by the posterior mean of the transitions.

        Args:
            probs: (..., K), the belief about the last state that something is known of.
            steps: how many, 0 or more.
        """
        return self.dynamics.forecast(probs.to(self.dynamics.transition), steps)

    def state_dict(self) -> dict[str, object]:
        """The posteriors, and the prior of the emissions, which came from data."""
        emissions = {} if self.emissions is None else {"emissions": self.emissions.state()}
        return {"start": self.dynamics.start, "transition": self.dynamics.transition, **emissions}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        start, transition = state["start"], state["transition"]
        assert isinstance(start, Tensor)
        assert isinstance(transition, Tensor)
        self.dynamics = Dynamics(start, transition)
        self.emissions = Emissions.of_state(state["emissions"]) if "emissions" in state else None

    @property
    def start_probs(self) -> Tensor:
        """E[pi], (K,)."""
        return self.dynamics.mean()[0]

    @property
    def transitions(self) -> Tensor:
        """E[A], (K, K), from row to column."""
        return self.dynamics.mean()[1]

    @property
    def means(self) -> Tensor:
        """E[mu_k] of the emissions, (K, D)."""
        return self._emissions().means

    @property
    def covariances(self) -> Tensor:
        """The inverse of E[Lambda_k] of the emissions, (K, D, D), or (K, D) for diagonal covariances."""
        return self._emissions().covariances

    def _smoothed(
        self, c: CategoricalPotential | None, x: Gaussian | None, sequences: Tensor
    ) -> tuple[Smoothed, Tensor]:
        """The states given what came from below, and that evidence, (N, K)."""
        n = int(sequences.sum())
        evidence = self.prior.start.new_zeros(n, self.states)
        seen = torch.zeros(n, dtype=torch.bool, device=evidence.device)
        if c is not None:
            evidence = evidence + torch.where(c.missing_rows()[:, None], 0.0, c.log_weights)
            seen = seen | ~c.missing_rows()
        if x is not None:
            evidence = evidence + self._emissions().log_likelihoods(x)
            seen = seen | ~x.missing_rows()
        return self.dynamics.smoothed(evidence, seen, sequences.to(evidence.device)), evidence

    def _emissions(self) -> Emissions:
        assert self.emissions is not None
        return self.emissions
