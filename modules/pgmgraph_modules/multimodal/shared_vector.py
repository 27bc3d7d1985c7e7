"""One real vector above the vectors of several modules, each of which keeps its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from pgmgraph import (
    Batches,
    Context,
    Gaussian,
    GaussianEvidence,
    GaussianPotential,
    Ins,
    Module,
    Out,
    Outbox,
    Point,
)
from pgmgraph.errors import ScheduleError
from pgmgraph_modules.arguments import check_choice, check_counts
from pgmgraph_modules.multimodal.linear_factor import LinearFactor, covariance

_LOG_2PI = math.log(2 * math.pi)
_BYTES_AT_ONCE = 128 * 2**20
_START_ITEMS = 4_096
_LEAST_SHARE = 1e-6
_START_VARIANCE = 0.1


class SharedVector(Module):
    r"""x^m_n = A_m z_n + b_m + e^m_n, e^m_n ~ N(0, Psi_m), for modalities m; z_n ~ N(0, I) where no parent owns it.

    With full Psi_m, what is a modality's own stays in its noise, and z is what modalities have in common: probabilistic
    canonical correlation analysis (Bach and Jordan, 2005). With diagonal ones z is factor analysis of all columns. A, b
    and Psi are point estimates. Each modality is an expert on z, and under the prior's natural parameters (P_n, h_n)

        q(z_n) = N(m_n, S_n) ~ prod_m N(E[x^m_n] | A_m z + b_m, Psi_m) p(z),
        S_n = (P_n + sum_m A_m' Psi_m^-1 A_m)^-1,   m_n = S_n (h_n + sum_m A_m' Psi_m^-1 (E[x^m_n] - b_m))

    is their product, over the modalities that an item has. The M step is the regression of x^m on [z, 1], with the mean
    of the squared errors as Psi_m. To each child goes E_q(z) log p(x^m | z), with precision Psi_m^-1. Every step is
    exact. Own terms: E log p(x^m | z), H[q(z)], and E log p(z) where no parent owns it. No noise variance falls below a
    millionth of the modality's mean variance at the first update. Learns and sends in float64.

    Ports:
        x: a family of vectors, as beliefs, whose variance enters every step, or values.
        z: the shared vector, which the module holds.

    Args:
        latent_dim: L, the dimensions of z.
        noise: Psi, "full" or "diagonal".
        passes: E and M steps in one update.

    Raises:
        ValueError: an argument that no such model can have.
    """

    x = Ins(Gaussian, back=GaussianPotential)
    z = Out(Gaussian, back=(GaussianPotential, GaussianEvidence))

    guarantee = "exact"
    dtype = torch.float64

    def __init__(self, latent_dim: int, *, noise: Literal["full", "diagonal"] = "full", passes: int = 5) -> None:
        check_counts({"latent_dim": latent_dim, "passes": passes})
        check_choice("noise", noise, ("full", "diagonal"))
        self.latent_dim = latent_dim
        self.noise = noise
        self.passes = passes

    def event_shapes(self, x: Mapping[str, tuple[int, ...] | None]) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        return {"z": (self.latent_dim,)}

    def setup(self, context: Context) -> None:
        """See `Module`; the parameters come with the first data, in `start`."""
        super().setup(context)
        squares = sum(shape[0] ** 2 for shape in context.shapes.values())
        self.at_once = max(1, _BYTES_AT_ONCE // (8 * squares))
        self._factors: dict[str, LinearFactor] = {}

    def start(self, batches: Batches) -> None:
        """Let z be the principal components of all modalities, each with a total variance of one, and regress."""
        [batch] = batches.subset(_START_ITEMS, torch.Generator().manual_seed(0)).in_order()
        x = batch["x"]
        assert isinstance(x, Mapping)
        beliefs = {key: message for key, message in x.items() if isinstance(message, Gaussian)}
        for port in self.context.shapes.keys() - {"z"} - {f"x.{key}" for key in beliefs}:
            name = self.context.name
            raise ScheduleError(f"{name} would start without a message at {name}.{port}: order the schedule.", name)
        self._factors = {key: self._at_start(message) for key, message in beliefs.items()}
        columns = [
            ((message.mean - self._factors[key].centre) / self._factors[key].noise.trace().sqrt()).masked_fill(
                message.missing_rows()[:, None], 0.0
            )
            for key, message in beliefs.items()
        ]
        scores, sizes, _ = torch.linalg.svd(torch.cat(columns, 1), full_matrices=False)
        kept = int((sizes[: self.latent_dim] > 1e-9 * sizes[0]).sum()) if len(sizes) else 0
        # Beyond what the data span, chance; and none so firm that a regression on it has no solution.
        mean = torch.randn(len(scores), self.latent_dim).to(scores)
        mean[:, :kept] = math.sqrt(len(scores)) * scores[:, :kept]
        z = Gaussian(mean, torch.full_like(mean, _START_VARIANCE))
        self._factors = {key: one.updated(one.sums(beliefs[key], z)) for key, one in self._factors.items()}

    def statistics(self, x: Mapping[str, Gaussian], z: GaussianPotential | None) -> Mapping[str, Tensor]:
        """The sums that each modality's regression takes, by modality and name."""
        belief = self._posterior(x, z)
        return {
            f"{key}/{name}": total
            for key, message in x.items()
            for name, total in self._factors[key].sums(message, belief).items()
        }

    def learn(self, total: Mapping[str, Tensor]) -> None:
        """The M step."""
        names = ("xu", "uu", "xx", "n")
        for key, factor in self._factors.items():
            sums = {name: total[f"{key}/{name}"] for name in names if f"{key}/{name}" in total}
            if sums and sums["n"] > 0:
                self._factors[key] = factor.updated(sums)

    def send(self, x: Mapping[str, Gaussian], z: GaussianPotential | None) -> Outbox:
        """The posterior of z, and the expected log-factor to each child."""
        belief = self._posterior(x, z)
        back = {key: self._factors[key].message(belief, message.missing) for key, message in x.items()}
        return Outbox(x=back, z=belief)

    def elbo(self, x: Mapping[str, Gaussian], z: Gaussian) -> Mapping[str, Tensor]:
        """See the class."""
        terms = {f"log p(x.{key}|z)": self._factors[key].expected_log(message, z) for key, message in x.items()}
        terms["H[z]"] = z.entropy()
        if "z" in self.context.owned:
            squares = z.mean.square().sum(1) + covariance(z).diagonal(dim1=1, dim2=2).sum(1)
            terms["log p(z)"] = -0.5 * (squares + self.latent_dim * _LOG_2PI)
        return terms

    def predict(self, port: str, z: Gaussian) -> Point:
        """The mean of one modality: A E[z] + b."""
        return Point(self._factors[port.removeprefix("x.")].mean_of(z.mean))

    def sample(self, n: int, z: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor | dict[str, Tensor]]:
        """Vectors at z, or at n draws from N(0, I), with their noise; the temperature is a factor of every variance."""
        first = next(iter(self._factors.values())).noise
        if z is None:
            z = math.sqrt(temperature) * torch.randn(n, self.latent_dim).to(first)
        return {"z": z, "x": {key: one.drawn(z.to(first), temperature) for key, one in self._factors.items()}}

    def loadings(self, key: str) -> Tensor:
        """A of one modality, (D, latent_dim)."""
        return self._factors[key].loadings

    def noise_covariance(self, key: str) -> Tensor:
        """Psi of one modality, (D, D)."""
        return self._factors[key].noise

    def mean(self, key: str) -> Tensor:
        """The vector b of one modality, (D,)."""
        return self._factors[key].mean

    def state_dict(self) -> dict[str, object]:
        """The parameters by modality; empty before the first update."""
        return {key: factor.state() for key, factor in self._factors.items()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        self._factors = {}
        for key, values in state.items():
            assert isinstance(values, Mapping)
            self._factors[key] = LinearFactor(**values)

    def _at_start(self, x: Gaussian) -> LinearFactor:
        """A factor that explains nothing by z."""
        seen = x if x.missing is None else x[~x.missing]
        centre = seen.mean.mean(0)
        variances = seen.mean.var(0, correction=0) + seen.marginal_variance().mean(0)
        typical = float(variances.mean())
        least = variances.new_tensor(_LEAST_SHARE * typical if typical > 0 else _LEAST_SHARE)
        regression = variances.new_zeros(len(centre), self.latent_dim + 1)
        noise = variances.clamp_min(least).diag_embed()
        return LinearFactor(regression, noise, centre, least, self.noise == "diagonal")

    def _posterior(self, x: Mapping[str, Gaussian], prior: GaussianPotential | None) -> Gaussian:
        """q(z); one covariance, expanded, where all items have the same modalities and one prior."""
        n = len(next(iter(x.values())))
        identity = torch.eye(self.latent_dim, dtype=self.dtype, device=self.context.device)
        # Evidence is no prior, and multiplies this one.
        own = prior is None or isinstance(prior, GaussianEvidence)
        precision = identity.expand(1, -1, -1) if own else torch.zeros_like(identity).expand(1, -1, -1)
        shift = identity.new_zeros(n, self.latent_dim)
        for key, message in x.items():
            information = self._factors[key].information()
            if message.missing is not None:
                information = (~message.missing).to(information)[:, None, None] * information
            precision, shift = precision + information, shift + self._factors[key].shift(message)
        if prior is not None:
            shift = shift + prior.shift
            precision = precision + (prior.precision.diag_embed() if prior.precision.ndim == 2 else prior.precision)
        factor = torch.linalg.cholesky(precision)
        spread = torch.cholesky_inverse(factor).expand(n, -1, -1)
        mean = torch.cholesky_solve(shift.unsqueeze(-1), factor.expand(n, -1, -1)).squeeze(-1)
        return Gaussian(mean, spread)
