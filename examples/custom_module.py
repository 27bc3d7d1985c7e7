"""A module of one's own: probabilistic PCA, which learns its latent space together with a mixture.

It is as short as it can be; `pgmgraph_modules.linear_gaussian.PPCA` also bears poor data and explains beliefs.

Run it: python examples/custom_module.py
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pgmgraph import (
    Context,
    Gaussian,
    GaussianPotential,
    In,
    ModelGraph,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
    Scores,
    fit,
)
from pgmgraph.datasets import load_bundled_digits
from pgmgraph_modules.gmm import GMM


class PPCA(Module):
    """x_n = W z_n + mu + noise, noise of one variance (Tipping and Bishop, 1999); every step is exact.

    Ports:
        x: vectors (P,).
        z: the latent vector (D,), whose prior is what its parent sends, or N(0, I) while nothing comes.
    """

    x = In(Point)
    z = Out(Gaussian, back=GaussianPotential)
    guarantee = "exact"
    dtype = torch.float64

    def __init__(self, latent_dim: int) -> None:
        self.latent_dim = latent_dim

    def event_shapes(self, x: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Z is (D,), whatever x is."""
        return {"z": (self.latent_dim,)}

    def setup(self, context: Context) -> None:
        """Start with random loadings [W, mu] and a noise variance of 1."""
        super().setup(context)
        [columns] = context.shapes["x"]
        self.loadings = torch.randn(columns, self.latent_dim + 1, dtype=self.dtype, device=context.device)
        self.noise = torch.ones((), dtype=self.dtype, device=context.device)

    def send(self, x: Point, z: GaussianPotential | None) -> Outbox:
        """q(z_n): the prior's natural parameters and the likelihood's, added up."""
        weights, mean = self.loadings[:, :-1], self.loadings[:, -1]
        eye = torch.eye(self.latent_dim, dtype=self.dtype, device=self.loadings.device)
        prior_precision, prior_shift = (eye, torch.zeros_like(eye[0])) if z is None else (z.precision, z.shift)
        if z is not None and z.precision.ndim == 2:
            prior_precision = z.precision.diag_embed()
        factor = torch.linalg.cholesky(prior_precision + weights.T @ weights / self.noise)
        shift = prior_shift + (x.value - mean) @ weights / self.noise
        located = torch.cholesky_solve(shift.unsqueeze(-1), factor.expand(len(x), -1, -1)).squeeze(-1)
        return Outbox(z=Gaussian(located, torch.cholesky_inverse(factor).expand(len(x), -1, -1)))

    def statistics(self, x: Point, z: GaussianPotential | None) -> dict[str, Tensor]:
        """The sums that the loadings and the noise follow from."""
        belief = self.send(x, z).messages["z"]
        assert isinstance(belief, Gaussian)
        mean, second = _with_one(belief)
        return {"xz": x.value.T @ mean, "zz": second.sum(0), "xx": x.value.square().sum(), "n": mean[:, -1].sum()}

    def learn(self, total: Mapping[str, Tensor]) -> None:
        """Linear regression of x on [z, 1]."""
        self.loadings = torch.linalg.solve(total["zz"], total["xz"], left=False)
        residual = total["xx"] - (self.loadings * total["xz"]).sum()
        self.noise = residual / (total["n"] * len(self.loadings))

    def elbo(self, x: Point, z: Gaussian) -> dict[str, Tensor]:
        """E log p(x | z) and H[q(z)]; E log p(z) only where no parent owns it."""
        mean, second = _with_one(z)
        error = (
            x.value.square().sum(1)
            - 2 * (x.value @ self.loadings * mean).sum(1)
            + (self.loadings.T @ self.loadings * second).sum((1, 2))
        )
        constant = len(self.loadings) * torch.log(2 * math.pi * self.noise)
        terms = {"log p(x|z)": -0.5 * (constant + error / self.noise), "H[z]": z.entropy()}
        if "z" in self.context.owned:
            squares = second.diagonal(dim1=1, dim2=2)[:, :-1].sum(1)
            terms["log p(z)"] = -0.5 * (self.latent_dim * math.log(2 * math.pi) + squares)
        return terms

    def predict(self, port: str, z: Gaussian) -> Point:
        """The mean of x at the mean of z."""
        return Point(z.mean @ self.loadings[:, :-1].T + self.loadings[:, -1])

    def sample(self, n: int, z: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """X at z, or at n draws from N(0, I), with its noise; the temperature is a factor of every variance."""
        like = self.loadings
        scale = math.sqrt(temperature)
        z = scale * like.new_empty(n, self.latent_dim).normal_() if z is None else z.to(like)
        mean = z @ like[:, :-1].T + like[:, -1]
        return {"z": z, "x": mean + scale * self.noise.sqrt() * torch.randn_like(mean)}

    def state_dict(self) -> dict[str, Tensor]:
        """The loadings and the noise variance."""
        return {"loadings": self.loadings, "noise": self.noise}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Module`."""
        self.loadings, self.noise = state["loadings"], state["noise"]


def _with_one(z: Gaussian) -> tuple[Tensor, Tensor]:
    """E[u] and E[u u'] of u = [z, 1], (n, D + 1) and (n, D + 1, D + 1)."""
    mean = torch.cat([z.mean, torch.ones_like(z.mean[:, :1])], 1)
    covariance = z.variance if z.variance.ndim == 3 else z.variance.diag_embed()
    return mean, torch.nn.functional.pad(covariance, (0, 1, 0, 1)) + mean.unsqueeze(2) * mean.unsqueeze(1)


def main() -> None:
    """Learn scikit-learn's digits with and without messages from the mixture to PPCA."""
    digits = load_bundled_digits()
    for backward in (True, False):
        pixels = Observation(digits.train_images, scale=1 / 255)
        ppca, gmm = PPCA(latent_dim=8), GMM(components=10)
        graph = ModelGraph(pixels=pixels, ppca=ppca, gmm=gmm)
        graph.connect(pixels.value, ppca.x)
        graph.connect(ppca.z, gmm.x, backward=backward)
        result = fit(graph, rounds=40, seed=0, callbacks=[Scores(gmm.c, digits.train_labels)])
        bounds = np.array([bound for bound in result.history["F"] if bound is not None])
        falls = int((np.diff(bounds) < -1e-9 * np.abs(bounds[1:])).sum())
        score = result.history["accuracy"][-1]
        name = "with messages back" if backward else "without          "
        print(f"{name}: F {bounds[-1]:9.0f}, rounds that lowered F {falls:2d}, accuracy {score:.3f}")


if __name__ == "__main__":
    main()
