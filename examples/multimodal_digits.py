"""Images and spoken words of the same digits, sorted together without labels; then one told from the other.

Run it: python examples/multimodal_digits.py
It reads digits3000.npz from the folder serket of $PGMGRAPH_DATA; without it, scikit-learn's images with words made up.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from pgmgraph import Categorical, ModelGraph, Observation, Scores, accuracy, fit, infer
from pgmgraph.datasets import load_bundled_digits
from pgmgraph_modules.multimodal import MultimodalMixture
from pgmgraph_modules.transforms import SklearnTransform


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, counts of words or sounds, and the digits."""
    file = Path(os.environ.get("PGMGRAPH_DATA", "")) / "serket" / "digits3000.npz"
    if file.is_file():
        with np.load(file) as arrays:
            return arrays["images"], arrays["hac"], arrays["labels"].astype(int)
    print("No serket/digits3000.npz in $PGMGRAPH_DATA: bundled images, and words drawn for each digit.")
    digits, random = load_bundled_digits(), np.random.default_rng(0)
    said = random.dirichlet(np.full(200, 0.1), 10)
    words = np.stack([random.multinomial(100, said[label]) for label in digits.train_labels])
    return digits.train_images, words, digits.train_labels.astype(int)


images, words, labels = load()
pixels, heard = Observation(images, scale=1 / 255), Observation(words)
eye = SklearnTransform(PCA(n_components=18, random_state=0))
# Sounds that overlap come in bursts: counted in full they would drown the image.
digit = MultimodalMixture(10, concentration=len(labels) / 10, weights={"w.word": 0.2})

graph = ModelGraph(pixels=pixels, heard=heard, eye=eye, digit=digit)
graph.connect(pixels.value, eye.x)
graph.connect(eye.y, digit.v["image"])
graph.connect(heard.value, digit.w["word"])

result = fit(graph, rounds=3, callbacks=[Scores(digit.c, labels)])
print(f"together       accuracy {result.history['accuracy'][-1]:.3f}")
for name, values in {"pixels": images, "heard": words}.items():
    belief = infer(graph, {name: values}, draws=0)["digit.c"]  # the other modality is not filled in
    assert isinstance(belief, Categorical)
    print(f"from {name:10s}accuracy {accuracy(belief.most_probable().numpy(), labels):.3f}")
