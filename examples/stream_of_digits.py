"""A folder is filled with images of digits while a mixture over principal components learns from it.

Run it: python examples/stream_of_digits.py
The images are scikit-learn's; a thread writes them, as a camera would, and a file named END when there are no more.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import torch
from PIL import Image

from pgmgraph import Categorical, ModelGraph, Observation, accuracy, infer
from pgmgraph.datasets import Digits, load_bundled_digits
from pgmgraph.streams import FolderSource, fit_stream
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA


def fill(folder: Path, digits: Digits) -> None:
    """Write each image under a hidden name, and rename it when it is whole."""
    for number, pixels in enumerate(digits.train_images):
        hidden = folder / f".{number:05d}.png"
        Image.fromarray(pixels.reshape(8, 8)).save(hidden)
        hidden.rename(folder / hidden.name[1:])
    (folder / "END").touch()


digits = load_bundled_digits()
pixels = Observation.placeholder((8, 8), torch.uint8, scale=1 / 255)
ppca, gmm = PPCA(latent_dim=8), GMM(components=10)
graph = ModelGraph(pixels=pixels, ppca=ppca, gmm=gmm)
graph.connect(pixels.value, ppca.x)
graph.connect(ppca.z, gmm.x)

with tempfile.TemporaryDirectory() as folder:
    threading.Thread(target=fill, args=(Path(folder), digits)).start()
    source = FolderSource(folder, "*.png", poll=0.1, until="END")
    for learnt in fit_stream(graph, source, first=500, chunk=250, rounds=5):
        belief = infer(graph, {"pixels": digits.test_images.reshape(-1, 8, 8)}, rounds=500)["gmm.c"]
        assert isinstance(belief, Categorical)
        found = accuracy(belief.most_probable().numpy(), digits.test_labels)
        foretold = "" if learnt.foretold is None else f"  foretold {learnt.foretold:6.2f} nats an image"
        print(f"{learnt.total:5d} images  accuracy {found:.3f}{foretold}")
