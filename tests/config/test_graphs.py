"""A graph becomes a configuration and a configuration a graph, and neither loses anything."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import nn

from examples.vae_gmm_mnist import PRESETS
from pgmgraph import ModelGraph, Module, Observation, fit, infer, registry
from pgmgraph.config import Plain, config_text, from_config, load_graph, parameters, read_config, to_config
from pgmgraph.errors import ConfigError, DataError
from pgmgraph_modules.class_prior import ClassPrior
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.linear_gaussian import PPCA, FactorAnalysis
from pgmgraph_modules.multimodal import MultimodalMixture, SharedVector
from pgmgraph_modules.supervised import Classifier, Regressor
from pgmgraph_modules.transforms import FunctionTransform, SklearnMixture, SklearnTransform, TorchTransform
from pgmgraph_modules.vae import VAE, Ramp
from tests.refusals import refused
from tests.toys import Centre, Gathering, Noisy

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]
IMAGES = np.arange(40 * 16, dtype=np.uint8).reshape(40, 16)

CONFIG: dict[str, Plain] = {
    "observations": {"pixels": {"event_shape": [16], "dtype": "uint8", "scale": 1 / 255}},
    "modules": {
        "vae": {
            "module": "vae",
            "latent_dim": 2,
            "encoder": {
                "call": "torch.nn:Sequential",
                "args": [{"call": "torch.nn:Linear", "in_features": 16, "out_features": 4}],
            },
            "optimiser": {"partial": "torch.optim:SGD", "lr": 0.01},
            "kl_weight": {"call": "pgmgraph_modules.vae:Ramp", "start": 0.5, "end": 1.0, "rounds": 2},
        },
        "gmm": {"module": "gmm", "components": 3, "starts": 1},
    },
    "wires": {"vae.x": "pixels", "gmm.x": {"from": "vae.z", "backward": False}},
}


def chain(child, parent, **options):
    pixels = Observation(IMAGES, scale=1 / 255)
    graph = ModelGraph(pixels=pixels, child=child, parent=parent)
    [below], [above], [into] = ([name for name, _ in ports] for ports in (child.ins(), child.outs(), parent.ins()))
    graph.connect(pixels.value, getattr(child, below))
    graph.connect(getattr(child, above), getattr(parent, into), **options)
    return graph


def exactly(config: dict[str, Plain]) -> str:
    """With the types of numbers: a run's fingerprint is made of this."""
    return json.dumps(config)


def of_examples() -> dict[str, ModelGraph]:
    graphs = {}
    for name, preset in PRESETS.items():
        vae = VAE(
            preset.latent_dim,
            hidden=preset.hidden,
            first_epochs=preset.first_epochs,
            kl_weight=preset.kl_weight,
            lr=preset.lr,
        )
        graphs[name] = chain(vae, GMM(preset.components, starts=preset.starts, concentration=1000 / 7))
    graphs["one way"] = chain(VAE(2, hidden=(8,)), GMM(3), backward=False)
    graphs["whole numbers"] = chain(VAE(2, kl_weight=Ramp(1, 2, 3), lr=1), GMM(3, scale=2, mean=[1, 2]))
    graphs["transform"] = chain(SklearnTransform(PCA(2)), GMM(3, mean=[0.1, 0.2]))
    graphs["lossy"] = chain(VAE(2, hidden=(8,)), SklearnTransform(PCA(1), refit=True), via="mean")
    graphs["toys"] = chain(Noisy(0.25, learn_shift=False), Centre())
    return graphs


def same(one: ModelGraph, other: ModelGraph) -> None:
    assert list(one.modules) == list(other.modules)
    assert list(one.observations) == list(other.observations)
    assert one.wires == other.wires
    assert one.check().shapes == other.check().shapes
    for name, module in one.modules.items():
        assert type(other.modules[name]) is type(module)
        assert module.arguments.keys() == other.modules[name].arguments.keys()


