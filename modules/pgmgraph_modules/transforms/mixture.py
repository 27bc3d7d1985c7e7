"""A mixture of scikit-learn's as a module."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from sklearn.base import clone
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from torch import Tensor

from pgmgraph import Batches, Categorical, CategoricalPotential, In, Module, Out, Outbox, Point
from pgmgraph.errors import DataError, NotFittedError
from pgmgraph_modules.transforms.fitted import as_state, from_state
from pgmgraph_modules.transforms.fitting import fitted_to, rows, seeded

_LOG_2PI = math.log(2 * math.pi)


class SklearnMixture(Module):
    r"""c_n ~ pi, x_n ~ N(mu_c, Sigma_c), fitted by scikit-learn: `GaussianMixture` or `BayesianGaussianMixture`.

    x is taken as known. Beliefs come in by their means, which must be asked for, `via="mean"`: their variances enter
    neither the fit nor what is sent. `GMM` takes both, and answers x.

    With log-densities l_n(k) = log N(x_n | mu_k, Sigma_k) and log-weights w_k = log pi_k::

        c, unwired:  q(c_n = k) = softmax_k(l_n(k) + w_k), scikit-learn's `predict_proba`
        c, wired:    l_n(k) alone, without the weights: p(c) is the parent's, and w_k in it would count twice
        in F:        E_q[l_n(c)], and where c is its own E_q[w_c] + H[q(c)]: `score_samples` in all

    For a `BayesianGaussianMixture` l and w are expectations under its posterior (Bishop 2006, 10.64 to 10.66), as in
    its own `predict_proba`. The divergence of that posterior from the prior is not in F, which then bounds no
    evidence, and `check` says so.

    scikit-learn's EM has no place for beliefs about c from elsewhere. Under a parent of c each fit is by its own
    responsibilities, so an update may lower F and nothing is guaranteed. A `GMM` takes its M step on the parent's
    belief.

    Each update fits again, from where the last one ended (`warm_start`), so that components keep their places while x
    moves. `refit=False` fits once.

    Ports:
        x: values, flattened to vectors.
        c: the component. Unwired, the mixture holds it; wired, the parent does, and takes log-likelihoods.

    Args:
        estimator: a mixture that was not fitted. It is cloned, and stays as it is. `random_state=None` is set in the
            clone, from the seed of `fit`.
        refit: whether updates after the first fit again.

    Raises:
        ValueError: `estimator` is another thing, or its `random_state` a generator.
        LearningError: scikit-learn refuses the data.
    """

    x = In(Point)
    c = Out(CategoricalPotential, back=Categorical)

    guarantee = "none"
    dtype = torch.float64

    def __init__(self, estimator: GaussianMixture | BayesianGaussianMixture, *, refit: bool = True) -> None:
        if not isinstance(estimator, GaussianMixture | BayesianGaussianMixture):
            name = estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__
            raise ValueError(
                f"Expected a GaussianMixture or a BayesianGaussianMixture of scikit-learn, such as "
                f"GaussianMixture(n_components=3); got {name}."
            )
        if not isinstance(estimator.random_state, int | np.integer | None):
            raise ValueError(
                "Expected random_state as an integer, or None to have it from the seed of fit; "
                f"got a {type(estimator.random_state).__name__}, which no checkpoint could hold."
            )
        self.estimator = estimator
        self.refit = refit
        self._fitted: GaussianMixture | BayesianGaussianMixture | None = None

    def check_wiring(self, connected: frozenset[str], owned: frozenset[str]) -> list[str]:
        """See `Module`."""
        if isinstance(self.estimator, BayesianGaussianMixture):
            return ["F lacks the divergence of the parameters from their prior: it is no bound of the evidence."]
        return []

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        return {"c": (int(self.estimator.n_components),)}

    @property
    def fitted(self) -> GaussianMixture | BayesianGaussianMixture:
        """The mixture as it was fitted; it is used as it is, and not to be changed.

        Raises:
            NotFittedError: nothing was fitted yet.
        """
        if self._fitted is None:
            name = self.context.name if hasattr(self, "context") else type(self).__name__
            raise NotFittedError(f"{name} has fitted nothing yet. Call fit(graph, rounds=...) first.", name)
        return self._fitted

    def learn_batches(self, batches: Batches) -> None:
        """Fit, at first from scratch, then from where it was."""
        if self._fitted is not None and not self.refit:
            return
        [batch] = batches.in_order()
        x = batch["x"]
        assert isinstance(x, Point)
        # A copy, so that whoever looked at `fitted` keeps what they saw.
        estimator = seeded(clone(self.estimator)) if self._fitted is None else self._copied()
        fitted_to(estimator.set_params(warm_start=True), rows(x.value), self.context)
        self._fitted = estimator
        self.context.progress(1, 1, {})

    def send(self, x: Point, c: Categorical | None) -> Outbox:
        """The belief, or log-likelihoods to the parent."""
        likelihoods = self.log_likelihoods(x.value)
        if "c" in self.context.owned:
            return Outbox(c=Categorical(torch.softmax(likelihoods + self.log_weights, 1)))
        return Outbox(c=CategoricalPotential(likelihoods))

    def elbo(self, x: Point, c: Categorical) -> Mapping[str, Tensor]:
        """See the class."""
        terms = {"log p(x|c)": (c.probs * self.log_likelihoods(x.value)).sum(1)}
        if "c" in self.context.owned:
            terms["log p(c)"] = c.probs @ self.log_weights
            terms["H[c]"] = c.entropy()
        return terms

    def predict(self, port: str, c: Categorical) -> Point:
        """The expected x."""
        return Point((c.probs @ self._array("means_")).reshape(-1, *self.context.shapes["x"]))

    def sample(self, n: int, c: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """Draw components from `weights_`, and vectors from the normals of `means_` and `covariances_`."""
        if c is None:
            c = Categorical(self._array("weights_").expand(n, -1)).draw(temperature)
        means = self._array("means_")[c]
        noise = torch.randn_like(means) * math.sqrt(temperature)
        # Sigma^-1 = P P', so that noise P^-1 has the covariance Sigma.
        factors = self._factors()
        if factors.ndim == 2:
            spread = noise / factors[c]
        else:
            spread = torch.linalg.solve_triangular(factors[c], noise.unsqueeze(1), upper=True, left=False).squeeze(1)
        return {"c": c, "x": (means + spread).reshape(n, *self.context.shapes["x"])}

    def log_likelihoods(self, x: Tensor) -> Tensor:
        """Log p(x_n | c_n = k), (n, *event) to (n, K), in expectation where the parameters have a posterior."""
        vectors, means, factors = x.reshape(len(x), -1), self._array("means_"), self._factors()
        if vectors.shape[1] != means.shape[1]:
            raise DataError(
                f"Expected vectors of {means.shape[1]} numbers at {self.context.name}.x, as were fitted; "
                f"got {vectors.shape[1]}.",
                f"{self.context.name}.x",
            )
        diagonal = factors.ndim == 2
        squares = [
            ((vectors - mean) * factor if diagonal else (vectors - mean) @ factor).square().sum(1)
            for mean, factor in zip(means, factors, strict=True)
        ]
        log_determinants = (factors if diagonal else factors.diagonal(dim1=1, dim2=2)).log().sum(1)
        return log_determinants - 0.5 * (torch.stack(squares, 1) + means.shape[1] * _LOG_2PI) + self._spread()

    @property
    def log_weights(self) -> Tensor:
        """Log pi, (K,), in expectation where the weights have a posterior."""
        fitted = self.fitted
        if not isinstance(fitted, BayesianGaussianMixture):
            return self._array("weights_").log()
        if fitted.weight_concentration_prior_type == "dirichlet_distribution":
            alpha = self._array("weight_concentration_")
            return torch.digamma(alpha) - torch.digamma(alpha.sum())
        # Sticks: log v_k of its own, and log(1 - v_j) of all before it.
        taken, left = (torch.from_numpy(one).to(self.context.device) for one in fitted.weight_concentration_)
        whole = torch.digamma(taken + left)
        rests = (torch.digamma(left) - whole).cumsum(0)
        return torch.digamma(taken) - whole + torch.cat([rests.new_zeros(1), rests[:-1]])

    def state_dict(self) -> dict[str, object]:
        """What was fitted; empty before."""
        if self._fitted is None:
            return {}
        return {"fitted": as_state(self._fitted, clone(self._fitted), self.context.name)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        self._fitted = from_state(state["fitted"], clone(self.estimator)) if state else None

    def _copied(self) -> GaussianMixture | BayesianGaussianMixture:
        fitted = self.fitted
        return from_state(as_state(fitted, clone(fitted), self.context.name), clone(fitted))

    def _array(self, name: str) -> Tensor:
        found: object = getattr(self.fitted, name)
        return torch.from_numpy(np.asarray(found, dtype=np.float64)).to(self.context.device)

    def _factors(self) -> Tensor:
        """Upper triangular P_k with P_k P_k' = Sigma_k^-1, (K, D, D), or their diagonals (K, D) where that is all."""
        factors, (k, d) = self._array("precisions_cholesky_"), self._array("means_").shape
        match self.fitted.covariance_type:
            case "tied":
                return factors.expand(k, d, d)
            case "spherical":
                return factors[:, None].expand(k, d)
        return factors

    def _spread(self) -> Tensor:
        """What the uncertainty of the parameters adds to log-likelihoods, (K,); 0 where they are points.

        E log |Lambda| and E (x - mu)' Lambda (x - mu) under a Normal-Wishart, less the same at its mean of Lambda.
        """
        if not isinstance(self.fitted, BayesianGaussianMixture):
            return torch.zeros(self.estimator.n_components, dtype=self.dtype, device=self.context.device)
        freedom = self._array("degrees_of_freedom_").expand(self.estimator.n_components)
        d = self._array("means_").shape[1]
        halves = 0.5 * (freedom[:, None] - torch.arange(d, device=freedom.device))
        log_determinant = d * (math.log(2) - freedom.log()) + torch.digamma(halves).sum(1)
        return 0.5 * (log_determinant - d / self._array("mean_precision_"))
