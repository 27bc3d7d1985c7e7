"""Other libraries' models as modules: scikit-learn's under a mixture of ours, a torch network's under an HMM.

Run it: python examples/adapters.py
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from pgmgraph import Categorical, ModelGraph, Observation, Scores, fit, generate, infer
from pgmgraph.datasets import load_bundled_digits
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.transforms import SklearnMixture, SklearnTransform, TorchTransform

# As many of each digit, in the order of counting: 0 to 9, and again.
digits = load_bundled_digits()
each = np.bincount(digits.train_labels).min()
order = np.stack([np.flatnonzero(digits.train_labels == digit)[:each] for digit in range(10)], 1).ravel()
images, labels = digits.train_images[order], digits.train_labels[order]

pixels, gmm = Observation(images, scale=1 / 255), GMM(components=10)
reduce = SklearnTransform(make_pipeline(StandardScaler(), PCA(n_components=16)))
graph = ModelGraph(pixels=pixels, reduce=reduce, gmm=gmm)
graph.connect(pixels.value, reduce.x)
graph.connect(reduce.y, gmm.x)
found = fit(graph, rounds=20, callbacks=[Scores(gmm.c, labels)])
drawn = generate(graph, {"gmm.c": 3}, n=100)["pixels"]  # decoded by PCA, then by the scaler
again = infer(graph, {"pixels": drawn})["gmm.c"]
assert isinstance(again, Categorical)
kept = (again.most_probable() == 3).sum()
print(f"scaler, PCA, GMM: accuracy {found.history['accuracy'][-1]:.3f}; {kept} of 100 drawn found again")

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 12))
decoder = nn.Sequential(nn.Linear(12, 100), nn.ReLU(), nn.Linear(100, 64))
pixels, net = Observation(images, scale=1 / 255), TorchTransform(encoder, inverse=decoder, epochs=5, batch_size=32)
mixture, hmm = SklearnMixture(GaussianMixture(n_components=10, reg_covar=0.01, n_init=3)), HMM(states=10)
graph = ModelGraph(pixels=pixels, net=net, mixture=mixture)
graph.connect(pixels.value, net.x)
graph.connect(net.y, mixture.x)
found = fit(graph, rounds=8, callbacks=[Scores(mixture.c, labels)])
print(f"network, GaussianMixture: accuracy {found.history['accuracy'][-1]:.3f}")

graph.add("hmm", hmm)  # it holds c from now on, and takes log-likelihoods
graph.connect(mixture.c, hmm.c)
found = fit(graph, rounds=10, frozen=["net"], callbacks=[Scores(mixture.c, labels)])
print(f"network, GaussianMixture, HMM: accuracy {found.history['accuracy'][-1]:.3f}")