@pytest.mark.parametrize("name", list(of_examples()))
def test_graphs_of_the_examples_come_back_by_way_of_yaml(name: str, tmp_path: Path) -> None:
    graph = of_examples()[name]
    config = to_config(graph)
    file = tmp_path / "graph.yaml"
    file.write_text(config_text(config))
    assert read_config(file) == config
    assert json.loads(json.dumps(config)) == config
    again = load_graph(file)
    same(graph, again)
    assert exactly(to_config(again)) == exactly(config)


def test_the_example_s_own_module_goes_by_its_file():
    config = copy.deepcopy(CONFIG)
    file = (ROOT / "examples" / "custom_module.py").as_posix()
    config["modules"] = {"vae": {"module": f"{file}:PPCA", "latent_dim": 2}, "gmm": {"module": "gmm", "components": 3}}
    graph = from_config(config)
    assert type(graph.modules["vae"]).__name__ == "PPCA"
    assert to_config(from_config(to_config(graph))) == to_config(graph)
    # Written without a recipe, the class is found at the same place.
    made_in_python = chain(type(graph.modules["vae"])(2), GMM(3))
    [entry] = [one for name, one in to_config(made_in_python)["modules"].items() if name == "child"]
    assert entry["latent_dim"] == 2
    assert entry["module"].endswith("examples/custom_module.py:PPCA")


def test_what_came_from_a_configuration_is_written_as_it_stood_there():
    """Networks and partial functions too, which no look at the live objects could tell."""
    given = copy.deepcopy(CONFIG)
    graph = from_config(given)
    assert given == CONFIG
    assert to_config(graph) == CONFIG
    written = to_config(graph)
    written["modules"]["gmm"]["components"] = 5
    assert to_config(graph) == CONFIG


def test_numbers_and_short_forms_come_into_their_normal_form() -> None:
    modules: dict[str, Plain] = {
        "vae": {"module": "vae", "latent_dim": "2", "lr": "1e-3", "hidden": [8.0], "kl_weight": 1},
        "gmm": {"module": "pgmgraph_modules.gmm:GMM", "components": 3.0},
    }
    wires: dict[str, Plain] = {"vae.x": {"from": "pixels.value"}, "gmm.x": {"from": "vae.z", "via": None}}
    once = to_config(
        from_config({"observations": {"pixels": {"event_shape": [4]}}, "modules": modules, "wires": wires})
    )
    assert once == {
        "observations": {"pixels": {"event_shape": [4], "dtype": "float32"}},
        "modules": {
            "vae": {"module": "vae", "latent_dim": 2, "lr": 0.001, "hidden": [8], "kl_weight": 1.0},
            "gmm": {"module": "pgmgraph_modules.gmm:GMM", "components": 3},
        },
        "wires": {"vae.x": "pixels", "gmm.x": "vae.z"},
    }
    assert to_config(from_config(once)) == once


weights = st.floats(0.01, 10)


def gmm(arguments):
    return GMM(**arguments)


def classifier(arguments):
    return Classifier(**arguments)


def factor_analysis(arguments):
    return FactorAnalysis(**arguments)


def ppca(arguments):
    return PPCA(**arguments)


def regressor(arguments):
    return Regressor(**arguments)


def hmm(arguments):
    return HMM(**arguments)


def lda(arguments):
    return LDA(**arguments)


def multimodal_mixture(arguments):
    return MultimodalMixture(**arguments)


def vae(arguments):
    return VAE(**arguments)


predictors = {
    "hidden": st.lists(st.integers(1, 50), max_size=2).map(tuple),
    "weight": weights,
    "prior_variance": weights,
    "epochs": st.integers(1, 9),
    "lr": weights,
}
linear = st.fixed_dictionaries({"latent_dim": st.integers(1, 50)}, optional={"passes": st.integers(1, 9)})

