"""A mixture of Bernoulli distributions, by variational Bayes in closed form."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Beta, Dirichlet, kl_divergence

from pgmgraph import Batches, Categorical, CategoricalPotential, Context, In, Module, Out, Outbox, Point


class BernoulliMixture(Module):
    """p(weights) Dirichlet; p(theta_kd) Beta; c_n given weights; x_nd given c_n Bernoulli(theta_kd).

    The posterior is mean-field, q(c) q(weights) q(theta), and every step is exact.

    Ports:
        x: binary vectors (D,), zeros and ones.
        c: the component. Unwired, the mixture holds it; wired, the parent does, and takes log-likelihoods.

    Args:
        components: K.
        passes: iterations of variational Bayes in one update.
        concentration: of the Dirichlet prior, for each component.
        ones, zeros: of the Beta prior, how many ones and zeros it is worth.

    Raises:
        ValueError: an argument that is not positive.
    """

    x = In(Point)
    c = Out(CategoricalPotential, back=Categorical)
    guarantee = "exact"
    dtype = torch.float64

    def __init__(
        self,
        components: int,
        *,
        passes: int = 2,
        concentration: float = 1.0,
        ones: float = 1.0,
        zeros: float = 1.0,
    ) -> None:
        given = {"components": components, "passes": passes, "concentration": concentration, "ones": ones}
        for name, value in {**given, "zeros": zeros}.items():
            if not value > 0:
                raise ValueError(f"Expected a positive {name}; got {value}.")
        self.components = components
        self.passes = passes
        self.concentration = concentration
        self.ones = ones
        self.zeros = zeros

    def supports(self) -> dict[str, tuple[float, float]]:
        """See `Module`."""
        return {"x": (0.0, 1.0)}

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        return {"c": (self.components,)}

    def setup(self, context: Context) -> None:
        """See `Module`: the posterior starts as the prior."""
        super().setup(context)
        [dimensions] = context.shapes["x"]
        like = torch.zeros(self.components, dimensions, dtype=self.dtype, device=context.device)
        self.counts = like[:, 0] + self.concentration  # Dirichlet, (K,)
        self.counts_of_ones = like + self.ones  # Beta, (K, D)
        self.counts_of_zeros = like + self.zeros  # Beta, (K, D)

    def start(self, batches: Batches) -> None:
        """Give each component one random item, so that they differ."""
        chosen = batches.subset(self.components, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))
        [batch] = chosen.in_order()
        assert isinstance(batch["x"], Point)
        items = batch["x"].value
        self.counts_of_ones[: len(items)] += items
        self.counts_of_zeros[: len(items)] += 1 - items

    def statistics(self, x: Point, c: Categorical | None) -> dict[str, Tensor]:
        """How many items, ones and zeros each component is responsible for."""
        responsibilities = self._responsibilities(x, c)
        return {
            "items": responsibilities.sum(0),
            "ones": responsibilities.T @ x.value,
            "zeros": responsibilities.T @ (1 - x.value),
        }

    def learn(self, total: Mapping[str, Tensor]) -> None:
        """The M step: the prior's counts and the data's, added up."""
        self.counts = total["items"] + self.concentration
        self.counts_of_ones = total["ones"] + self.ones
        self.counts_of_zeros = total["zeros"] + self.zeros

    def send(self, x: Point, c: Categorical | None) -> Outbox:
        """The belief about c where it is the mixture's own, the log-likelihoods where a parent holds it."""
        if "c" in self.context.owned:
            return Outbox(c=Categorical(self._responsibilities(x, c)))
        return Outbox(c=CategoricalPotential(self._log_likelihoods(x)))

    def elbo(self, x: Point, c: Categorical) -> dict[str, Tensor]:
        """E log p(x | c), less the KL of theta; where c is the mixture's own, the terms of c and of the weights."""
        prior = Beta(torch.full_like(self.counts_of_ones, self.ones), torch.full_like(self.counts_of_ones, self.zeros))
        terms = {
            "log p(x|c)": (c.probs * self._log_likelihoods(x)).sum(1),
            "-KL theta": -kl_divergence(Beta(self.counts_of_ones, self.counts_of_zeros), prior).sum(),
        }
        if "c" in self.context.owned:
            weights = Dirichlet(torch.full_like(self.counts, self.concentration))
            terms["log p(c)"] = c.probs @ self._log_weights()
            terms["H[c]"] = c.entropy()
            terms["-KL weights"] = -kl_divergence(Dirichlet(self.counts), weights)
        return terms

    def predict(self, port: str, c: Categorical) -> Point:
        """The probability of a one under q(c)."""
        return Point(c.probs @ self.means)

    def sample(self, n: int, c: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """Zeros and ones for the given components, or for n draws of them."""
        if c is None:
            c = Categorical((self.counts / self.counts.sum()).expand(n, -1)).draw(temperature)
        ones = self.means[c]
        bits = Categorical(torch.stack([1 - ones, ones], -1).flatten(0, 1)).draw(temperature)
        return {"c": c, "x": bits.reshape(ones.shape).to(ones)}

    def state_dict(self) -> dict[str, Tensor]:
        """The counts of the posterior."""
        return {"items": self.counts, "ones": self.counts_of_ones, "zeros": self.counts_of_zeros}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Module`."""
        self.counts, self.counts_of_ones, self.counts_of_zeros = state["items"], state["ones"], state["zeros"]

    @property
    def means(self) -> Tensor:
        """E[theta], (K, D)."""
        return self.counts_of_ones / (self.counts_of_ones + self.counts_of_zeros)

    def _log_weights(self) -> Tensor:
        return torch.digamma(self.counts) - torch.digamma(self.counts.sum())

    def _log_likelihoods(self, x: Point) -> Tensor:
        """E[log p(x_n | c_n = k)], (n, K)."""
        both = torch.digamma(self.counts_of_ones + self.counts_of_zeros)
        log_one = torch.digamma(self.counts_of_ones) - both
        log_zero = torch.digamma(self.counts_of_zeros) - both
        return x.value @ log_one.T + (1 - x.value) @ log_zero.T

    def _responsibilities(self, x: Point, c: Categorical | None) -> Tensor:
        """q(c), (n, K): what the parent believes, or the mixture's own E step."""
        if c is not None:
            return c.probs
        return torch.softmax(self._log_likelihoods(x) + self._log_weights(), 1)
