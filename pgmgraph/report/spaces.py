"""The sections of a report that show what is believed: latent spaces, clusters and their agreement with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pgmgraph.plotting import Ellipse, data_uri, image_grid, latent_figure
from pgmgraph.report.galleries import Gallery
from pgmgraph.report.latents import Latent
from pgmgraph.report.page import Block, Heat, Paragraph, Picture, Pictures, Section, Table
from pgmgraph.report.partitions import Agreement, Partition
from pgmgraph.report.story import Story
from pgmgraph.report.wording import counted, number, percent

PRINCIPAL, NEIGHBOURS = "principal components", "t-SNE"
GROUPS_IN_A_TABLE = 50


def latent_space(story: Story) -> Section:
    """Every Gaussian latent in the plane, coloured by cluster and by label."""
    blocks: list[Block] = []
    labels = story.labels
    for latent in story.latents:
        drawn = len(latent.rows)
        some = f"{drawn:,} of {latent.items:,}" if drawn < latent.items else f"{latent.items:,}"
        blocks.append(
            Paragraph(
                f"{latent.variable} has {counted(latent.dimensions, 'dimension')}. Shown are the means of what is "
                f"believed about {some} items. The principal components hold {percent(latent.shown)} of their "
                "variance." + ("" if latent.neighbours is None else " t-SNE keeps neighbourhoods, and no distances.")
            )
        )
        pictures = [_by_cluster(latent, one, story) for one in story.partitions if one.variable in latent.ellipses]
        if labels is not None and len(labels.codes) == latent.size:
            names = dict(enumerate(labels.names))
            pictures.append(_picture(latent, labels.codes[latent.rows], names, {code: code for code in names}, "label"))
        if not pictures:
            pictures.append(_picture(latent, np.full(drawn, -1), {}, {}, "nothing"))
        blocks.append(Pictures(pictures, width=480))
    return Section("latent-space", "Latent space", blocks)


def _by_cluster(latent: Latent, partition: Partition, story: Story) -> Picture:
    """Coloured by cluster, with ellipses; a cluster that is matched with a label has that label's colour."""
    groups = partition.clusters[latent.rows]
    matches = partition.agreement.matches if partition.agreement else {}
    first = len(story.labels.names) if matches and story.labels else 0
    alone = [cluster for cluster in range(len(partition.counts)) if cluster not in matches]
    styles = {**matches, **{cluster: first + place for place, cluster in enumerate(alone)}}
    there = set(groups.tolist())
    ellipses = {cluster: one for cluster, one in latent.ellipses[partition.variable].items() if cluster in there}
    picture = _picture(latent, groups, {}, styles, partition.variable, ellipses)
    caption = picture.caption + (" A cluster has the colour of the label that it is matched with." if matches else "")
    return replace(picture, caption=caption)


def _picture(
    latent: Latent,
    groups: npt.NDArray[np.int64],
    names: Mapping[int, str],
    styles: Mapping[int, int],
    what: str,
    ellipses: Mapping[int, Ellipse] | None = None,
) -> Picture:
    panels = {PRINCIPAL: (latent.principal, groups)}
    if latent.neighbours is not None:
        panels[NEIGHBOURS] = (latent.neighbours, groups)
    around = {PRINCIPAL: ellipses} if ellipses else None
    figure = latent_figure(panels, names=names, styles=styles, ellipses=around)
    caption = f"Coloured by {what}." + (" Ellipses: two standard deviations of each cluster." if ellipses else "")
    return Picture(data_uri(figure, "png"), f"{latent.variable} coloured by {what}", caption)


def images(story: Story) -> Section:
    """What the items of each cluster look like."""
    return Section("images", "Images by cluster", [Pictures([_gallery(one, story)]) for one in story.galleries])


def _gallery(gallery: Gallery, story: Story) -> Picture:
    partition = next(one for one in story.partitions if one.variable == gallery.variable)
    whole = partition.sizes.sum()
    height, width = gallery.images.shape[2:4]
    figure = image_grid(
        gallery.images,
        (height, width),
        row_labels=[f"cluster {cluster}" for cluster in gallery.clusters],
        row_notes=[percent(partition.sizes[cluster] / whole) + " of items" for cluster in gallery.clusters],
        value_range=gallery.value_range,
    )
    how = "drawn from the model given the cluster" if gallery.drawn else "the items that the cluster is surest of"
    caption = f"{gallery.observation} by {gallery.variable}: {how}, the largest cluster first."
    if gallery.left_out:
        caption += f" {counted(gallery.left_out, 'cluster')} of the {len(partition.sizes)} not shown."
    return Picture(data_uri(figure, "png"), caption, caption)


def clusters(story: Story) -> Section:
    """How large the clusters are, and how they go with labels."""
    blocks: list[Block] = []
    for partition in story.partitions:
        agreement = partition.agreement
        empty = int((partition.counts == 0).sum())
        sentences = [
            f"{partition.variable} tells {counted(len(partition.counts) - empty, 'cluster')} apart"
            + (f"; {empty} of {len(partition.counts)} are empty." if empty else "."),
            f"The most probable one has probability {number(partition.certainty)} on average.",
        ]
        if agreement:
            sentences.append(
                f"Matched one to one with the labels: accuracy {number(agreement.accuracy)}, "
                f"NMI {number(agreement.nmi)}, ARI {number(agreement.ari)}."
            )
        blocks.append(Paragraph(" ".join(sentences)))
        blocks.append(_confusion(partition.variable, agreement) if agreement else _sizes(partition))
    return Section("clusters", "Clusters", blocks)


def _sizes(partition: Partition) -> Table:
    order = np.argsort(-partition.sizes, kind="stable")[:GROUPS_IN_A_TABLE]
    whole = partition.sizes.sum()
    rows = [
        [f"cluster {cluster}", number(partition.sizes[cluster]), percent(partition.sizes[cluster] / whole)]
        for cluster in order
    ]
    return Table([partition.variable, "items, expected", "share"], rows)


def _confusion(variable: str, agreement: Agreement) -> Heat:
    shares = agreement.counts / agreement.counts.sum(axis=1, keepdims=True)
    caption = "Items by cluster and label, in the order of the matching; shaded by their share of the cluster."
    if max(agreement.counts.shape) > GROUPS_IN_A_TABLE:
        rows, columns = agreement.counts.shape
        caption += f" The first {GROUPS_IN_A_TABLE} of {rows} clusters and {columns} labels."
    part = slice(GROUPS_IN_A_TABLE)
    return Heat(
        agreement.labels[part],
        [f"cluster {cluster}" for cluster in agreement.clusters[part]],
        agreement.counts[part, part].tolist(),
        shares[part, part].tolist(),
        f"{variable} \\ label",
        caption,
    )