MADE = {
    "class_prior": st.floats(1e-3, 1e3).map(ClassPrior),
    "classifier": st.fixed_dictionaries({"classes": st.integers(2, 50)}, optional=predictors).map(classifier),
    "factor_analysis": linear.map(factor_analysis),
    "ppca": linear.map(ppca),
    "regressor": st.fixed_dictionaries({}, optional=predictors).map(regressor),
    "gmm": st.fixed_dictionaries(
        {"components": st.integers(1, 50)},
        optional={
            "covariance": st.sampled_from(["full", "diagonal"]),
            "passes": st.integers(1, 9),
            "concentration": st.floats(1e-6, 1e6),
            "freedom": st.none() | st.floats(5, 100),
            "mean": st.none() | st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2),
            "message": st.sampled_from(["expected", "component", "mean", "mixture"]),
        },
    ).map(gmm),
    "hmm": st.fixed_dictionaries(
        {"states": st.integers(1, 50)},
        optional={
            "concentration": weights,
            "start_concentration": weights,
            "stickiness": st.floats(0, 1e6),
            "covariance": st.sampled_from(["full", "diagonal"]),
            "starts": st.integers(1, 9),
            "freedom": st.none() | st.floats(5, 100),
            "scale": st.none() | weights,
        },
    ).map(hmm),
    "lda": st.fixed_dictionaries(
        {"topics": st.integers(2, 50)},
        optional={"concentration": weights, "word_concentration": weights, "passes": st.integers(1, 9)},
    ).map(lda),
    "multimodal_mixture": st.fixed_dictionaries(
        {"components": st.integers(1, 50)},
        optional={
            "concentration": weights,
            "table_concentration": weights,
            "weights": st.none() | st.dictionaries(st.sampled_from(["w.sound", "v.image"]), weights),
            "covariance": st.sampled_from(["full", "diagonal"]),
        },
    ).map(multimodal_mixture),
    "shared_vector": st.builds(SharedVector, st.integers(1, 9)),
    "sklearn_transform": st.builds(
        SklearnTransform,
        st.builds(PCA, n_components=st.integers(1, 3), whiten=st.booleans(), tol=st.floats(0, 1)),
        dimensions=st.none() | st.integers(1, 3),
        refit=st.booleans(),
    ),
    "function_transform": st.builds(
        FunctionTransform, st.just(torch.nn.functional.softplus), at_once=st.none() | st.integers(1, 99)
    ),
    "sklearn_mixture": st.builds(
        SklearnMixture, st.builds(GaussianMixture, n_components=st.integers(1, 9)), refit=st.booleans()
    ),
    "torch_transform": st.builds(TorchTransform, st.just(torch.nn.Flatten), batch_size=st.integers(1, 999)),
    "vae": st.fixed_dictionaries(
        {"latent_dim": st.integers(1, 40)},
        optional={
            "hidden": st.none() | st.lists(st.integers(1, 2000), max_size=3),
            "likelihood": st.sampled_from(["bernoulli", "gaussian"]),
            "lr": st.floats(1e-9, 1.0),
            "kl_weight": weights | st.builds(Ramp, weights, weights, st.integers(1, 99)),
            "first_epochs": st.none() | st.integers(1, 300),
        },
    ).map(vae),
}


def test_every_registered_module_of_this_distribution_is_tried() -> None:
    ours = {name for name in registry.names() if registry.load(name).__module__.startswith("pgmgraph_modules")}
    assert ours <= MADE.keys(), "Give MADE a strategy for the arguments of the new module."


@pytest.mark.parametrize("name", MADE)
def test_arguments_of_registered_modules_come_back_to_the_last_bit(name: str) -> None:
    @settings(deadline=None, derandomize=True, max_examples=25)
    @given(module=MADE[name])
    def comes_back(module: Module) -> None:
        graph = ModelGraph(pixels=Observation.placeholder([2], torch.float64, plate="images"), it=module)
        config = to_config(graph)
        again = from_config(config)
        assert exactly(to_config(again)) == exactly(config)
        assert again.modules["it"].arguments.keys() == module.arguments.keys()
        for argument, value in module.arguments.items():
            got = again.modules["it"].arguments[argument]
            if isinstance(value, BaseEstimator):  # which is equal to nothing but itself
                assert repr(got) == repr(value)
            else:
                assert got == (list(value) if isinstance(value, tuple) else value), argument

    comes_back()
    required = [one.name for one in parameters(registry.load(name)) if one.required]
    assert required or name in {"class_prior", "regressor"}


