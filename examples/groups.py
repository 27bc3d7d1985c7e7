"""Bags of patches: images are cut up, patches become visual words, and an LDA finds what whole images show.

Run it: python examples/groups.py
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

from pgmgraph import ModelGraph, Observation, Scores, fit
from pgmgraph.datasets import load_bundled_digits
from pgmgraph_modules.lda import LDA

WORDS = 60


def patches(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All patches of 4 x 4 of images of 8 x 8, with the quarter that each is from; and the image of each."""
    windows = np.lib.stride_tricks.sliding_window_view(images.reshape(-1, 8, 8), (4, 4), (1, 2))
    rows, columns = np.divmod(np.arange(25), 5)
    quarters = 100 * np.eye(4)[2 * (rows > 2) + (columns > 2)]
    vectors = np.concatenate([windows.reshape(len(images), 25, 16), np.tile(quarters, (len(images), 1, 1))], 2)
    return vectors.reshape(-1, 20), np.repeat(np.arange(len(images)), 25)


def main() -> None:
    """Topics of images, from the words of their patches."""
    digits = load_bundled_digits()
    vectors, ids = patches(digits.train_images.astype(float))
    codes = MiniBatchKMeans(WORDS, n_init=3, random_state=0).fit_predict(vectors)
    one_hot = torch.nn.functional.one_hot(torch.as_tensor(codes).long(), WORDS)

    words, lda = Observation(one_hot, plate="patches", groups={"images": ids}), LDA(topics=10, concentration=0.1)
    graph = ModelGraph(words=words, lda=lda)
    graph.connect(words.value, lda.x["patch"], pool="images")
    history = fit(graph, rounds=30, callbacks=[Scores(lda.z, digits.train_labels)]).history
    print(f"{len(vectors)} patches of {len(digits.train_images)} images, F {history['F'][-1]:.0f}")
    print(f"accuracy of the largest topic {history['accuracy'][-1]:.3f}")


if __name__ == "__main__":
    main()
