"""Spoken and written digits: every model of both beside its parts alone, each over several seeds.

Run it with `python -m benchmarks.multimodal --seeds 0 1 2 3 4`. Each run is kept as it ends, and what is done already
is not done again. The set is `serket/digits3000.npz` in the folder that $PGMGRAPH_DATA names: 3,000 images, and with
each a spoken digit as counts of pairs of sounds, `hac`. Labels score what was learnt, and choose nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from benchmarks.report import Cell, Table, closing, command_line, hold_to, machine, write_json, write_text
from pgmgraph import Categorical, ModelGraph, Module, Observation, accuracy, fit, infer
from pgmgraph.datasets import load_bundled_digits
from pgmgraph.ports import OutPort
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.multimodal import MultimodalMixture
from pgmgraph_modules.transforms import SklearnTransform
from pgmgraph_modules.vae import VAE, Ramp

Eye: TypeAlias = SklearnTransform | VAE
"""What looks at the images."""

DIGITS = 10
SHAPES = 30
WORD_WEIGHT = 0.2
REFERENCE = {"images and sounds": 0.675, "sounds alone": 0.769}


@dataclass(frozen=True)
class Spoken:
    """Images (N, pixels) and counts (N, V) of the same N digits, and which digits they are, (N,)."""

    images: NDArray[np.uint8]
    sounds: NDArray[np.uint8]
    labels: NDArray[np.int64]
    quick: bool


@dataclass(frozen=True)
class Model:
    """One way to learn from them.

    Attributes:
        name: by which it is listed and filed.
        build: makes the graph; the module that exposes the class c is called "classes" in it.
        parts: the names of the models of its parts alone.
        rounds: how long it learns.
    """

    name: str
    build: Callable[[Spoken], ModelGraph]
    parts: Sequence[str] = ()
    rounds: int = 10


@dataclass(frozen=True)
class Outcome:
    """What came of a run: accuracies with all that there is, then of what is inferred from images or sounds alone."""

    model: str
    seed: int
    accuracy: float
    from_images: float | None
    from_sounds: float | None
    F: float | None
    seconds: float


def main() -> int:
    """Learn what is not done yet, and write the report."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 1 2 3 4)")
    parser.add_argument("--models", nargs="+", choices=[model.name for model in MODELS], help="some of the models")
    given = parser.parse_args()
    hold_to(given.threads)
    data = synthetic() if given.quick else load()
    if data is None:
        print("error: no serket/digits3000.npz in the folder that PGMGRAPH_DATA names", file=sys.stderr)
        return 1
    folder = given.output / ("multimodal-quick" if given.quick else "multimodal")
    for seed in given.seeds:
        for model in MODELS:
            path = folder / f"{model.name}-{seed}.json"
            if path.exists() or (given.models and model.name not in given.models):
                continue
            outcome = learn(model, data, seed)
            write_json(path, asdict(outcome))
            print(f"{model.name} {seed}: {outcome.accuracy:.4f}, {outcome.seconds:.0f} s", flush=True)
    write(folder, given.output, given.threads, given.quick)
    return 0


def load() -> Spoken | None:
    """The digits; None where they are not to be found."""
    file = Path(os.environ.get("PGMGRAPH_DATA", "")) / "serket" / "digits3000.npz"
    if not file.is_file():
        return None
    with np.load(file) as arrays:
        return Spoken(arrays["images"], arrays["hac"], arrays["labels"].astype(np.int64), quick=False)


def synthetic() -> Spoken:
    """200 of scikit-learn's images, each with counts of thirty words drawn for its digit."""
    digits = load_bundled_digits()
    images, labels = digits.train_images[:200], digits.train_labels[:200].astype(np.int64)
    random = np.random.default_rng(0)
    said = random.dirichlet(np.full(30, 0.2), DIGITS)
    sounds = np.stack([random.multinomial(20, said[label]) for label in labels]).astype(np.uint8)
    return Spoken(images, sounds, labels, quick=True)


def learn(model: Model, data: Spoken, seed: int) -> Outcome:
    """Learn one model, and score it."""
    graph, begin = model.build(data), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tempered models say that nothing is guaranteed, in every run
        result = fit(graph, rounds=2 if data.quick else model.rounds, seed=seed)
    seconds = time.perf_counter() - begin

    def score(*names: str) -> float | None:
        if not set(names) <= graph.observations.keys() or len(graph.observations) == 1:
            return None
        values = {"images": data.images, "sounds": data.sounds}
        return _accuracy(infer(graph, {name: values[name] for name in names})["classes.c"], data)

    final = _accuracy(result.beliefs["classes.c"], data)
    return Outcome(model.name, seed, final, score("images"), score("sounds"), result.history["F"][-1], seconds)


def _accuracy(belief: object, data: Spoken) -> float:
    assert isinstance(belief, Categorical)
    return accuracy(belief.most_probable().cpu().numpy(), data.labels)


def _graph(data: Spoken, images: Eye | None, sounds: bool, classes: Module) -> ModelGraph:
    """A graph of the observations that are wanted, of what looks at the images, and of what gives the class."""
    graph = ModelGraph(classes=classes)
    if images is not None:
        graph.add("images", Observation(data.images, scale=1 / 255))
        graph.add("eye", images)
        graph.connect(graph.observations["images"].value, images.x)
    if sounds:
        assert isinstance(classes, MultimodalMixture)
        graph.add("sounds", Observation(data.sounds))
        graph.connect(graph.observations["sounds"].value, classes.w["sound"])
    return graph