def test_families_and_plates_of_other_names() -> None:
    sound, words = Observation(IMAGES, plate="clips"), Observation(IMAGES, plate="clips")
    gathering = Gathering()
    graph = ModelGraph(sound=sound, words=words, all=gathering)
    graph.connect(words.value, gathering.x["words"])
    graph.connect(sound.value, gathering.x["sound"])
    config = to_config(graph)
    assert config["wires"] == {"all.x.words": "words", "all.x.sound": "sound"}
    again = from_config(config)
    assert again.wires == graph.wires
    assert again.check().plates == {"all": "clips"}


def test_a_graph_of_a_configuration_learns_as_that_of_python_does() -> None:
    graph = chain(VAE(2, hidden=(8,), epochs=2), GMM(3, starts=2))
    again = from_config(to_config(graph), {"pixels": IMAGES})
    assert to_config(again) == to_config(graph)
    assert fit(again, rounds=2).history["F"] == fit(graph, rounds=2).history["F"]


def test_networks_that_are_called_have_weights_by_seed_and_name():
    def weights(seed, more=False):
        config = copy.deepcopy(CONFIG)
        if more:
            config["modules"] = {"other": {"module": "gmm", "components": 2}, **config["modules"]}
        encoder = from_config(config, seed=seed).modules["vae"].arguments["encoder"]
        assert isinstance(encoder, nn.Module)
        return next(encoder.parameters())

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(weights(0), weights(0, more=True))
    assert not torch.equal(weights(0), weights(1))
    assert torch.equal(torch.rand(2), expected)


def test_a_placeholder_can_be_checked_given_parameters_and_asked_about_new_data():
    learnt = chain(VAE(2, hidden=(8,)), GMM(3, starts=1))
    fit(learnt, rounds=2)
    expected = infer(learnt, {"pixels": IMAGES[:5]})
    graph = from_config(to_config(learnt))
    assert graph.observations["pixels"].point.missing_rows().all()
    assert graph.check().shapes == learnt.check().shapes
    fit(graph, {"pixels": IMAGES}, rounds=1)
    for name, module in graph.modules.items():
        module.load_state_dict(learnt.modules[name].state_dict())
    beliefs = infer(graph, {"pixels": IMAGES[:5]})
    assert torch.equal(beliefs["parent.c"].probs, expected["parent.c"].probs)


def test_data_take_the_place_of_placeholders_on_their_scale():
    config = {**CONFIG, "observations": {"pixels": {**CONFIG["observations"]["pixels"], "data": "images.npy"}}}
    pixels = from_config(config, {"pixels": IMAGES}).observations["pixels"]
    assert (len(pixels), pixels.point.scale, pixels.source) == (40, 1 / 255, "images.npy")
    assert to_config(from_config(config, {"pixels": IMAGES})) == config
    floats = from_config(config, {"pixels": IMAGES / 255.0}).observations["pixels"]
    assert floats.point.scale == 1.0
    free = from_config({**CONFIG, "observations": {"pixels": {"scale": 0.5}}}, {"pixels": IMAGES})
    assert to_config(free)["observations"] == {"pixels": {"event_shape": [16], "dtype": "uint8", "scale": 0.5}}
    own = Observation(IMAGES, scale=1 / 255, plate="images")
    assert from_config(CONFIG, {"pixels": own}).observations["pixels"] is own


def test_classes_that_nothing_can_import_are_named_and_refused() -> None:
    class Local(Centre):
        pass

    config = to_config(ModelGraph(it=Local()))
    assert config["modules"] == {"it": {"module": f"{__name__}:{Local.__qualname__}"}}
    with refused(ConfigError, "modules.it.module: Expected 'package.module:name'"):
        from_config(config)


