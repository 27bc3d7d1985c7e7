"""Small modules with closed forms, to put the core to the test."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyro
import torch
from pyro import distributions as dist
from torch import Tensor, nn

from pgmgraph import (
    Batches,
    Categorical,
    CategoricalPotential,
    Context,
    Gaussian,
    GaussianPotential,
    Guarantee,
    In,
    Ins,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
)
from pgmgraph_modules.svi import SVIModule

Shape = tuple[int, ...]
LOG_2PI = math.log(2 * math.pi)


class Centre(Module):
    """x_n ~ N(mu, I), mu ~ N(0, 100 I): conjugate, so q(mu) = N(mean, variance I) is exact given q(x)."""

    x = In(Gaussian, back=GaussianPotential)
    guarantee: Guarantee = "exact"
    dtype = torch.float64

    def setup(self, context: Context) -> None:
        super().setup(context)
        [self.dimensions] = context.shapes["x"]
        self.mean = torch.zeros(self.dimensions, dtype=self.dtype)
        self.variance = 100.0

    def statistics(self, x: Gaussian) -> dict[str, Tensor]:
        return {"sum": x.mean.sum(0), "count": torch.tensor(float(len(x)), dtype=self.dtype)}

    def learn(self, total: Mapping[str, Tensor]) -> None:
        self.variance = 1 / (1 / 100.0 + float(total["count"]))
        self.mean = self.variance * total["sum"]

    def send(self, x: Gaussian) -> Outbox:
        return Outbox(x=self._potential(len(x)))

    def elbo(self, x: Gaussian) -> dict[str, Tensor]:
        d, prior = self.dimensions, 100.0
        divergence = (d * self.variance + self.mean.square().sum()) / prior - d + d * math.log(prior / self.variance)
        return {"log p(x|mu)": self._potential(len(x)).expectation(x), "-KL mu": -0.5 * divergence}

    def sample(self, n: int, temperature: float = 1.0) -> dict[str, Tensor]:
        return {"x": self.mean + math.sqrt(temperature) * torch.randn(n, self.dimensions, dtype=self.dtype)}

    def state_dict(self) -> dict[str, object]:
        return {"mean": self.mean, "variance": self.variance}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.mean, self.variance = state["mean"], state["variance"]  # type: ignore[assignment]

    def _potential(self, n: int) -> GaussianPotential:
        log_scale = -0.5 * (self.mean.square().sum() + self.dimensions * (self.variance + LOG_2PI))
        return GaussianPotential(
            self.mean.expand(n, -1), torch.ones(n, self.dimensions, dtype=self.dtype), log_scale.expand(n)
        )


class Drifting(Centre):
    """Says that it is exact, and walks away from the optimum by a step that grows with every update."""

    def learn(self, total: Mapping[str, Tensor]) -> None:
        super().learn(total)
        self.mean = self.mean + self.context.updates


class StochasticDrifting(Drifting):
    """Walks away too, and says that its steps are stochastic."""

    guarantee: Guarantee = "stochastic"


class Noisy(Module):
    """y_n ~ N(z_n + shift, noise I). Holds z, so that q(z_n) is the exact posterior under what comes from above."""

    y = In(Point)
    z = Out(Gaussian, back=GaussianPotential)
    guarantee: Guarantee = "exact"
    dtype = torch.float64

    def __init__(self, noise: float = 0.5, learn_shift: bool = True) -> None:
        self.noise = noise
        self.learn_shift = learn_shift

    def event_shapes(self, y: Shape | None) -> dict[str, Shape]:
        assert y is not None
        return {"z": y}

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.shift = torch.zeros(context.shapes["y"], dtype=self.dtype)

    def statistics(self, y: Point, z: GaussianPotential | None) -> dict[str, Tensor]:
        count = torch.tensor(float(len(y)), dtype=self.dtype)
        return {"sum": (y.value - self._belief(y, z).mean).sum(0), "count": count}

    def learn(self, total: Mapping[str, Tensor]) -> None:
        if self.learn_shift:
            self.shift = total["sum"] / total["count"]

    def send(self, y: Point, z: GaussianPotential | None) -> Outbox:
        return Outbox(z=self._belief(y, z))

    def elbo(self, y: Point, z: Gaussian) -> dict[str, Tensor]:
        error = (y.value - self.shift - z.mean).square() + z.variance
        terms = {
            "log p(y|z)": -0.5 * (error / self.noise + math.log(self.noise) + LOG_2PI).sum(1),
            "H[z]": z.entropy(),
        }
        if "z" in self.context.owned:
            terms["log p(z)"] = -0.5 * (z.mean.square() + z.variance + LOG_2PI).sum(1)
        return terms

    def predict(self, port: str, z: Gaussian) -> Point:
        return Point(z.mean + self.shift)

    def sample(self, n: int, z: Tensor | None) -> dict[str, Tensor]:
        z = torch.randn(n, *self.shift.shape, dtype=self.dtype) if z is None else z.double()
        return {"z": z, "y": z + self.shift}

    def state_dict(self) -> dict[str, object]:
        return {"shift": self.shift}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.shift = state["shift"]  # type: ignore[assignment]

    def _belief(self, y: Point, z: GaussianPotential | None) -> Gaussian:
        precision = 1 / self.noise + (torch.ones_like(y.value) if z is None else z.precision)
        pulled = (y.value - self.shift) / self.noise + (0.0 if z is None else z.shift)
        return Gaussian(pulled / precision, 1 / precision)


class Weights(Module):
    """c_n ~ Categorical(weights), point estimates: a parent that holds c."""

    c = In(CategoricalPotential, back=Categorical)
    guarantee: Guarantee = "exact"
    dtype = torch.float64

    def setup(self, context: Context) -> None:
        super().setup(context)
        [k] = context.shapes["c"]
        self.weights = torch.full((k,), 1 / k, dtype=self.dtype)

    def statistics(self, c: CategoricalPotential) -> Tensor:
        return self._belief(c).probs.sum(0)

    def learn(self, total: Tensor) -> None:
        self.weights = total / total.sum()

    def send(self, c: CategoricalPotential) -> Outbox:
        return Outbox(c=self._belief(c))

    def elbo(self, c: Categorical) -> dict[str, Tensor]:
        return {"log p(c)": torch.xlogy(c.probs, self.weights).sum(1), "H[c]": c.entropy()}

    def sample(self, n: int, temperature: float = 1.0) -> dict[str, Tensor]:
        return {"c": Categorical(self.weights.expand(n, -1)).draw(temperature)}

    def state_dict(self) -> dict[str, object]:
        return {"weights": self.weights}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.weights = state["weights"]  # type: ignore[assignment]

    def _belief(self, c: CategoricalPotential) -> Categorical:
        return Categorical(torch.softmax(c.log_weights + self.weights.log(), 1))


class Sink(Module):
    """Takes anything that is a point or a Gaussian, learns nothing, sends nothing back, and keeps what it saw."""

    x = In(Gaussian, Point)

    def send(self, x: Gaussian | Point) -> Outbox:
        self.seen = x
        return Outbox()


class Gathering(Module):
    """A family of ports: z is the sum of what lies at them, for certain."""

    x = Ins(Point)
    z = Out(Gaussian)
    dtype = torch.float64

    def event_shapes(self, x: Mapping[str, Shape | None]) -> dict[str, Shape]:
        shape = next(iter(x.values()))
        assert shape is not None
        return {"z": shape}

    def send(self, x: Mapping[str, Point], z: None) -> Outbox:
        self.keys = tuple(x)
        total = torch.stack([point.value for point in x.values()]).sum(0)
        return Outbox(z=Gaussian(total, torch.zeros_like(total)))


class Relay(Module):
    """One Gaussian in, the same one out: for cycles."""

    x = In(Gaussian)
    z = Out(Gaussian)

    def event_shapes(self, x: Shape | None) -> dict[str, Shape]:
        return {"z": (2,)}

    def send(self, x: Gaussian, z: None) -> Outbox:
        return Outbox(z=x)


class Walk(Module):
    """Moves by torch's, numpy's and Python's random numbers: shows what generators it runs on."""

    x = In(Point)

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.path: list[tuple[float, float, float]] = []

    def learn_batches(self, batches: Batches) -> None:
        import random

        import numpy as np

        self.path = [*self.path, (float(torch.rand(())), float(np.random.rand()), random.random())]

    def send(self, x: Point) -> Outbox:
        return Outbox()

    def state_dict(self) -> dict[str, object]:
        return {"path": self.path}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.path = state["path"]  # type: ignore[assignment]


