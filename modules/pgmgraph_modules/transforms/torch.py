"""A network between two modules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pgmgraph import Batches, Context, Point
from pgmgraph.errors import DivergedError, ShapeError
from pgmgraph_modules.transforms.transform import Transform
from pgmgraph_modules.transforms.trial import shape_of

Shape = tuple[int, ...]


class TorchTransform(Transform):
    """y_n = f(x_n), where f is any network: one that was learnt elsewhere, or one that learns from x alone.

    It goes one way, and has no term in F: see `Transform`. A value of y tells the network nothing of what the modules
    above make of it, so there is no gradient from above to learn by. What is offered:

    - frozen, the default: f stays as it is;
    - with `inverse` and `epochs`, f and its inverse g learn to reconstruct: each update takes gradient steps on the
      mean of |x_n - g(f(x_n))|^2, which is maximum likelihood under x_n ~ N(g(f(x_n)), s^2 I). The values of y then
      move with every update, whatever lies above, and modules above follow.

    A network that is to learn together with what lies above belongs into a `VAE`, a `Classifier` or an `SVIModule`,
    whose messages carry what is wanted of it.

    The network is used in its mode of evaluation (no dropout, no statistics of the minibatch), and without gradients.
    It is used as it is, not copied. Its state, with that of the inverse and of the optimiser, is the module's.

    Ports:
        x: values of any event shape, cast to the type of the network's parameters. Asked to predict, it sends g(y).
        y: what the network makes, of any event shape. They are known, not believed: a parent takes them as certain.

    Args:
        network: from (n, *event) to (n, *event of y), each row by itself; or what makes such a network when it is
            called without arguments, as a configuration may have it.
        inverse: from y back to x, for what lies below to be drawn or predicted.
        event_shape: of y; by default it is found by giving the network one row of ones.
        epochs: passes over the plate in one update.
        batch_size: items in a gradient step.
        lr: the step size of Adam.
        at_once: the most items that the networks are given at a time where they do not learn; None for all.

    Raises:
        ValueError: arguments that no transform can have.
        ShapeError: the network does not take the values below it, or makes others than was stated.
        DivergedError: the reconstruction turns NaN or infinite.
        CapabilityError: what lies below is to be drawn or predicted, and there is no `inverse`; or y itself is to
            be drawn, and nothing above has a density of it.
    """

    def __init__(
        self,
        network: nn.Module | Callable[[], nn.Module],
        *,
        inverse: nn.Module | Callable[[], nn.Module] | None = None,
        event_shape: tuple[int, ...] | None = None,
        epochs: int = 0,
        batch_size: int = 128,
        lr: float = 1e-3,
        at_once: int | None = 256,
    ) -> None:
        if epochs < 0 or batch_size < 1 or not lr > 0 or (at_once is not None and at_once < 1):
            raise ValueError(
                "Expected epochs of at least 0, batch_size and at_once of at least 1, and a positive lr; "
                f"got {epochs}, {batch_size}, {at_once} and {lr}."
            )
        if epochs and inverse is None:
            raise ValueError(
                "Expected an inverse with epochs: the network learns by what its inverse makes of y. A network that "
                "is to learn together with what lies above belongs into a VAE, a Classifier or an SVIModule."
            )
        self.network = _network(network)
        self.inverse = None if inverse is None else _network(inverse)
        self.stated = None if event_shape is None else tuple(event_shape)
        self.epochs = epochs
        self.batch_size = batch_size
        self.at_once = at_once
        self.lr = lr
        parameters = [one.dtype for one in self.network.parameters() if one.is_floating_point()]
        self.dtype = parameters[0] if parameters else torch.float32
        self._optimiser: torch.optim.Adam | None = None

    def event_shapes(self, x: Shape | None) -> dict[str, Shape]:
        """See `Module`."""
        if self.stated is not None:
            return {"y": self.stated}
        device = next((one.device for one in self.network.parameters()), torch.device("cpu"))
        with torch.no_grad():
            return {"y": shape_of(self.network.eval(), x, self.dtype, device, self)}

    def setup(self, context: Context) -> None:
        """See `Module`."""
        super().setup(context)
        for network in self._networks.values():
            network.to(context.device)

    def learn_batches(self, batches: Batches) -> None:
        """Epochs of gradient steps on the reconstruction's squared error; none where the network is frozen."""
        if not self.epochs:
            return
        if self._optimiser is None:
            self._optimiser = self._adam()
        for network in self._networks.values():
            network.train()
        for epoch in range(self.epochs):
            loss = self._epoch(batches, self._optimiser)
            self.context.progress(epoch + 1, self.epochs, {"squared error": loss})

    def label(self) -> str:
        """See `Transform`."""
        return type(self.network).__name__

    def made(self, x: Tensor) -> Tensor:
        """See `Transform`."""
        # Of a copy: layers may work in place, and the values lie in the mail.
        return _tensor(self.network.eval()(x.clone()), self)

    def undone(self, y: Tensor) -> Tensor:
        """See `Transform`."""
        if self.inverse is None:
            raise self._no_inverse("an inverse", "give one: TorchTransform(network, inverse=decoder)")
        return _tensor(self.inverse.eval()(y.clone()), self)

    def state_dict(self) -> dict[str, object]:
        """The networks and, where they learn, the optimiser."""
        state: dict[str, object] = {name: network.state_dict() for name, network in self._networks.items()}
        if self._optimiser is not None:
            state["optimiser"] = self._optimiser.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: what torch takes
        """See `Module`."""
        for name, network in self._networks.items():
            network.load_state_dict(state[name])
        self._optimiser = None
        if "optimiser" in state:
            self._optimiser = self._adam()
            self._optimiser.load_state_dict(state["optimiser"])

    @property
    def _networks(self) -> dict[str, nn.Module]:
        return {"network": self.network} | ({} if self.inverse is None else {"inverse": self.inverse})

    def _adam(self) -> torch.optim.Adam:
        return torch.optim.Adam(nn.ModuleDict(self._networks).parameters(), lr=self.lr)

    def _epoch(self, batches: Batches, optimiser: torch.optim.Adam) -> float:
        """One pass over the plate; returns the squared error of an item."""
        assert self.inverse is not None
        total = 0.0
        for batch in batches.shuffled(self.batch_size):
            x = batch["x"]
            assert isinstance(x, Point)
            with torch.enable_grad():
                again = self.inverse(self.network(x.value.clone())).reshape(len(x), -1)
                loss = (again - x.value.reshape(len(x), -1)).square().sum(1).mean()
            if not math.isfinite(value := float(loss.detach())):
                name, round = self.context.name, self.context.round
                raise DivergedError(
                    f"The squared error of {name} turned {value} in round {round}; {name} is as it was before this "
                    "update. Lower lr, or look at the scale of the data.",
                    name,
                    round,
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += value * len(x)
        return total / batches.size


def _network(given: object) -> nn.Module:
    made = given() if callable(given) and not isinstance(given, nn.Module) else given
    if not isinstance(made, nn.Module):
        raise ValueError(f"Expected a torch.nn.Module, or what makes one; got {type(made).__name__}.")
    return made


def _tensor(made: object, transform: TorchTransform) -> Tensor:
    if not isinstance(made, Tensor):
        raise ShapeError(
            f"Expected {transform.label()} of {transform.context.name} to make a tensor; got {type(made).__name__}. "
            "Wrap it in a network that returns the tensor alone.",
            f"{transform.context.name}.y",
        )
    return made
