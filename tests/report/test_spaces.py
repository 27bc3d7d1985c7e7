"""What is believed, as pictures and tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pgmgraph.report import Story, spaces
from pgmgraph.report.page import Heat, Paragraph, Pictures, Table


def test_a_latent_space_is_shown_by_cluster_and_by_label(story: Story) -> None:
    text, pictures = spaces.latent_space(story).blocks
    assert isinstance(text, Paragraph)
    assert isinstance(pictures, Pictures)
    assert "3 dimensions" in text.text
    assert "40 items" in text.text
    by_cluster, by_label = pictures.pictures
    assert "Ellipses" in by_cluster.caption
    assert "colour of the label" in by_cluster.caption
    assert by_label.caption == "Coloured by label."


def test_without_clusters_and_labels_points_are_shown_plain(story: Story) -> None:
    bare = replace(story, partitions=(), labels=None, latents=[replace(story.latents[0], ellipses={}, neighbours=None)])
    text, pictures = spaces.latent_space(bare).blocks
    assert isinstance(text, Paragraph)
    assert isinstance(pictures, Pictures)
    assert "t-SNE" not in text.text
    assert [picture.caption for picture in pictures.pictures] == ["Coloured by nothing."]


def test_labels_of_another_plate_colour_nothing(story: Story) -> None:
    other = replace(story, latents=[replace(story.latents[0], size=41)])
    [pictures] = [block for block in spaces.latent_space(other).blocks if isinstance(block, Pictures)]
    assert len(pictures.pictures) == 1


def test_the_confusion_counts_every_item_once(story: Story) -> None:
    text, heat = spaces.clusters(story).blocks
    assert isinstance(text, Paragraph)
    assert isinstance(heat, Heat)
    assert list(heat.columns) == ["even", "odd"]
    assert np.sum(heat.counts) == 40
    np.testing.assert_allclose(np.sum(heat.shares, axis=1), 1)
    [partition] = story.partitions
    assert partition.agreement is not None
    assert np.trace(np.array(heat.counts)) == 40 * partition.agreement.accuracy


def test_without_labels_the_sizes_are_listed(story: Story) -> None:
    [partition] = story.partitions
    text, table = spaces.clusters(replace(story, partitions=[replace(partition, agreement=None)])).blocks
    assert isinstance(text, Paragraph)
    assert isinstance(table, Table)
    assert "accuracy" not in text.text
    assert len(table.rows) == 2


def test_images_say_how_they_came_about(story: Story) -> None:
    [pictures] = spaces.images(story).blocks
    assert isinstance(pictures, Pictures)
    assert "drawn from the model" in pictures.pictures[0].caption
    shown = replace(story, galleries=[replace(story.galleries[0], drawn=False, left_out=3)])
    [pictures] = spaces.images(shown).blocks
    assert isinstance(pictures, Pictures)
    assert "surest of" in pictures.pictures[0].caption
    assert "3 clusters" in pictures.pictures[0].caption
