"""One label in twenty: a VAE, a mixture and a classifier learn scikit-learn's digits together.

Run it: python examples/semi_supervised.py
"""

from __future__ import annotations

import warnings

import numpy as np

from pgmgraph import Categorical, ModelGraph, Observation, Scores, fit, infer
from pgmgraph.datasets import Digits, load_bundled_digits
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.supervised import Classifier
from pgmgraph_modules.vae import VAE, Ramp

KNOWN, ROUNDS, DRAWS = 0.05, 15, 3


def learn(digits: Digits, seed: int, backward: bool) -> tuple[float, float]:
    """Accuracy of the classifier on held-out images, and of the mixture, with or without messages from the labels."""
    unknown = np.random.default_rng(seed).random(len(digits.train_labels)) >= KNOWN
    pixels, labels = Observation(digits.train_images, scale=1 / 255), Observation(digits.train_labels, missing=unknown)
    ramp = Ramp(0.1, 1.0, rounds=ROUNDS - 1)
    vae = VAE(6, hidden=(128,), first_epochs=20, epochs=2, batch_size=100, lr=2e-3, kl_weight=ramp)
    gmm, classifier = GMM(components=10, starts=4), Classifier(classes=10, weight=1 / KNOWN)
    graph = ModelGraph(pixels=pixels, labels=labels, vae=vae, gmm=gmm, classifier=classifier)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)
    graph.connect(vae.z, classifier.z, backward=backward)
    graph.connect(labels.value, classifier.y)
    result = fit(graph, rounds=ROUNDS, seed=seed, callbacks=[Scores(gmm.c, digits.train_labels)])
    guessed = infer(graph, {"pixels": digits.test_images})["classifier.predicted"]
    assert isinstance(guessed, Categorical)
    clustered = result.history["accuracy"][-1]
    assert clustered is not None
    return float((guessed.most_probable().numpy() == digits.test_labels).mean()), clustered


def main() -> None:
    """Several draws of the known labels, each with and without the classifier's messages to the VAE."""
    warnings.filterwarnings("ignore", message="classifier: weight=20")  # so chosen
    digits = load_bundled_digits()
    for backward in (True, False):
        scores = np.array([learn(digits, seed, backward) for seed in range(DRAWS)])
        (labelled, clustered), (deviation, spread) = scores.mean(0), scores.std(0, ddof=1)
        name = "with messages back" if backward else "without          "
        print(f"{name}: labels {labelled:.3f} +- {deviation:.3f}, clusters {clustered:.3f} +- {spread:.3f}")


if __name__ == "__main__":
    main()