def _mixture(data: Spoken, components: int = DIGITS) -> GMM:
    starts = 200 // components
    return GMM(components, starts=2 if data.quick else starts, concentration=len(data.labels) / components)


def _classes(data: Spoken, weight: float | None, starts: int = 8) -> MultimodalMixture:
    return MultimodalMixture(
        DIGITS,
        concentration=len(data.labels) / DIGITS,
        weights=None if weight is None else {"w.sound": weight},
        starts=2 if data.quick else starts,
    )


def _pca(data: Spoken) -> SklearnTransform:
    return SklearnTransform(PCA(n_components=18, random_state=0))


def _vae(data: Spoken) -> VAE:
    return VAE(
        latent_dim=18,
        hidden=(16,) if data.quick else (128,),
        batch_size=100,
        first_epochs=2 if data.quick else 40,
        epochs=1,
        kl_weight=Ramp(0.05, 1.0, rounds=10),
    )


def _seen(eye: Eye) -> OutPort:
    """Where the vectors come out."""
    return eye.y if isinstance(eye, SklearnTransform) else eye.z


def _alone(eye: Callable[[Spoken], Eye]) -> Callable[[Spoken], ModelGraph]:
    """A Gaussian mixture of the images."""

    def build(data: Spoken) -> ModelGraph:
        looking, mixture = eye(data), _mixture(data)
        graph = _graph(data, looking, False, mixture)
        graph.connect(_seen(looking), mixture.x)
        return graph

    return build


def _heard(weight: float | None) -> Callable[[Spoken], ModelGraph]:
    """A mixture of the sounds."""
    return lambda data: _graph(data, None, True, _classes(data, weight))


def _both(eye: Callable[[Spoken], Eye], weight: float | None) -> Callable[[Spoken], ModelGraph]:
    """One mixture of vectors and sounds."""

    def build(data: Spoken) -> ModelGraph:
        looking, classes = eye(data), _classes(data, weight)
        graph = _graph(data, looking, True, classes)
        graph.connect(_seen(looking), classes.v["image"])
        return graph

    return build


def _over(eye: Callable[[Spoken], Eye], weight: float | None) -> Callable[[Spoken], ModelGraph]:
    """A mixture of the images with a class of its own, finer than digits, under one of that class and of the sounds."""

    def build(data: Spoken) -> ModelGraph:
        looking, mixture, classes = eye(data), _mixture(data, SHAPES), _classes(data, weight, starts=16)
        graph = _graph(data, looking, True, classes)
        graph.add("mixture", mixture)
        graph.connect(_seen(looking), mixture.x)
        graph.connect(mixture.c, classes.x["image"])
        return graph

    return build


MODELS = (
    Model("pca-image", _alone(_pca)),
    Model("sound", _heard(WORD_WEIGHT)),
    Model("sound-untempered", _heard(None)),
    Model("pca-fusion", _both(_pca, WORD_WEIGHT), ("pca-image", "sound")),
    Model("pca-fusion-untempered", _both(_pca, None), ("pca-image", "sound-untempered")),
    Model("pca-classes", _over(_pca, WORD_WEIGHT), ("pca-image", "sound")),
    Model("vae-image", _alone(_vae), rounds=21),
    Model("vae-fusion", _both(_vae, WORD_WEIGHT), ("vae-image", "sound"), rounds=21),
    Model("vae-classes", _over(_vae, WORD_WEIGHT), ("vae-image", "sound"), rounds=21),
)


def write(folder: Path, output: Path, threads: int, quick: bool) -> None:
    """The report of all that lies in the folder."""
    outcomes = [Outcome(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    found = {model.name: [one for one in outcomes if one.model == model.name] for model in MODELS}
    rows = [_row(model, found) for model in MODELS if found[model.name]]
    title = "Spoken and written digits: both together, and each alone"
    notes = [
        "Accuracy is of 3,000 items under the best matching of classes and digits; mean and deviation over seeds.",
        "From images, from sounds: the class inferred from one of the two, by a model that learnt from both.",
        f"Sounds count {WORD_WEIGHT:g} times, as pairs of sounds that overlap are not independent; untempered: once.",
        "Margin: the mean accuracy less that of the better of its parts alone.",
        f"The reference of the field: {', '.join(f'{name} {value}' for name, value in REFERENCE.items())}.",
    ]
    table = Table("multimodal", title, rows, notes)
    facts = machine(threads)
    lines = [f"# {title}", "", *table.lines(), "", *(f"- {note}" for note in notes), *closing(facts, quick)]
    name = "multimodal-quick" if quick else "multimodal"
    content = {"benchmark": name, "machine": facts, "rows": rows, "runs": [asdict(one) for one in outcomes]}
    write_json(output / f"{name}.json", content)
    write_text(output / f"{name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def _row(model: Model, found: dict[str, list[Outcome]]) -> dict[str, Cell]:
    mine = found[model.name]
    reached = [one.accuracy for one in mine]
    parts = [mean(one.accuracy for one in found[part]) for part in model.parts if found[part]]
    return {
        "model": model.name,
        "accuracy": f"{mean(reached):.3f}" + (f" ± {stdev(reached):.3f}" if len(reached) > 1 else ""),
        "each seed": " ".join(f"{one:.3f}" for one in reached),
        "best part": f"{max(parts):.3f}" if parts else "",
        "margin": f"{mean(reached) - max(parts):+.3f}" if parts else "",
        "from images": _average([one.from_images for one in mine]),
        "from sounds": _average([one.from_sounds for one in mine]),
        "seconds": f"{mean(one.seconds for one in mine):.0f}",
    }


def _average(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.3f}" if known else ""


if __name__ == "__main__":
    sys.exit(main())
