"""A prior over classes: the simplest holder of a discrete variable."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pgmgraph import Categorical, CategoricalPotential, Context, In, Module, Out, Outbox
from pgmgraph_modules.conjugate.dirichlet import divergence, expected_log


class ClassPrior(Module):
    r"""Classes with weights that are learnt: p(pi) Dirichlet, c_n ~ pi.

    It stands above classes that another module finds, and holds them. Over groups, `connect(gmm.c, prior.c,
    pool="images")`, it makes all members of a group share one class. The posterior is q(c) q(pi) (Bishop, 2006, section
    10.2), with lambda_n what comes from below::

        q(c_n) ~ exp(E log pi) lambda_n(c_n),      q(pi) = Dirichlet(concentration + sum_n q(c_n))

    Own terms: E log p(c) + H[q(c)], less the KL of the weights. Every step is exact.

    Ports:
        c: the classes below. Sends back q(c).
        g: the same belief, a row for each item of its own plate; of groups, where c lies on the plate of their members.

    Args:
        concentration: of the Dirichlet prior, for each class. N / K says, as firmly as the data, that classes are of
            about one size.

    Raises:
        ValueError: the concentration is not positive.
    """

    c = In(CategoricalPotential, back=Categorical)
    g = Out(Categorical)

    guarantee = "exact"
    dtype = torch.float64

    def __init__(self, concentration: float = 1.0) -> None:
        if not 0 < concentration < math.inf:
            raise ValueError(f"Expected a positive concentration; got {concentration}.")
        self.concentration = concentration

    def event_shapes(self, c: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        return {"g": c or ()}

    def setup(self, context: Context) -> None:
        """Start at the prior."""
        super().setup(context)
        self._prior = torch.full(context.shapes["g"], self.concentration, dtype=self.dtype, device=context.device)
        self._posterior = self._prior

    def statistics(self, c: CategoricalPotential, g: None) -> Tensor:
        """How many items each class is expected to have, (K,)."""
        return self._belief(c).probs.sum(0)

    def learn(self, total: Tensor) -> None:
        """The M step."""
        self._posterior = self._prior + total

    def send(self, c: CategoricalPotential, g: None) -> Outbox:
        """q(c), to both sides."""
        belief = self._belief(c)
        return Outbox(c=belief, g=belief)

    def elbo(self, c: Categorical, g: Categorical) -> Mapping[str, Tensor]:
        """See the class."""
        return {
            "log p(c)": c.probs @ expected_log(self._posterior),
            "H[c]": c.entropy(),
            "-KL weights": -divergence(self._posterior, self._prior),
        }

    def sample(self, n: int, g: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """Draw classes by the mean of the weights."""
        drawn = Categorical(self.weights.expand(n, -1)).draw(temperature) if g is None else g
        return {"c": drawn, "g": drawn}

    def state_dict(self) -> dict[str, object]:
        """The posterior of the weights."""
        return {"posterior": self._posterior}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        posterior = state["posterior"]
        assert isinstance(posterior, Tensor)
        self._posterior = posterior

    @property
    def weights(self) -> Tensor:
        """E[pi], (K,)."""
        return self._posterior / self._posterior.sum()

    def _belief(self, c: CategoricalPotential) -> Categorical:
        return Categorical(torch.softmax(expected_log(self._posterior) + c.log_weights, 1))
