"""What all functions of a variable have in common: no factor of their own, and so no prior, no term and no way back."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from pgmgraph import In, Module, Out, Outbox, Point
from pgmgraph.errors import CapabilityError, ShapeError


class Transform(Module):
    """y_n = f(x_n), a function between two modules.

    It goes one way: nothing is sent back to x, and what is below keeps its own prior. Beliefs come in by their
    means, which must be asked for:

        graph.connect(vae.z, transform.x, via="mean")
        graph.connect(transform.y, gmm.x)

    f has no factor of its own, and so no term in F. F of the graph is the sum of two objectives, that of the
    modules below and that of the modules above for the values of y as if they had been observed. It bounds no
    evidence of the data: y has coordinates of its own, and scaling them by s moves F by -N D log s.
    Compare it only while y stays as it is. An update may move F either way, and guarantees nothing.

    A subclass gives `event_shapes`, `made` and, where f can be undone, `undone`.

    Ports:
        x: values. Asked to predict, it sends f's inverse of y.
        y: values. They are known, not believed: a parent takes them as certain.
    """

    x = In(Point)
    y = Out(Point)

    guarantee = "none"
    amortised = True

    def label(self) -> str:
        """What f is called in errors."""
        raise NotImplementedError

    def advice(self, shape: tuple[int, ...]) -> str:
        """What to do where f makes rows of this shape, which is not the one that was stated."""
        return f"State it: {type(self).__name__}(..., event_shape={shape})."

    def made(self, x: Tensor) -> Tensor:
        """F of a minibatch, (n, *event) to (n, *event of y)."""
        raise NotImplementedError

    def undone(self, y: Tensor) -> Tensor:
        """The inverse of f, rows of y to rows of x, of any shape that holds as many numbers as x's.

        Raises:
            CapabilityError: f has none.
        """
        raise NotImplementedError

    def send(self, x: Point, y: None) -> Outbox:
        """The values of y."""
        made = self.made(x.value)
        expected = (len(x), *self.context.shapes["y"])
        if made.shape != expected:
            name = self.context.name
            raise ShapeError(
                f"Expected {self.label()} of {name} to make {expected} of {tuple(x.value.shape)}; "
                f"got {tuple(made.shape)}. "
                + (self.advice(tuple(made.shape[1:])) if len(made) == len(x) else "It makes one row of each."),
                f"{name}.y",
            )
        return Outbox(y=Point(made))

    def elbo(self, x: Point, y: Point) -> Mapping[str, Tensor]:
        """No terms: y follows from x, and no factor is owned here."""
        return {}

    def predict(self, port: str, y: Point) -> Point:
        """The inverse of y."""
        return Point(self._below(y.value))

    def sample(self, n: int, y: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """The inverse of y, which must be given or drawn by a module above: y has no prior here.

        Nothing is drawn, at no temperature.
        """
        if y is None:
            name = self.context.name
            raise CapabilityError(
                f"Expected values of {name}.y to go down from; {name} has no prior to draw them from. Put a module "
                f"that can over it, graph.connect({name}.y, gmm.x), or give values: {{'{name}.y': values}}.",
                name,
                "sample",
            )
        return {"y": y, "x": self._below(y)}

    def _below(self, y: Tensor) -> Tensor:
        """The inverse of y in the shape of x."""
        undone = self.undone(y.to(self.context.device, self.dtype))
        event = self.context.shapes["x"]
        if undone.shape[:1] != (len(y),) or undone.numel() != len(y) * math.prod(event):
            name = self.context.name
            raise ShapeError(
                f"Expected the inverse of {name} to make {(len(y), *event)} of {tuple(y.shape)}; "
                f"got {tuple(undone.shape)}.",
                f"{name}.x",
            )
        return undone.reshape(len(y), *event)

    def _no_inverse(self, wanted: str, instead: str) -> CapabilityError:
        name = self.context.name
        return CapabilityError(
            f"Expected {self.label()} of {name} to have {wanted}, to go down from {name}.y; it has none. "
            f"Clamp what lies below it, or {instead}.",
            name,
            "sample",
        )
