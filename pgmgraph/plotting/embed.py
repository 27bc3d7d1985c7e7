"""A picture as text: a data URI, which a page can hold without a file beside it."""

from __future__ import annotations

import base64
import io
from typing import Literal

from matplotlib import rc_context
from matplotlib.figure import Figure


def data_uri(figure: Figure, image_format: Literal["svg", "png"] = "svg") -> str:
    """A figure as a data URI, for the `src` of an HTML image; the same figure gives the same text.

    Args:
        figure: what to draw.
        image_format: "svg" stays sharp at any size; "png" is smaller where there are thousands of points or pixels.
    """
    kind = {"svg": "image/svg+xml", "png": "image/png"}[image_format]
    buffer = io.BytesIO()
    # The names of its parts would otherwise come from a random number, and its date from the clock.
    with rc_context({"svg.hashsalt": "pgmgraph", "svg.fonttype": "path"}):
        metadata = {"Date": None} if image_format == "svg" else {}
        figure.savefig(buffer, format=image_format, metadata=metadata)
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
