"""Several modalities of each item under one latent: a class (`MultimodalMixture`) or a vector (`SharedVector`)."""

from pgmgraph_modules.multimodal.belief import JointBelief
from pgmgraph_modules.multimodal.mixture import MultimodalMixture
from pgmgraph_modules.multimodal.shared_vector import SharedVector

__all__ = ["JointBelief", "MultimodalMixture", "SharedVector"]
