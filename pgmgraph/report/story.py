"""The story of a run: how it went, and what is believed in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgmgraph.errors import DataError
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Categorical, Gaussian, Message
from pgmgraph.observation import Values
from pgmgraph.plotting import Wiring, wiring
from pgmgraph.report.account import Account
from pgmgraph.report.galleries import Gallery, galleries
from pgmgraph.report.latents import Latent, latent
from pgmgraph.report.partitions import Labels, Partition, partition


@dataclass(frozen=True, eq=False)
class Story:
    """All that a report tells; `tell` makes it.

    Attributes:
        account: how it went.
        wiring: of the graph.
        observations: the names of the observations.
        items: how many items each plate has, by name.
        latents: the real vectors that something is believed about.
        partitions: the discrete variables.
        galleries: images by cluster.
        labels: if any were given.
    """

    account: Account
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
    account: Account,
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
        account: how the run went.
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
    latent_beliefs = {name: belief for name, belief in beliefs.items() if name.split(".")[0] in graph.modules}
    known = None if labels is None else _labels(labels, label_names, latent_beliefs)
    seen = {name: belief for name, belief in latent_beliefs.items() if not bool(belief.missing_rows().all())}
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
    plate_sizes = {plate(name): len(belief) for name, belief in latent_beliefs.items()}
    return Story(account, wiring(graph), tuple(graph.observations), plate_sizes, latents, partitions, pictures, known)


def _labels(values: Values, names: Sequence[str] | None, beliefs: Mapping[str, Message]) -> Labels:
    """The labels, refused where there are not as many as some variable has items."""
    labels = Labels.of(values, names)
    if len(labels.codes) not in {len(belief) for belief in beliefs.values()}:
        sizes = ", ".join(f"{name} has {len(belief)} items" for name, belief in beliefs.items())
        raise DataError(f"Expected a label for each item; got {len(labels.codes)} labels, and {sizes or 'no beliefs'}.")
    return labels
