"""PPCA and factor analysis under a mixture: every step is exact, so the joint bound never falls.

Run it: python examples/ppca_gmm.py
"""

from __future__ import annotations

from pgmgraph import ModelGraph, Observation, Scores, fit
from pgmgraph.datasets import Digits, load_bundled_digits
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA, FactorAnalysis, LinearGaussian


def learn(digits: Digits, below: LinearGaussian, backward: bool) -> tuple[float, float]:
    """F and the mixture's accuracy, with or without its messages to the module below."""
    pixels, gmm = Observation(digits.train_images, scale=1 / 255), GMM(components=10)
    graph = ModelGraph(pixels=pixels, below=below, gmm=gmm)
    graph.connect(pixels.value, below.x)
    graph.connect(below.z, gmm.x, backward=backward)
    result = fit(graph, rounds=30, seed=0, strict=True, callbacks=[Scores(gmm.c, digits.train_labels)])
    bound, accuracy = result.history["F"][-1], result.history["accuracy"][-1]
    assert bound is not None
    assert accuracy is not None
    return bound, accuracy


def main() -> None:
    """Learn scikit-learn's digits four times."""
    digits = load_bundled_digits()
    for kind in (PPCA, FactorAnalysis):
        for backward in (True, False):
            bound, accuracy = learn(digits, kind(latent_dim=8), backward)
            name = "with messages back" if backward else "without"
            print(f"{kind.__name__:>14}, {name:<18}: F {bound:9.0f}, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
