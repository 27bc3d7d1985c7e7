"""Sounds as histograms of words that occur together."""

import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from pgmgraph import ModelGraph, Observation, fit, infer
from pgmgraph_modules.fronts import SoundWords
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.transforms import SklearnTransform
from tests.refusals import refused

librosa = pytest.importorskip("librosa")

RATE = 8_000


def melody(*tones, seed=0, seconds=0.2, glide=0.0):
    """Tones one after another, in noise; each may glide upwards."""
    time = np.arange(round(seconds * RATE)) / RATE
    parts = [np.sin(2 * np.pi * (tone + glide * time) * time) for tone in tones]
    return np.concatenate(parts) + 0.02 * np.random.default_rng(seed).normal(size=len(time) * len(tones))


KINDS = [(300, 900), (900, 300), (500, 1_500), (2_500, 700)]
SOUNDS = [melody(*KINDS[place % 4], seed=place) for place in range(24)]
LABELS = np.arange(24) % 4


def front(**options):
    return SoundWords(**{"words": 12, "rate": RATE, "random_state": 0, **options})


def nearest_kinds(counts, new):
    """Of the nearest old histogram, by the cosine."""
    old, fresh = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (counts, new))
    return LABELS[(fresh @ old.T).argmax(1)]


def test_counts_sum_to_the_pairs_of_frames_and_words_to_the_frames():
    samples = np.arange(1_000, 3_000, 137)
    sounds = [SOUNDS[0][:n] for n in samples]
    frames = 1 + (samples - 200) // 80
    pairs = front(lags=(2, 5)).fit(SOUNDS).transform(sounds)
    assert pairs.dtype == np.int32
    assert pairs.shape == (len(samples), 2 * 12**2)
    np.testing.assert_array_equal(pairs[:, :144].sum(1), frames - 2)
    np.testing.assert_array_equal(pairs[:, 144:].sum(1), frames - 5)
    np.testing.assert_array_equal(front(cooccurrence=False).fit(SOUNDS).transform(sounds).sum(1), frames)


def test_pairs_are_counted_where_they_occur():
    words = front(words=3, lags=(1, 2)).fit(SOUNDS)
    counts = words.counted(np.array([0, 1, 2, 0, 1])).reshape(2, 3, 3)
    np.testing.assert_array_equal(counts[0], [[0, 2, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(counts[1], [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_words_are_the_nearest_centres_of_librosas_coefficients():
    words = front().fit(SOUNDS)
    sound = SOUNDS[3].astype(np.float32)
    expected = librosa.feature.mfcc(y=sound, sr=RATE, n_mfcc=13, n_mels=24, n_fft=200, hop_length=80, center=False).T
    distances = np.linalg.norm((expected[:, None] - words.words_) / words.scale_, axis=2)
    [codes] = words.codes([sound])
    np.testing.assert_array_equal(codes, distances.argmin(1))


def test_sounds_of_a_kind_have_nearer_histograms_than_others():
    new = [melody(*kind, seed=100 + place) for place, kind in enumerate(KINDS)]
    words = front().fit(SOUNDS)
    np.testing.assert_array_equal(nearest_kinds(words.transform(SOUNDS), words.transform(new)), np.arange(4))


def test_pairs_tell_a_rise_from_a_fall_and_words_alone_do_not():
    rise, fall = melody(400, seed=1, glide=4_000, seconds=0.4), melody(400, seed=2, glide=4_000, seconds=0.4)[::-1]
    for cooccurrence, different in ((True, True), (False, False)):
        words = front(words=8, cooccurrence=cooccurrence).fit([rise, fall])
        up, down = words.transform([rise, fall]).astype(float)
        overlap = np.minimum(up, down).sum() / up.sum()
        assert (overlap < 0.5) == different, overlap


def test_the_same_seed_gives_the_same_words_and_a_clone_is_unfitted():
    words = front().fit(SOUNDS)
    again = clone(words)
    with refused(NotFittedError, "SoundWords has learnt no words yet"):
        again.transform(SOUNDS)
    np.testing.assert_array_equal(again.fit(SOUNDS).words_, words.words_)
    assert not np.array_equal(front(random_state=1).fit(SOUNDS).words_, words.words_)
    assert again.get_params() == words.get_params()


def test_integers_are_what_the_same_sounds_are_as_shares():
    recorded = [np.round(0.5 * one / np.abs(one).max() * 32_767).astype(np.int16) for one in SOUNDS]
    words = front().fit(recorded)
    np.testing.assert_array_equal(words.transform(recorded), words.transform([one / 32_767 for one in recorded]))


def test_silence_and_constant_sounds_have_finite_words():
    words = front(words=2).fit([np.zeros(2_000), SOUNDS[0]])
    counts = words.transform([np.zeros(1_000), np.ones(1_000)])
    assert np.isfinite(words.words_).all()
    assert (counts.sum(1) == counts.sum(1)[0]).all()
    assert ((counts > 0).sum(1) == 2).all(), "one pair at each of two lags"


def test_sounds_that_cannot_serve_are_refused_by_their_place():
    words = front().fit(SOUNDS)
    least = 200 + 5 * 80
    assert words.transform([SOUNDS[0][:least]]).sum() == 4 + 1, "of six frames"
    with refused(ValueError, f"at least {least} samples", "0.075 s at 8000 Hz", f"got {least - 1} in item 1"):
        words.transform([SOUNDS[0], SOUNDS[0][: least - 1]])
    with refused(ValueError, "at least 200 samples", "one frame", "got 3 in item 0"):
        front(cooccurrence=False).fit([SOUNDS[0][:3]])
    with refused(ValueError, "finite real numbers in item 1"):
        words.transform([SOUNDS[0], np.full(900, np.nan)])
    with refused(ValueError, "one waveform (samples,) as item 0; got shape (2, 900)"):
        words.transform([np.zeros((2, 900))])
    with refused(ValueError, "at least one item for SoundWords"):
        words.fit([])
    with refused(ValueError, "as many descriptors as words", "words=5000"):
        front(words=5_000).fit(SOUNDS)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"words": 0}, "words of at least 1"),
        ({"lags": ()}, "lags of at least one frame"),
        ({"lags": (0, 2)}, "lags of at least one frame"),
        ({"coefficients": 30}, "coefficients from 1 to the number of bands; got 30 of 24"),
        ({"hop": 0.0}, "a hop of one or more"),
    ],
)
def test_parameters_that_cannot_serve_are_refused(options, text):
    with refused(ValueError, text):
        front(**options).fit(SOUNDS)


def test_it_stands_in_a_pipeline_and_in_a_graph():
    equal = np.stack(SOUNDS)
    pipeline = make_pipeline(FunctionTransformer(lambda x: 0.5 * x), front())
    assert pipeline.fit_transform(equal).shape == (24, front().columns)

    data, words, lda = Observation(equal), SklearnTransform(front(), dimensions=front().columns), LDA(4)
    graph = ModelGraph(sounds=data, words=words, lda=lda)
    graph.connect(data.value, words.x)
    graph.connect(words.y, lda.x["sound"])
    result = fit(graph, rounds=3)
    np.testing.assert_array_equal(result.beliefs["words.y"].value, words.fitted.transform(equal))
    state = words.state_dict()["fitted"]
    assert isinstance(state, dict), "told by arrays, so that checkpoints take it"
    np.testing.assert_array_equal(infer(graph)["words.y"].value, result.beliefs["words.y"].value)


def test_without_librosa_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with refused(ModuleNotFoundError, 'pip install "pgmgraph[audio]"'):
        front().fit(SOUNDS)
