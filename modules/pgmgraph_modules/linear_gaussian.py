"""Linear Gaussian models of vectors, learnt by exact steps: probabilistic PCA and factor analysis."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from pgmgraph import (
    Batches,
    Context,
    Gaussian,
    GaussianEvidence,
    GaussianPotential,
    Guarantee,
    In,
    Module,
    Out,
    Outbox,
    Point,
)
from pgmgraph.errors import ShapeError
from pgmgraph_modules.arguments import check_counts

_LOG_2PI = math.log(2 * math.pi)
_START_ITEMS = 4_096
_LEAST_SHARE = 1e-6
_BYTES_AT_ONCE = 128 * 2**20


class LinearGaussian(Module):
    r"""x_n = W z_n + mu + e_n, e_n ~ N(0, Psi), Psi diagonal; z_n ~ N(0, I) where no parent owns it.

    A subclass says what is shared in Psi. The parameters W, mu and Psi are point estimates. With
    r_n = E[x_n] - mu, the belief about z_n is the exact posterior under the prior's natural parameters (P_n, h_n),

        q(z_n) = N(m_n, S_n),   S_n = (P_n + W' Psi^-1 W)^-1,   m_n = S_n (h_n + W' Psi^-1 r_n),

    the M step is the linear regression of x on u = [z, 1] (Rubin and Thayer, 1982; Bishop, 2006, section 12.2),

        [W, mu] = (sum_n E[x_n] E[u_n]') (sum_n E[u_n u_n'])^-1,
        psi_d   = sum_n E[(x_nd - w_d z_n - mu_d)^2] / N,

    and the message to x, where x is itself a latent vector of the module below, is E_q(z) log p(x_n | z_n):

        precision Psi^-1,   shift Psi^-1 (W m_n + mu),
        log_scale -(D log 2 pi + log |Psi| + |W m_n + mu|^2_{Psi^-1} + tr(W' Psi^-1 W S_n)) / 2.

    Every step is exact, and over observed values with z's prior its own, F is the log-likelihood. It has no largest
    value where the latent space can hold all items, or a column is constant; so no noise variance falls below a
    millionth of the data's mean variance at the first update.

    Ports:
        x: values of any event shape, or beliefs about vectors, whose variance enters every step.
        z: the latent vector, which the module holds.

    Args:
        latent_dim: the dimensions of z.
        passes: E and M steps in one update.

    Raises:
        ValueError: latent_dim or passes below 1.
    """

    x = In(Point, Gaussian, back=GaussianPotential)
    z = Out(Gaussian, back=(GaussianPotential, GaussianEvidence))

    guarantee: Guarantee = "exact"
    dtype = torch.float64

    def __init__(self, latent_dim: int, *, passes: int = 5) -> None:
        check_counts({"latent_dim": latent_dim, "passes": passes})
        self.latent_dim = latent_dim
        self.passes = passes

    @abstractmethod
    def _noise_of(self, squares: Tensor) -> Tensor:
        """The noise variances that maximise F, given the mean squared error of each column; (D,) to (D,)."""

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        if x == () and not hasattr(self, "context"):  # the core says what a module that was set up expects
            raise ShapeError("Expected vectors or arrays at x; got numbers. A column is a vector too: values[:, None].")
        return {"z": (self.latent_dim,)}

    def setup(self, context: Context) -> None:
        """See `Module`; the parameters come with the first data, in `start`."""
        super().setup(context)
        self.event_shape = context.shapes["x"]
        columns = math.prod(self.event_shape)
        self.at_once = max(1, _BYTES_AT_ONCE // (8 * (columns + self.latent_dim**2)))
        self.load_state_dict({})

    def start(self, batches: Batches) -> None:
        """The principal axes of up to 4,096 items: the maximum likelihood of PPCA (Tipping and Bishop, 1999)."""
        [batch] = batches.subset(_START_ITEMS, torch.Generator().manual_seed(0)).in_order()
        message = batch["x"]
        assert isinstance(message, Point | Gaussian)
        values, variances = _moments(message)
        self._centre = values.mean(0)
        centred = values - self._centre
        total = (centred.square() + variances).mean(0)
        typical = float(total.mean())
        self._least = total.new_tensor(_LEAST_SHARE * typical if typical > 0 else _LEAST_SHARE)
        _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
        kept = min(self.latent_dim, len(singular))
        spectrum = singular[:kept].square() / len(values)
        rest = (total.sum() - spectrum.sum()) / max(1, len(total) - kept)
        noise = rest.clamp_min(self._least)
        # Axes without spread start near zero and not at it, where EM would stand still for ever.
        weights = self._least.sqrt() * torch.randn(len(total), self.latent_dim).to(total)
        weights[:, :kept] = axes[:kept].T * (spectrum - noise).clamp_min(self._least).sqrt()
        self._regression = torch.cat([weights, torch.zeros_like(weights[:, :1])], 1)
        self._noise = self._noise_of(noise.expand(len(total)))

    def statistics(self, x: Point | Gaussian, z: GaussianPotential | None) -> Mapping[str, Tensor]:
        """The sums of x u', u u' and x^2, and the number of items, under the posterior of z."""
        values, variances = _moments(x)
        centred = values - self._centre
        belief = self._posterior(centred, z)
        ones = torch.ones_like(centred[:, :1])
        first = torch.cat([belief.mean, ones], 1)
        second = first.T @ first
        second[:-1, :-1] += belief.variance.sum(0)
        squares = (centred.square() + variances).sum(0)
        return {"xu": centred.T @ first, "uu": second, "xx": squares, "n": ones.sum()}

    def learn(self, total: Mapping[str, Tensor]) -> None:
        """The M step."""
        self._regression = torch.linalg.solve(total["uu"], total["xu"], left=False)
        squares = (total["xx"] - (self._regression * total["xu"]).sum(1)) / total["n"]
        # F is concave in 1 / psi, so the best noise within the bound is the nearest one.
        self._noise = self._noise_of(squares).clamp_min(self._least)

    def send(self, x: Point | Gaussian, z: GaussianPotential | None) -> Outbox:
        """The posterior of z; and to x, if it is a latent vector, the expected log-factor."""
        belief = self._posterior(_moments(x)[0] - self._centre, z)
        if isinstance(x, Point):
            return Outbox(z=belief)
        return Outbox(z=belief, x=self._message_to_x(belief))

    def elbo(self, x: Point | Gaussian, z: Gaussian) -> Mapping[str, Tensor]:
        """E log p(x | z) and H[q(z)]; and E log p(z) where no parent owns it."""
        values, variances = _moments(x)
        error = (values - self._mean_of(z.mean)).square() + variances
        covariance = _covariance(z)
        spread = (self._information() * covariance).sum((1, 2))
        constant = len(self._noise) * _LOG_2PI + self._noise.log().sum()
        terms = {
            "log p(x|z)": -0.5 * ((error / self._noise).sum(1) + spread + constant),
            "H[z]": z.entropy(),
        }
        if "z" in self.context.owned:
            squares = z.mean.square().sum(1) + covariance.diagonal(dim1=1, dim2=2).sum(1)
            terms["log p(z)"] = -0.5 * (squares + self.latent_dim * _LOG_2PI)
        return terms

    def predict(self, port: str, z: Gaussian) -> Point:
        """The mean of x: W E[z] + mu."""
        return Point(self._mean_of(z.mean).unflatten(1, self.event_shape))

    def sample(self, n: int, z: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """Values at z, or at n draws from N(0, I), with their noise; the temperature is a factor of every variance."""
        scale = math.sqrt(temperature)
        if z is None:
            z = scale * torch.randn(n, self.latent_dim).to(self._noise)
        mean = self._mean_of(z.to(self._noise))
        values = mean + scale * self._noise.sqrt() * torch.randn_like(mean)
        return {"z": z, "x": values.unflatten(1, self.event_shape)}

    def state_dict(self) -> dict[str, object]:
        """The parameters, and what was fixed by the first data; empty before the first update."""
        if not len(self._noise):
            return {}
        return {"regression": self._regression, "noise": self._noise, "centre": self._centre, "least": self._least}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        nothing = torch.zeros(0, dtype=self.dtype, device=self.context.device)
        found = [state.get(name, nothing) for name in ("regression", "noise", "centre", "least")]
        tensors = [value for value in found if isinstance(value, Tensor)]
        self._regression, self._noise, self._centre, self._least = tensors

    @property
    def loadings(self) -> Tensor:
        """W, (D, latent_dim); D is the product of x's event shape."""
        return self._regression[:, :-1]

    @property
    def mean(self) -> Tensor:
        """mu, (D,)."""
        return self._centre + self._regression[:, -1]

    @property
    def noise_variances(self) -> Tensor:
        """The diagonal of Psi, (D,)."""
        return self._noise

    def _information(self) -> Tensor:
        """W' Psi^-1 W, (latent_dim, latent_dim)."""
        return self.loadings.T @ (self.loadings / self._noise[:, None])

    def _mean_of(self, z: Tensor) -> Tensor:
        return z @ self.loadings.T + self.mean

    def _posterior(self, centred: Tensor, prior: GaussianPotential | None) -> Gaussian:
        """q(z) of each item from E[x] - centre; one covariance, expanded, where all items have one prior."""
        shift = (centred - self._regression[:, -1]) @ (self.loadings / self._noise[:, None])
        precision = self._information().expand(1, -1, -1)
        if prior is None or isinstance(prior, GaussianEvidence):  # evidence is no prior, and multiplies this one
            precision = precision + torch.eye(self.latent_dim).to(precision)
        if prior is not None:
            shift = shift + prior.shift
            precision = precision + (prior.precision.diag_embed() if prior.precision.ndim == 2 else prior.precision)
        factor = torch.linalg.cholesky(precision)
        covariance = torch.cholesky_inverse(factor).expand(len(centred), -1, -1)
        mean = torch.cholesky_solve(shift.unsqueeze(-1), factor.expand(len(centred), -1, -1)).squeeze(-1)
        return Gaussian(mean, covariance)

    def _message_to_x(self, z: Gaussian) -> GaussianPotential:
        mean = self._mean_of(z.mean)
        precision = (1 / self._noise).expand(len(mean), -1)
        shift = precision * mean
        spread = (self._information() * _covariance(z)).sum((1, 2))
        constant = len(self._noise) * _LOG_2PI + self._noise.log().sum()
        return GaussianPotential(shift, precision, -0.5 * ((shift * mean).sum(1) + spread + constant))


class PPCA(LinearGaussian):
    """Probabilistic PCA (Tipping and Bishop, 1999): one noise variance for all columns. See `LinearGaussian`.

    Its first update starts from the principal axes, which are the maximum likelihood while z has no parent.

    Args:
        latent_dim: the dimensions of z.
        passes: E and M steps in one update.

    Raises:
        ValueError: latent_dim or passes below 1.
    """

    def _noise_of(self, squares: Tensor) -> Tensor:
        return squares.mean().expand(len(squares)).contiguous()


class FactorAnalysis(LinearGaussian):
    """Factor analysis (Rubin and Thayer, 1982): a noise variance for each column. See `LinearGaussian`.

    Unlike PPCA it does not mind the units of the columns. EM is slow where noise variances are small.

    Args:
        latent_dim: the dimensions of z.
        passes: E and M steps in one update.

    Raises:
        ValueError: latent_dim or passes below 1.
    """

    def _noise_of(self, squares: Tensor) -> Tensor:
        return squares.clone()


def _moments(x: Point | Gaussian) -> tuple[Tensor, Tensor]:
    """Means and marginal variances, (n, D); events are flattened, and what is observed has variance zero."""
    if isinstance(x, Gaussian):
        return x.mean, x.marginal_variance()
    values = x.value.flatten(1)
    return values, torch.zeros((), dtype=values.dtype, device=values.device).expand_as(values)


def _covariance(z: Gaussian) -> Tensor:
    return z.variance.diag_embed() if z.is_diagonal else z.variance
