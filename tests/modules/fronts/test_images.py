"""Images as bags of visual words."""

import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pgmgraph import ModelGraph, Observation, fit
from pgmgraph_modules.fronts import VisualWords
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.transforms import SklearnTransform
from tests.refusals import refused

features = pytest.importorskip("skimage.feature")

SIDE = 32


def texture(kind, seed):
    """Stripes that lie, stripes that stand, or a chessboard, at any phase, in noise."""
    generator = np.random.default_rng(seed)
    down, across = np.mgrid[:SIDE, :SIDE] + generator.uniform(0, 9, size=(2, 1, 1))
    waves = [np.sin(0.8 * down), np.sin(0.8 * across), np.sin(0.8 * down) * np.sin(0.8 * across)]
    return waves[kind] + 0.1 * generator.normal(size=(SIDE, SIDE))


LABELS = np.arange(18) % 3
IMAGES = np.stack([texture(kind, seed) for seed, kind in enumerate(LABELS)])


def front(**options):
    return VisualWords(**{"words": 10, "random_state": 0, **options})


def test_an_image_has_a_word_for_each_point_of_the_grid():
    counts = front(step=3, radius=6).fit(IMAGES).transform(IMAGES)
    points = len(range(6, SIDE - 6, 3))
    assert counts.shape == (18, 10)
    assert counts.dtype == np.int32
    np.testing.assert_array_equal(counts.sum(1), points**2)


def test_words_are_the_nearest_centres_of_scikit_images_descriptors():
    words = front().fit(IMAGES)
    found = features.daisy(IMAGES[4], step=4, radius=7, rings=2, histograms=6, orientations=8).reshape(-1, 13 * 8)
    distances = np.linalg.norm((found[:, None] - words.words_) / words.scale_, axis=2)
    [codes] = words.codes(IMAGES[4:5])
    np.testing.assert_array_equal(codes, distances.argmin(1))


def test_images_of_a_kind_have_nearer_histograms_than_others():
    words = front().fit(IMAGES)
    old = words.transform(IMAGES).astype(float)
    new = words.transform([texture(kind, 100 + kind) for kind in range(3)]).astype(float)
    nearest = np.abs(new[:, None] - old).sum(2).argmin(1)
    np.testing.assert_array_equal(LABELS[nearest], np.arange(3))


def test_brightness_and_contrast_count_for_nothing():
    words = front().fit(IMAGES)
    np.testing.assert_array_equal(words.transform(3.0 * IMAGES + 7.0), words.transform(IMAGES))


def test_colours_come_last_or_first_and_turn_grey():
    weights = np.array([0.2125, 0.7154, 0.0721])
    coloured = np.random.default_rng(0).uniform(size=(4, 20, 24, 3))
    words = front().fit(coloured)
    expected = words.transform(coloured @ weights)
    np.testing.assert_array_equal(words.transform(coloured), expected)
    np.testing.assert_array_equal(words.transform(np.moveaxis(coloured, -1, 1)), expected)
    np.testing.assert_array_equal(words.transform((coloured @ weights)[..., None]), expected)


def test_images_of_several_sizes_come_as_a_list():
    words = front().fit(IMAGES)
    counts = words.transform([IMAGES[0], IMAGES[1][:16, :20]])
    assert counts[0].sum() > counts[1].sum() > 0


def test_blank_images_are_one_word():
    words = front().fit(IMAGES)
    counts = words.transform([np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), 5)])
    assert (counts > 0).sum() == 2
    np.testing.assert_array_equal(counts[0], counts[1])


def test_the_same_seed_gives_the_same_words_and_a_clone_is_unfitted():
    words = front().fit(IMAGES)
    again = clone(words)
    with refused(NotFittedError, "VisualWords has learnt no words yet"):
        again.transform(IMAGES)
    np.testing.assert_array_equal(again.fit(IMAGES).words_, words.words_)


def test_images_that_cannot_serve_are_refused_by_their_place():
    words = front().fit(IMAGES)
    with refused(ValueError, "more than 14 pixels to a side", "got 14 x 32 in item 1", "smaller radius"):
        words.transform([IMAGES[0], IMAGES[1][:14]])
    with refused(ValueError, "finite real numbers in item 0"):
        words.transform([np.full((SIDE, SIDE), np.inf)])
    with refused(ValueError, "as item 0; got shape (1024,)", "state image_shape"):
        words.transform(IMAGES.reshape(18, -1))
    with refused(ValueError, "radius of at least 1; got 0"):
        front(radius=0).fit(IMAGES)


def test_it_stands_in_a_pipeline_and_in_a_graph_where_images_are_rows():
    rows = IMAGES.reshape(18, -1)
    given = front(image_shape=(SIDE, SIDE))
    expected = front().fit_transform(IMAGES)
    np.testing.assert_array_equal(given.fit_transform(rows), expected)
    assert make_pipeline(given, StandardScaler()).fit_transform(rows).shape == (18, 10)

    data, words, gmm = Observation(IMAGES), SklearnTransform(given, dimensions=given.columns), GMM(3, starts=2)
    graph = ModelGraph(images=data, words=words, gmm=gmm)
    graph.connect(data.value, words.x)
    graph.connect(words.y, gmm.x)
    np.testing.assert_array_equal(fit(graph, rounds=2).beliefs["words.y"].value, expected)
    assert isinstance(words.state_dict()["fitted"], dict), "told by arrays, so that checkpoints take it"


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with refused(ModuleNotFoundError, 'pip install "pgmgraph[vision]"'):
        front().fit(IMAGES)
