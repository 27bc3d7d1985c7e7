"""What a classifier and a regressor have in common: a network over a vector that the rest of the model shares."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pyro
import torch
from torch import Tensor, nn

from pgmgraph import Belief, Context, Gaussian, GaussianEvidence, Guarantee, In, Out, Outbox, Point
from pgmgraph.errors import WiringError
from pgmgraph_modules.svi import SVIModule


class Predictor(SVIModule):
    r"""p(y_n | z_n) by a network a = f(z), learnt from the items whose y is known; a subclass says what y is.

    A subclass has log p(y | a), its gradient g(a, y) in a, and a constant positive matrix C with
    -d^2 log p(y | a) / da^2 <= C. So for all z, with J = df/dz and a at some point m, where f is linear,

        log p(y | f(z)) >= log p(y | a) + g'J (z - m) - (z - m)' J'CJ (z - m) / 2,

    which is Boehning's bound (1992). At the mean m_n of q(z_n) = N(m_n, S_n), where it is tightest, its expectation

        L_n = log p(y_n | a_n) - tr(C J S_n J') / 2

    is the module's term of F, and the bound is the message to z_n, the derivative of L_n:

        precision J'CJ,   shift J'g + J'CJ m_n,   log_scale log p(y_n | a_n) - (J'g)'m_n - m_n' J'CJ m_n / 2.

    A child that raises F under this message raises F with L_n too: L_n is taken at the best point anew. With hidden
    layers f is replaced by its tangent at m_n (Gauss-Newton); L_n is then no bound, and nothing is guaranteed.

    An unknown y is summed out: it sends the constant zero and has no term. The message is evidence and no prior:
    p(z) stays with the module below, or with another parent.

    Ports:
        z: vectors, as beliefs (with their variance) or as values. Sends back evidence.
        y: what is known, mostly missing perhaps.
        predicted: q(y_n): for certain where y is known, what the network predicts elsewhere.

    Args:
        hidden: hidden layers of tanh units; none for a linear f.
        weight: how many times each known y counts, in the term and in the message. Anything but 1 tempers the model,
            and guarantees nothing; but where one item in twenty is known, 20 lets the known speak for all.
        prior_variance: of the normal prior N(0, v) of each of the network's parameters, whose log-density is a term
            of F. With few known items it decides how firm predictions are, and how strong messages.
        epochs, first_epochs, batch_size, lr: see `SVIModule`.
    """

    z = In(Gaussian, back=GaussianEvidence)
    y = In(Point, optional=True)
    predicted = Out(Belief)  # type: ignore[type-abstract]  # a subclass says of which kind

    dtype = torch.float64
    elbo_items = None  # type: ignore[assignment]  # items whose y is known are few

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (),
        weight: float = 1.0,
        prior_variance: float = 1.0,
        epochs: int = 10,
        first_epochs: int | None = None,
        batch_size: int = 128,
        lr: float = 1e-2,
    ) -> None:
        super().__init__(epochs=epochs, first_epochs=first_epochs, batch_size=batch_size, lr=lr)
        if any(units < 1 for units in hidden):
            raise ValueError(f"Expected hidden layers of at least 1 unit; got {tuple(hidden)}.")
        for name, number in {"weight": weight, "prior_variance": prior_variance}.items():
            if not 0 < number < math.inf:
                raise ValueError(f"Expected a positive, finite {name}; got {number}.")
        self.hidden = tuple(hidden)
        self.weight = weight
        self.prior_variance = prior_variance

    @property
    def guarantee(self) -> Guarantee:  # type: ignore[override]  # it depends on the network
        """Stochastic where f is linear, and F a bound; none with hidden layers, or a weight other than 1."""
        return "none" if self.hidden or self.weight != 1 else "stochastic"

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The dimensions of a."""

    @abstractmethod
    def log_likelihood(self, a: Tensor, y: Tensor) -> Tensor:
        """The log-likelihood log p(y | a), (n,), differentiable in a, (n, outputs)."""

    @abstractmethod
    def gradient(self, a: Tensor, y: Tensor) -> Tensor:
        """Its gradient in a, (n, outputs)."""

    @abstractmethod
    def curvature(self) -> Tensor:
        """C, (outputs, outputs)."""

    @abstractmethod
    def foretold(self, a: Tensor, spread: Tensor) -> Belief:
        """What is believed of y where a is normal, of mean (n, outputs) and covariance (n, outputs, outputs)."""

    @abstractmethod
    def known(self, y: Tensor) -> Belief:
        """The belief that y is certain; of the same kind."""

    def check_wiring(self, connected: frozenset[str], owned: frozenset[str]) -> list[str]:
        """See `Module`; a weight is remarked on."""
        if "y" not in connected:
            raise WiringError(
                "nothing says what is to be predicted. Wire y to the targets, of which most may be missing: "
                "Observation(labels, missing=unknown)."
            )
        if self.weight == 1:
            return []
        return [f"weight={self.weight:g} counts each known y so often; F is then no bound, and nothing is guaranteed."]

    def setup(self, context: Context) -> None:
        """See `Module`."""
        [self.dimensions] = context.shapes["z"]
        super().setup(context)

    def build(self) -> None:
        """See `SVIModule`; a linear f starts at zero, where it says nothing about z."""
        sizes = [self.dimensions, *self.hidden, self.outputs]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.Tanh()]
        self.network = nn.Sequential(*layers[:-1]).double()
        if not self.hidden:
            for parameter in self.network.parameters():
                nn.init.zeros_(parameter)

    def model(self, z: Gaussian, y: Point | None, predicted: None) -> None:
        """The terms of F as factors of a Pyro model."""
        with self.items(z):
            pyro.factor("y", self._terms(z, y))
        pyro.factor("weights", self._log_prior())

    def guide(self, z: Gaussian, y: Point | None, predicted: None) -> None:
        """Nothing is latent: z is another module's, and an unknown y is summed out."""

    def send(self, z: Gaussian, y: Point | None, predicted: None) -> Outbox:
        """The bound as evidence about z; and q(y)."""
        with self._evaluating():
            a, slopes = self._tangent(z.mean)
            belief = self.foretold(a, slopes @ _covariance(z) @ slopes.mT)
            if y is not None:
                belief = _replaced(belief, ~y.missing_rows(), self.known(y.value))
            return Outbox(z=self._evidence(z, y), predicted=belief)

    def elbo(self, z: Gaussian, y: Point | None, predicted: Belief) -> Mapping[str, Tensor]:
        """The bound of E log p(y | z) where y is known, and the log-density of the weights."""
        with self._evaluating():
            return {"log p(y|z)": self._terms(z, y), "log p(weights)": self._log_prior()}

    def predict(self, port: str, predicted: Belief) -> Belief:
        """What is believed of y: where it is known, that it is certain."""
        return predicted

    def sample(self, n: int, predicted: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """The y that is predicted; it knows no p(z) to draw vectors from."""
        if predicted is None or "y" not in self.context.shapes:
            return {}
        return {"y": predicted.reshape(n, *self.context.shapes["y"])}

    def _terms(self, z: Gaussian, y: Point | None) -> Tensor:
        """L_n times the weight, (n,); zero where y or z is missing."""
        terms, rows = z.mean.new_zeros(len(z)), known_rows(z, y)
        if y is None or not len(rows):
            return terms
        seen = z[rows]
        a, slopes = self._tangent(seen.mean)
        spread = slopes @ _covariance(seen) @ slopes.mT
        bound = self.log_likelihood(a, y.value[rows]) - 0.5 * (self.curvature() * spread).sum((1, 2))
        return terms.index_put((rows,), self.weight * bound)

    def _evidence(self, z: Gaussian, y: Point | None) -> GaussianEvidence:
        """The derivative of `_terms`, with the scalar."""
        n, dimensions = z.mean.shape
        shift, log_scale = torch.zeros_like(z.mean), z.mean.new_zeros(n)
        precision, rows = z.mean.new_zeros(n, dimensions, dimensions), known_rows(z, y)
        if y is not None and len(rows):
            mean, targets = z.mean[rows], y.value[rows]
            a, slopes = self._tangent(mean)
            pulled = (self.gradient(a, targets).unsqueeze(1) @ slopes).squeeze(1)
            curved = slopes.mT @ self.curvature() @ slopes
            bent = (curved @ mean.unsqueeze(-1)).squeeze(-1)
            shift[rows] = self.weight * (pulled + bent)
            precision[rows] = self.weight * curved
            log_scale[rows] = self.weight * (self.log_likelihood(a, targets) - ((pulled + 0.5 * bent) * mean).sum(1))
        return GaussianEvidence(shift, precision, log_scale, missing=z.missing)

    def _tangent(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """The value of f at a mean, and its slopes J there: (n, outputs) and (n, outputs, D)."""
        a = self.network(mean)
        if not self.hidden:
            [linear] = self.network
            assert isinstance(linear, nn.Linear)
            return a, linear.weight.expand(len(mean), -1, -1)
        slopes: Tensor = torch.func.vmap(torch.func.jacrev(self.network))(mean)
        return a, slopes

    def _log_prior(self) -> Tensor:
        """The log-density of all weights under their prior, ()."""
        weights = torch.cat([parameter.flatten() for parameter in self.network.parameters()])
        constant = len(weights) * math.log(2 * math.pi * self.prior_variance)
        return -0.5 * (weights.square().sum() / self.prior_variance + constant)


def known_rows(z: Gaussian, y: Point | None) -> Tensor:
    """The rows whose y is known and whose z is not missing, (m,) int64."""
    if y is None:
        return torch.zeros(0, dtype=torch.long)
    return (~(y.missing_rows() | z.missing_rows())).nonzero().flatten()


def _covariance(z: Gaussian) -> Tensor:
    return z.variance.diag_embed() if z.is_diagonal else z.variance


def _replaced(belief: Belief, where: Tensor, other: Belief) -> Belief:
    """A belief with the rows of another, of its own kind, in some places."""
    rows = where.nonzero().flatten()
    fields = {name: getattr(belief, name).index_copy(0, rows, getattr(other, name)[rows]) for name in belief.per_item}
    return replace(belief, **fields)
