"""Sounds as counts of sound words, or of pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from pgmgraph_modules.fronts.codebook import Array, Codebook, Counts


class SoundWords(Codebook):
    """Waveforms as histograms of co-occurring sound words (HAC; Van hamme, 2008).

    A sound is cut into frames. Each is described by its mel-frequency cepstral coefficients, which librosa computes,
    and rounded to the nearest of `words` centres. Then, for each lag, every pair of words that stand so many frames
    apart is counted: V = lags x words^2 columns, those of the first lag first, `words` x earlier word + later word
    within a lag. Pairs hold what a bag of words loses, the order in time, over short spans, and no longer ones: what is
    said one after the other gives nearly the sum of its histograms.

    The counts of a sound of T frames sum to (T - lag) over the lags; with `cooccurrence=False` the words themselves are
    counted, V = words, and the sum is T. Pairs overlap, and so are no independent draws: see the weights of
    `MultimodalMixture`.

    `fit` and `transform` take a list of waveforms (samples,), of any lengths, or an array (N, samples). Integers are
    taken as shares of the largest of their type.

    Args:
        words: the size of the codebook.
        rate: samples a second.
        cooccurrence: whether pairs are counted, or single words.
        lags: frames between the two words of a pair.
        coefficients: of the cepstrum, the first being loudness.
        bands: of the mel filter bank, at least as many as coefficients.
        frame: the length of a frame in seconds.
        hop: from one frame to the next, in seconds.
        random_state: of k-means.

    Raises:
        ModuleNotFoundError: librosa is not installed.
    """

    def __init__(
        self,
        words: int = 32,
        *,
        rate: int = 16_000,
        cooccurrence: bool = True,
        lags: Sequence[int] = (2, 5),
        coefficients: int = 13,
        bands: int = 24,
        frame: float = 0.025,
        hop: float = 0.010,
        random_state: int | None = None,
    ) -> None:
        self.words = words
        self.rate = rate
        self.cooccurrence = cooccurrence
        self.lags = lags
        self.coefficients = coefficients
        self.bands = bands
        self.frame = frame
        self.hop = hop
        self.random_state = random_state

    @property
    def columns(self) -> int:
        """V, how many counts each sound has."""
        return len(self.lags) * self.words**2 if self.cooccurrence else self.words

    def descriptors(self, item: Array, number: int) -> Array:
        """The coefficients of each frame, (T, coefficients)."""
        self._check()
        if item.ndim != 1:
            raise ValueError(f"Expected one waveform (samples,) as item {number}; got shape {item.shape}.")
        frame, hop = round(self.frame * self.rate), round(self.hop * self.rate)
        needed = frame + hop * (max(self.lags) if self.cooccurrence else 0)
        if len(item) < needed:
            raise ValueError(
                f"Expected sounds of at least {needed} samples, {needed / self.rate:.3f} s at {self.rate} Hz, for one "
                f"{'pair of frames at each lag' if self.cooccurrence else 'frame'}; got {len(item)} in item {number}. "
                "Leave it out, mark it as missing, or ask for shorter lags."
            )
        coefficients: Array = _librosa().feature.mfcc(
            y=_as_shares(item),
            sr=self.rate,
            n_mfcc=self.coefficients,
            n_mels=self.bands,
            n_fft=frame,
            hop_length=hop,
            center=False,
        )
        return coefficients.T

    def counted(self, codes: NDArray[np.intp]) -> Counts:
        """The counts of pairs, or of words, (V,)."""
        if not self.cooccurrence:
            return np.bincount(codes, minlength=self.words).astype(np.int32)
        pairs = [self.words * codes[:-lag] + codes[lag:] for lag in self.lags]
        counts = [np.bincount(one, minlength=self.words**2) for one in pairs]
        return np.concatenate(counts).astype(np.int32)

    def _check(self) -> None:
        if self.cooccurrence and (not len(self.lags) or min(self.lags) < 1):
            raise ValueError(f"Expected lags of at least one frame; got {self.lags}.")
        if not 1 <= self.coefficients <= self.bands:
            raise ValueError(
                f"Expected coefficients from 1 to the number of bands; got {self.coefficients} of {self.bands}."
            )
        if not (self.rate > 0 and round(self.frame * self.rate) >= 2 and round(self.hop * self.rate) >= 1):
            raise ValueError(
                f"Expected frames of two samples or more, a hop of one or more; got frame={self.frame}, "
                f"hop={self.hop} at rate={self.rate}."
            )


def _as_shares(samples: Array) -> NDArray[np.float32]:
    """Samples from -1 to 1, whatever they were stored as."""
    largest = np.iinfo(samples.dtype.name).max if samples.dtype.kind in "iu" else 1
    return (samples / largest).astype(np.float32)


def _librosa() -> ModuleType:
    # Not at the top: it takes seconds to import, and is an extra.
    try:
        import librosa
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'SoundWords needs librosa, which is not installed. Install it: pip install "pgmgraph[audio]".'
        ) from error
    found: ModuleType = librosa
    return found
