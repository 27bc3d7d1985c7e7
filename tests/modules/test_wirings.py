"""Any modules, wired wherever their ports fit: what `check` lets through learns, and has a finite F."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from pgmgraph import ModelGraph, Module, Observation, fit, infer, registry
from pgmgraph.errors import DataError, WiringError
from pgmgraph.ports import InPort, Ins, OutPort
from pgmgraph_modules.class_prior import ClassPrior
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.linear_gaussian import PPCA, FactorAnalysis
from pgmgraph_modules.multimodal import MultimodalMixture, SharedVector
from pgmgraph_modules.supervised import Classifier, Regressor
from pgmgraph_modules.transforms import FunctionTransform, SklearnMixture, SklearnTransform, TorchTransform
from pgmgraph_modules.vae import VAE

torch.set_num_threads(1)

N = 14
MADE: dict[str, Callable[[], Module]] = {
    "class_prior": lambda: ClassPrior(),
    "classifier": lambda: Classifier(2, epochs=1),
    "factor_analysis": lambda: FactorAnalysis(2),
    "function_transform": lambda: FunctionTransform(torch.tanh),
    "gmm": lambda: GMM(3, starts=1),
    "hmm": lambda: HMM(3, starts=1),
    "lda": lambda: LDA(3),
    "multimodal_mixture": lambda: MultimodalMixture(3, starts=1),
    "ppca": lambda: PPCA(2),
    "regressor": lambda: Regressor(epochs=1),
    "shared_vector": lambda: SharedVector(2),
    "sklearn_mixture": lambda: SklearnMixture(GaussianMixture(n_components=2)),
    "sklearn_transform": lambda: SklearnTransform(PCA(1)),
    "torch_transform": lambda: TorchTransform(torch.nn.Flatten()),
    "vae": lambda: VAE(2, hidden=(4,), batch_size=7),
}


def observations() -> dict[str, Observation]:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.rand(N, 4, generator=generator)
    counts = torch.randint(0, 5, (N, 6), generator=generator)
    labels = torch.randint(0, 2, (N,), generator=generator)
    return {"vectors": Observation(vectors), "counts": Observation(counts), "labels": Observation(labels)}


def doors(module: Module) -> list[InPort]:
    """The In ports of a module, with one key of each family."""
    found = []
    for name, declaration in module.ins():
        port = getattr(module, name)
        found.append(port["one"] if isinstance(declaration, Ins) else port)
    return found


def wired(graph: ModelGraph, out: OutPort, into: InPort) -> bool:
    try:
        graph.connect(out, into)
    except WiringError:
        return False
    return True


@st.composite
def graphs(draw: st.DrawFn) -> ModelGraph:
    """Three modules, each over what was there before it."""
    chosen = [draw(st.sampled_from(sorted(MADE))) for _ in range(3)]
    seen = observations()
    graph = ModelGraph(**seen)
    sources: list[OutPort] = [one.value for one in seen.values()]
    for place, name in enumerate(chosen):
        module = MADE[name]()
        graph.add(f"{name}_{place}", module)
        for into in doors(module):
            if into.declaration.optional and draw(st.booleans()):
                continue
            fitting = draw(st.permutations(sources))
            next((out for out in fitting if wired(graph, out, into)), None)
        sources += [getattr(module, port) for port, _ in module.outs()]
    used = {wire.child for wire in graph.wires}
    bare = ModelGraph(**{name: node for name, node in seen.items() if name in used}, **graph.modules)
    for wire in graph.wires:
        into = getattr(graph[wire.parent], wire.into)
        bare.connect(getattr(graph[wire.child], wire.out), into if wire.key is None else into[wire.key])
    return bare


def test_every_registered_module_is_tried() -> None:
    ours = {name for name in registry.names() if registry.load(name).__module__.startswith("pgmgraph_modules")}
    assert ours == MADE.keys()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_what_fits_together_learns(graph: ModelGraph) -> None:
    try:
        graph.check()
    except (WiringError, DataError):
        assume(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on what weakens F are not what is asked here
        result = fit(graph, rounds=2)
        found = infer(graph)
    objective = result.history["F"][-1]
    assert objective is not None, repr(graph)
    assert math.isfinite(objective), repr(graph)
    for name, belief in found.items():
        belief.check_finite(name)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_what_fits_together_learns_whatever_it_is(graph: ModelGraph) -> None:
    test_what_fits_together_learns.hypothesis.inner_test(graph)  # type: ignore[attr-defined]  # as hypothesis has it
