"""Digits that are seen and heard in counting order, under a hidden Markov model: which one comes next, and its image.

Run it: python examples/counting_digits.py
It reads digits3000.npz from the folder serket of $PGMGRAPH_DATA; without it, scikit-learn's images with words made up.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from pgmgraph import Categorical, ModelGraph, Observation, Scores, accuracy, fit, generate
from pgmgraph.datasets import load_bundled_digits
from pgmgraph.plotting import image_grid, save
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.multimodal import MultimodalMixture
from pgmgraph_modules.transforms import SklearnTransform

file = Path(os.environ.get("PGMGRAPH_DATA", "")) / "serket" / "digits3000.npz"
if file.is_file():
    arrays = np.load(file)
    images, words, labels = arrays["images"], arrays["hac"], arrays["labels"].astype(int)
else:
    print("No serket/digits3000.npz in $PGMGRAPH_DATA: bundled images, and words drawn for each digit.")
    digits, random = load_bundled_digits(), np.random.default_rng(0)
    images, labels = digits.train_images, digits.train_labels.astype(int)
    words = np.stack([random.multinomial(100, p) for p in random.dirichlet(np.full(200, 0.1), 10)[labels]])

# The first of each digit in turn, then the second of each: 0 1 2 ... 9 0 1 2 ...
count = min(np.bincount(labels))
order = np.stack([np.flatnonzero(labels == digit)[:count] for digit in range(10)], 1).ravel()
images, words, labels = images[order], words[order], labels[order]

pixels, heard = Observation(images, scale=1 / 255), Observation(words)
eye = SklearnTransform(PCA(n_components=18, random_state=0))
digit = MultimodalMixture(10, concentration=count, weights={"w.word": 0.2})
counting = HMM(10)
graph = ModelGraph(pixels=pixels, heard=heard, eye=eye, digit=digit, counting=counting)
graph.connect(pixels.value, eye.x)
graph.connect(eye.y, digit.v["image"])
graph.connect(heard.value, digit.w["word"])
graph.connect(digit.c, counting.c)

result = fit(graph, rounds=10, callbacks=[Scores(digit.c, labels)])
states = result.beliefs["counting.s"]
assert isinstance(states, Categorical)
path = np.asarray(counting.most_probable_path(states))
print(f"first round {result.history['accuracy'][0]:.3f}, last {result.history['accuracy'][-1]:.3f}")
print(f"most probable path {accuracy(path, labels):.3f}")

forecast = counting.forecast(states.probs[-1], 10).argmax(-1).numpy()
meaning = [np.bincount(labels[path == state], minlength=10).argmax() for state in range(10)]
print(f"after {labels[-1]} come {' '.join(str(meaning[state]) for state in forecast)}")
drawn = np.stack([generate(graph, {"digit.c": int(state)}, n=8)["pixels"].numpy() for state in forecast])
side = math.isqrt(images[0].size)
print(save(image_grid(drawn.clip(0, 1), (side, side), title="What comes next"), "out/counting_digits.png"))
