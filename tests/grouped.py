"""Patches of images: small graphs over two plates, to put groups to the test."""

import torch

from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.multimodal import MultimodalMixture
from tests.toys import Symbols, Weights

IDS = torch.tensor([2, 0, 0, 4, 2, 2, 0, 4])  # of five groups; 1 and 3 have no member
N, SIZE = len(IDS), 5


def symbols(n=N, seed=0):
    """One of four symbols for each of n patches."""
    return torch.randint(4, (n, 1), generator=torch.Generator().manual_seed(seed))


def members(values=None, ids=IDS, **arguments):
    """An observation of patches, of five images unless other ids are given."""
    values = symbols() if values is None else values
    return Observation(values, plate="patches", groups={"images": ids}, **arguments)


def shared(seen=None, parent=None, learning=True, classes=3):
    """Symbols of patches, whose class all patches of an image share."""
    below, parent = Symbols(classes, 4, learning), parent or Weights()
    graph = ModelGraph(seen=seen or members(), below=below, parent=parent)
    graph.connect(graph.observations["seen"].value, below.x)
    graph.connect(below.c, parent.c, pool="images")
    return graph


def two_plates(patches=IDS, captions=SIZE, **arguments):
    """Patches of images, and words of the images themselves, which all show one of three kinds."""
    generator = torch.Generator().manual_seed(3)
    kinds = torch.arange(SIZE) % 3
    vectors = torch.randn(len(patches), 2, generator=generator) + 5 * torch.eye(3)[torch.as_tensor(patches) % 3, :2]
    counts = torch.poisson(0.5 + 4 * torch.eye(3)[kinds], generator=generator)[:captions]
    graph = ModelGraph(
        vectors=members(vectors, patches, **arguments),
        words=Observation(counts, plate="images"),
        gmm=GMM(3, starts=1),
        kind=MultimodalMixture(3, starts=1, cooling=3),
    )
    wire(graph)
    return graph


def wire(graph, pool="images"):
    """Join what `two_plates` puts into a graph."""
    gmm, kind = graph["gmm"], graph["kind"]
    graph.connect(graph["vectors"].value, gmm.x)
    graph.connect(gmm.c, kind.x["patch"], pool=pool)
    graph.connect(graph["words"].value, kind.w["word"])