class Failing(Walk):
    """Changes its state, then raises what it was given, in one of its updates."""

    def __init__(self, error: BaseException, at: int = 1) -> None:
        self.error = error
        self.at = at

    def learn_batches(self, batches: Batches) -> None:
        super().learn_batches(batches)
        if self.context.updates == self.at:
            raise self.error


class Speaking(Walk):
    """Learns well, and sends NaN in one of its updates."""

    z = Out(Gaussian)

    def __init__(self, at: int = 1) -> None:
        self.at = at

    def event_shapes(self, x: Shape | None) -> dict[str, Shape]:
        return {"z": (2,)}

    def send(self, x: Point, z: None) -> Outbox:  # type: ignore[override]
        mean = torch.zeros(len(x), 2)
        if self.context.updates == self.at:
            mean[1] = torch.nan
        return Outbox(z=Gaussian(mean, torch.ones_like(mean)))


class Regression(SVIModule):
    """x_n ~ N(centre, I) by gradients; from round `breaks` on, the loss is NaN at the third minibatch."""

    x = In(Point)

    def __init__(self, breaks: int | None = None, batch_size: int = 4) -> None:
        super().__init__(epochs=1, batch_size=batch_size, lr=0.1)
        self.breaks = breaks
        self.number = 0

    def build(self) -> None:
        self.centre = nn.ParameterDict({"value": nn.Parameter(torch.zeros(self.context.shapes["x"]))})

    def learn_batches(self, batches: Batches) -> None:
        self.number = 0
        super().learn_batches(batches)

    def model(self, x: Point) -> None:
        broken = self.breaks is not None and self.context.round >= self.breaks and self.number == 2
        self.number += 1
        with self.items(x):
            centre = self.centre["value"] * (torch.nan if broken else 1.0)
            pyro.sample("x", dist.Normal(centre, 1.0, validate_args=False).to_event(1), obs=x.value)

    def guide(self, x: Point) -> None:
        """Nothing is latent."""


