"""The story of a run: how it went, and what is believed in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pgmgraph.errors import DataError
from pgmgraph.graph import ModelGraph
from pgmgraph.ledger import Entry
from pgmgraph.messages import Categorical, Gaussian, Message
from pgmgraph.observation import Values
from pgmgraph.plotting import Wiring, wiring
from pgmgraph.report.galleries import Gallery, galleries
from pgmgraph.report.latents import Latent, latent
from pgmgraph.report.partitions import Labels, Partition, partition

History: TypeAlias = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Record:
    """How a run went, in plain values; whatever is not known may be left out.

    Attributes:
        title: the headline.
        history: columns by name with one entry a round, as `FitResult.history`.
        others: histories of other runs by name, such as the control without messages, to be drawn beside.
        name: what this run is called beside others.
        trace: a row for each stage, as `FitResult.trace`.
        seconds: how long each module took, one entry a round.
        warnings: what was warned about.
        configuration: the graph and the options, as YAML.
        environment: versions, seed, machine: what by name.
        status: how it ended, in a few words.
    """

    title: str
    history: History = field(default_factory=dict)
    others: Mapping[str, History] = field(default_factory=dict)
    name: str = "this run"
    trace: Sequence[Entry] = ()
    seconds: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    status: str = ""

    @property
    def rounds(self) -> int:
        """How many rounds it ran."""
        return max((len(column) for column in self.history.values()), default=0)

    @property
    def scores(self) -> tuple[str, ...]:
        """The columns of the history that are scores."""
        return tuple(name for name in self.history if name not in ("F", "seconds"))


@dataclass(frozen=True, eq=False)
class Story:
    """All that a report tells; `tell` makes it.

    Attributes:
        record: how it went.
        wiring: of the graph.
        observations: the names of the observations.
        items: how many items each plate has, by name.
        latents: the real vectors that something is believed about.
        partitions: the discrete variables.
        galleries: images by cluster.
        labels: if any were given.
    """

    record: Record
    wiring: Wiring
    observations: Sequence[str]
    items: Mapping[str, int]
    latents: Sequence[Latent]
    partitions: Sequence[Partition]
    galleries: Sequence[Gallery]
    labels: Labels | None


def tell(
    graph: ModelGraph,
    beliefs: Mapping[str, Message],
    record: Record,
    *,
    labels: Values | None = None,
    label_names: Sequence[str] | None = None,
    image_shapes: Mapping[str, tuple[int, ...] | None] | None = None,
    items: int = 2000,
    rows: int = 20,
    columns: int = 10,
    seed: int = 0,
) -> Story:
    """Look at what a fitted graph believes.

    Args:
        graph: the graph.
        beliefs: as `FitResult.beliefs`, or from `infer`.
        record: how the run went.
        labels: (N,) integers or words, for comparison; they go with every variable that has N items.
        label_names: what integer labels are called.
        image_shapes: (H, W) or (C, H, W) of observations by name, where it cannot be told from the data; None for
            one that is not to be shown.
        items: at most so many points are drawn of each latent space.
        rows: at most so many clusters are shown by images.
        columns: so many images of each.
        seed: of the choice of points, of t-SNE, and of the images that are drawn.

    Raises:
        DataError: the labels are no labels, or go with no variable.
    """
    known = None if labels is None else Labels.of(labels, label_names)
    seen = {name: belief for name, belief in beliefs.items() if not bool(belief.missing_rows().all())}
    if known is not None and len(known.codes) not in {len(belief) for belief in beliefs.values()}:
        sizes = ", ".join(f"{name} has {len(belief)} items" for name, belief in beliefs.items())
        raise DataError(f"Expected a label for each item; got {len(known.codes)} labels, and {sizes or 'no beliefs'}.")
    plates = graph.check().plates

    def plate(variable: str) -> str:
        # A module with no data below it has no plate's name; its own then stands for it.
        module = variable.split(".")[0]
        return plates.get(module, module)

    partitions = []
    for name, belief in seen.items():
        if isinstance(belief, Categorical):
            fits = known is not None and len(known.codes) == len(belief)
            partitions.append(partition(name, belief, known if fits else None))
    latents = []
    for name, belief in seen.items():
        if isinstance(belief, Gaussian):
            beside = {one.variable: one for one in partitions if plate(one.variable) == plate(name)}
            alike = {variable: one for variable, one in beside.items() if len(one.clusters) == len(belief)}
            latents.append(latent(name, belief, alike, items=items, seed=seed))
    pictures = [
        gallery
        for one in partitions
        for gallery in galleries(graph, one, image_shapes or {}, rows=rows, columns=columns, seed=seed)
    ]
    plate_sizes = {plate(name): len(belief) for name, belief in beliefs.items()}
    return Story(record, wiring(graph), tuple(graph.observations), plate_sizes, latents, partitions, pictures, known)
