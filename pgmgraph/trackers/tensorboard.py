"""TensorBoard: numbers by round, pictures of the values of a discrete variable, a latent in the projector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pgmgraph import events
from pgmgraph.errors import DataError, NotFittedError, UnknownNameError, suggestion
from pgmgraph.generate import generate
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Categorical, Gaussian, Message, Point
from pgmgraph.observation import Values
from pgmgraph.trackers.base import Row, Tracker
from pgmgraph.trackers.pictures import Pixels, as_grey, tiled

if TYPE_CHECKING:
    from pgmgraph.trackers.event_file import EventFile

PICTURES_A_VALUE = 8


class TensorBoard(Tracker):
    """Writes what `tensorboard --logdir FOLDER` shows. See `Tracker` for the numbers.

    A later `fit` that is given the same folder goes on in it: what an earlier one wrote of the same rounds is void.

    Args:
        folder: where to write; made if missing. One folder a run.
        embedding: the name of a variable whose belief is put into the projector: means of vectors, probabilities of a
            discrete variable. Missing items are left out.
        labels: (N,), one an item of that variable's plate, shown in the projector and used for nothing else.
        thumbnails: (N, H, W) images of the items, for the projector; or (N, pixels), with `image_shape`. Integers from
            0 to 255, or floats from 0 to 1.
        images: the name of a discrete variable, such as "gmm.c". For each of its values a row of images is drawn by
            `generate`, of every observation that is of the shape of an image. The same noise serves all rounds.
        image_shape: height and width, where images are kept as rows of pixels.
        every: the projector and the images have their turn every so many rounds, and after the last one.
        items: at most so many items, evenly spaced, are put into the projector.

    Raises:
        ModuleNotFoundError: tensorboard is not installed.
        DataError: arguments that contradict one another.

    Example:
        >>> board = TensorBoard("runs/digits", embedding="vae.z", images="gmm.c", image_shape=(8, 8))
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        embedding: str | None = None,
        labels: Values | None = None,
        thumbnails: Values | None = None,
        images: str | None = None,
        image_shape: tuple[int, int] | None = None,
        every: int = 10,
        items: int = 2000,
    ) -> None:
        super().__init__()
        try:
            import tensorboard  # type: ignore[import-untyped]  # noqa: F401  # early, not after the first round
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'TensorBoard needs a package that is not installed: pip install "pgmgraph[tensorboard]".',
                name="tensorboard",
            ) from error
        if every < 1 or items < 1:
            raise DataError(f"Expected every and items of at least 1; got {every} and {items}.")
        if embedding is None and (labels is not None or thumbnails is not None):
            raise DataError("Expected embedding, the name of a variable, to show labels or thumbnails by; got none.")
        self.folder = Path(folder)
        self.embedding = embedding
        self.images = images
        self.image_shape = image_shape
        self.every = every
        self.items = items
        self._labels = None if labels is None else np.asarray(labels)
        self._thumbnails = None if thumbnails is None else np.asarray(thumbnails)
        if self._thumbnails is not None:
            as_grey(self._thumbnails[:1], image_shape)  # refused now, rather than after the first round
        self._file: EventFile | None = None
        self._unseen: tuple[int, ModelGraph, Mapping[str, Message]] | None = None

    def start(self, event: events.FitStarted) -> None:
        """See `Tracker.start`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = None

    def write(self, round: int, row: Row) -> None:
        """See `Tracker.write`."""
        self._open(round).numbers(row, round)

    def look(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> None:
        """See `Tracker.look`."""
        self._unseen = (graph.rounds_done, graph, beliefs)
        if graph.rounds_done % self.every == 0:
            self._show()

    def end(self, event: events.FitEnded) -> None:
        """See `Tracker.end`."""
        # A run that was broken off may have learnt on since the beliefs were looked at.
        if event.reason in ("rounds", "converged"):
            self._show()
        self._unseen = self._file = None

    def _open(self, round: int) -> EventFile:
        """The event file, made in the first round: of a resumed run the events tell no sooner which one that is."""
        from pgmgraph.trackers.event_file import EventFile

        if self._file is None:
            self._file = EventFile(self.folder, round)
        return self._file

    def _show(self) -> None:
        """Write the projector's files and the images of the round that was looked at last, once."""
        if self._unseen is None:
            return
        (round, graph, beliefs), self._unseen = self._unseen, None
        if self.embedding is not None:
            self._embed(round, self.embedding, _known(self.embedding, graph, beliefs))
        if self.images is not None:
            self._draw(round, self.images, graph, _known(self.images, graph, beliefs))

    def _embed(self, round: int, name: str, belief: Message | None) -> None:
        from pgmgraph.trackers.projector import write_embedding

        if belief is None:
            return
        for what, given in (("labels", self._labels), ("thumbnails", self._thumbnails)):
            if given is not None and len(given) != len(belief):
                raise DataError(f"Expected {len(belief)} {what}, as there are items of {name}; got {len(given)}.")
        present = np.flatnonzero(~belief.missing_rows().cpu().numpy())
        rows = present[np.unique(np.linspace(0, len(present) - 1, min(self.items, len(present))).astype(np.int64))]
        labels = None if self._labels is None else self._labels[rows]
        thumbnails = None if self._thumbnails is None else as_grey(self._thumbnails[rows], self.image_shape)
        write_embedding(self.folder, name, round, _vectors(name, belief)[rows], labels, thumbnails)

    def _draw(self, round: int, name: str, graph: ModelGraph, belief: Message | None) -> None:
        """For each value of a discrete variable, a row of what `generate` draws below it."""
        if belief is None:
            return
        if not isinstance(belief, Categorical):
            raise DataError(f"Expected a discrete variable to draw images by; {name} is {type(belief).__name__}.")
        values = torch.arange(belief.event_shape[0]).repeat_interleave(PICTURES_A_VALUE)
        try:
            drawn = generate(graph, {name: values}, n=len(values))
        except NotFittedError:
            return  # a module's first turn comes in a later round
        for observation in graph.observations:
            pixels = self._pixels(drawn[observation]) if observation in drawn else None
            if pixels is not None:
                self._open(round).picture(f"{name}/{observation}", tiled(pixels, PICTURES_A_VALUE), round)

    def _pixels(self, values: torch.Tensor) -> Pixels | None:
        """The drawn values as images; None where they are of another shape."""
        shape = tuple(values.shape[1:])
        flat = self.image_shape is not None and shape == (self.image_shape[0] * self.image_shape[1],)
        is_image = flat or (len(shape) == 2 and self.image_shape in (None, shape))
        return as_grey(values, self.image_shape) if is_image else None


def _known(name: str, graph: ModelGraph, beliefs: Mapping[str, Message]) -> Message | None:
    """The belief about a variable; None while there is none."""
    if name not in graph.variables:
        raise UnknownNameError(
            f"No variable named {name!r} to show.{suggestion(name, graph.variables)} "
            f"There are: {', '.join(graph.variables)}.",
            name,
        )
    return beliefs.get(name)


def _vectors(name: str, belief: Message) -> NDArray[Any]:
    match belief:
        case Gaussian():
            tensor = belief.mean
        case Categorical():
            tensor = belief.probs
        case Point():
            tensor = belief.value.reshape(len(belief), -1)
        case _:
            raise DataError(f"Expected a belief to embed {name} by; got {type(belief).__name__}.")
    vectors: NDArray[Any] = tensor.detach().double().cpu().numpy()
    return vectors