def blobs(n: int = 60, k: int = 3, d: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """k well separated round clusters, (n, d) float64, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % k
    centres = 6.0 * torch.randn(k, d, generator=generator, dtype=torch.float64)
    return centres[labels] + torch.randn(n, d, generator=generator, dtype=torch.float64), labels


def intensities(n: int = 60, d: int = 8, seed: int = 0) -> Tensor:
    """Rows of values within [0, 1] that fall into two groups, (n, d) float32."""
    generator = torch.Generator().manual_seed(seed)
    high = (torch.arange(n)[:, None] + torch.arange(d)) % 2
    return (0.15 + 0.6 * high + 0.2 * torch.rand(n, d, generator=generator)).float()


def observed(n: int = 12, d: int = 2, seed: int = 0) -> Observation:
    """An observation of standard normal values."""
    return Observation(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


class Tabular(Module):
    """One table of conditional probabilities, learnt as a point or fixed; random at first."""

    guarantee: Guarantee = "exact"
    dtype = torch.float64
    learning: bool

    def draw_table(self, rows: int, columns: int) -> None:
        self.log_table = torch.log_softmax(2 * torch.randn(rows, columns, dtype=self.dtype), 1)

    def learn(self, total: Tensor) -> None:
        if self.learning:
            counts = total.clamp_min(1e-300)  # what never happens is nearly impossible: no infinity times zero
            self.log_table = (counts / counts.sum(1, keepdim=True)).log()

    def state_dict(self) -> dict[str, object]:
        return {"log_table": self.log_table}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.log_table = state["log_table"]  # type: ignore[assignment]


class Symbols(Tabular):
    """x_n given c_n is a symbol: a discrete child, whose component a parent holds."""

    x = In(Point)
    c = Out(CategoricalPotential, back=Categorical)

    def __init__(self, classes: int, symbols: int, learning: bool = True) -> None:
        self.classes, self.symbols, self.learning = classes, symbols, learning

    def event_shapes(self, x: Shape | None) -> dict[str, Shape]:
        return {"x": (1,), "c": (self.classes,)}

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.draw_table(self.classes, self.symbols)

    def statistics(self, x: Point, c: Categorical | None) -> Tensor:
        probs = torch.softmax(self.log_likelihoods(x), 1) if c is None else c.probs
        return probs.T @ torch.nn.functional.one_hot(x.value[:, 0].long(), self.symbols).to(self.dtype)

    def send(self, x: Point, c: Categorical | None) -> Outbox:
        return Outbox(c=CategoricalPotential(self.log_likelihoods(x)))

    def elbo(self, x: Point, c: Categorical) -> dict[str, Tensor]:
        return {"log p(x|c)": (c.probs * self.log_likelihoods(x)).sum(1)}

    def log_likelihoods(self, x: Point) -> Tensor:
        """log p(x_n | c), (N, classes)."""
        return self.log_table.T[x.value[:, 0].long()]


class Link(Tabular):
    """c_n given b_n, both discrete: holds c, and leaves b to its parent."""

    c = In(CategoricalPotential, back=Categorical)
    b = Out(CategoricalPotential, back=Categorical)

    def __init__(self, classes: int, learning: bool = True) -> None:
        self.classes, self.learning = classes, learning

    def event_shapes(self, c: Shape | None) -> dict[str, Shape]:
        return {"b": (self.classes,)}

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.draw_table(self.classes, *context.shapes["c"])

    def statistics(self, c: CategoricalPotential, b: Categorical | None) -> Tensor:
        return self._above(c, b).T @ self._belief(c, b).probs

    def send(self, c: CategoricalPotential, b: Categorical | None) -> Outbox:
        belief = self._belief(c, b)
        return Outbox(c=belief, b=CategoricalPotential(belief.probs @ self.log_table.T))

    def elbo(self, c: Categorical, b: Categorical) -> dict[str, Tensor]:
        return {"log p(c|b)": (c.probs * (b.probs @ self.log_table)).sum(1), "H[c]": c.entropy()}

    def _above(self, c: CategoricalPotential, b: Categorical | None) -> Tensor:
        """q(b), and anything as likely as any other while nothing has come from above."""
        return torch.full((len(c), self.classes), 1 / self.classes, dtype=self.dtype) if b is None else b.probs

    def _belief(self, c: CategoricalPotential, b: Categorical | None) -> Categorical:
        return Categorical(torch.softmax(c.log_weights + self._above(c, b) @ self.log_table, 1))


def dense(observation: Observation) -> Tensor:
    """The values of an observation that is not sparse, as they are stored."""
    assert isinstance(observation.point, Point)
    return observation.point.value
