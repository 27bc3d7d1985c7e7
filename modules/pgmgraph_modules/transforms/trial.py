"""One row of ones, to find out what shape a function makes of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pgmgraph.errors import ShapeError
from pgmgraph_modules.transforms.transform import Transform


def shape_of(
    function: Callable[[Tensor], object],
    given: tuple[int, ...] | None,
    dtype: torch.dtype,
    device: torch.device,
    transform: Transform,
) -> tuple[int, ...]:
    """The event shape that a function makes of rows of the shape `given`.

    Args:
        function: from (n, *given) to (n, *event).
        given: the event shape of its argument; None where it is not known, in a cycle of wires.
        dtype: of its argument.
        device: of its argument.
        transform: whose function it is.

    Raises:
        ShapeError: it is not known, the function takes no such rows, or it makes no row of one.
    """
    kind, label = type(transform).__name__, transform.label()
    advice = f"State the shape of y: {kind}(..., event_shape=...)."
    if given is None:
        raise ShapeError(f"In a cycle of wires the shape of y must be known before that of x. {advice}")
    # A function that draws is not to move the generator of whoever asks for shapes.
    with torch.random.fork_rng(devices=[]):
        try:
            made = function(torch.ones(1, *given, dtype=dtype, device=device))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ShapeError(f"{label} of a {kind} does not take a row of shape {given}: {error} {advice}") from error
    if not isinstance(made, Tensor) or made.ndim == 0 or len(made) != 1:
        found = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise ShapeError(f"Expected {label} of a {kind} to make a tensor of one row of one row; got {found}.")
    return tuple(made.shape[1:])