FUNCTIONS = """
from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.gmm import GMM
from toy_sizes import COMPONENTS

def model(points=None):
    points = Observation([[0.0, 1.0]] * 4 if points is None else points)
    graph = ModelGraph(points=points, gmm=GMM(COMPONENTS))
    graph.connect(points.value, graph["gmm"].x)
    return graph

def needs(points, words):
    return model(points)

def wrong():
    return 3

def broken():
    raise KeyError("points")

made = model()
number = 3
"""


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    (tmp_path / "toy_sizes.py").write_text("COMPONENTS = 2\n")
    file = tmp_path / "models.py"
    file.write_text(FUNCTIONS)
    return file


def test_a_function_of_a_file_makes_the_graph(functions: Path) -> None:
    assert len(load_graph(f"{functions}:model").observations["points"]) == 4
    graph = load_graph(f"{functions}:model", {"points": np.ones((7, 2))})
    assert len(graph.observations["points"]) == 7
    assert list(load_graph(f"{functions}:made").modules) == ["gmm"]


@pytest.mark.parametrize(
    ("reference", "data", "parts"),
    [
        ("models.py:modle", {}, ("Did you mean 'model'?",)),
        ("models.py:needs", {"points": [[1.0]]}, ("needs data for words", "Given were: points")),
        ("models.py:wrong", {}, ("to return a ModelGraph; it returned 3",)),
        ("models.py:number", {}, ("Expected a function that returns a ModelGraph",)),
        ("models.py:broken", {}, ("models.py:broken ended in KeyError: 'points'",)),
        ("models.py:model", {"ponits": [[1.0]]}, ("no observation named 'ponits'", "Did you mean 'points'?")),
        ("models.py:model", {"points": "text"}, ("Expected real numbers",)),
        ("models.py", {}, ("Expected a graph as a file of YAML", "models.py")),
        ("nothing.yaml", {}, ("Cannot read the configuration", "nothing.yaml")),
    ],
)
def test_references_that_lead_to_no_graph(
    functions: Path, reference: str, data: dict[str, list[list[float]]], parts: tuple[str, ...]
) -> None:
    with refused(ConfigError, *parts):
        load_graph(f"{functions.parent}/{reference}", data)


def test_files_beside_the_configuration_are_found(tmp_path):
    (tmp_path / "toy_nets.py").write_text(
        "from torch import nn\n\nclass Encoder(nn.Linear):\n"
        "    def __init__(self, width: int, latent: int = 2):\n        super().__init__(width, 2 * latent)\n"
    )
    config = copy.deepcopy(CONFIG)
    vae = {"module": "vae", "latent_dim": 2, "encoder": {"call": "toy_nets.py:Encoder", "width": 16}}
    config["modules"] = config["modules"] | {"vae": vae}
    (tmp_path / "graph.yaml").write_text(config_text(config))
    assert to_config(load_graph(tmp_path / "graph.yaml")) == config
    assert to_config(from_config(config, folder=tmp_path)) == config
    with refused(ConfigError, "modules.vae.encoder.call: No file", "toy_nets.py"):
        from_config(config)


def test_a_placeholder_needs_a_shape_that_events_can_have():
    for shape in ([0], [-1], [2**20, 2**20]):
        with refused(DataError, "Expected an event_shape of positive sizes", str(tuple(shape))):
            Observation.placeholder(shape, torch.float32)


def test_a_complete_configuration_states_what_was_left_at_its_default():
    graph = ModelGraph(pixels=(pixels := Observation(torch.rand(20, 4))), vae=(vae := VAE(2, lr=0.01)))
    graph.connect(pixels.value, vae.x)
    config = to_config(graph, complete=True)
    arguments = config["modules"]["vae"]
    assert (arguments["latent_dim"], arguments["lr"]) == (2, 0.01)
    assert (arguments["epochs"], arguments["precision"], arguments["optimiser"]) == (1, "fp32", None)
    assert list(arguments) == ["module", *[one.name for one in parameters(VAE)]]
    assert to_config(from_config(config), complete=True) == to_config(from_config(config)) == config
    assert to_config(from_config(to_config(graph)), complete=True) == config
