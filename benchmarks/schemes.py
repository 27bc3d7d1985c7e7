"""What `benchmarks.accuracy` compares, as data: a setting is images and a model, a scheme a way to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pgmgraph_modules.vae import Ramp

Arguments: TypeAlias = Mapping[str, Any]  # Any: whatever a constructor takes; the constructor checks it

Embedding: TypeAlias = Literal["none", "wired", "after", "start"]

COMPONENTS = 10


@dataclass(frozen=True)
class Scheme:
    """A way to learn, as it differs from the first scheme of its setting.

    Attributes:
        name: by which it is chosen, listed and filed.
        vae, gmm, fit: arguments in the place of the setting's, or beside them.
        backward: whether the mixture's messages reach the VAE.
        embedding: where a UMAP stands. "wired": between the VAE and the mixture, and nothing goes back; "after":
            in a second graph, with a mixture of its own, over what the first graph came to believe; "start": in a graph
            that learns first, whose partition the mixture of the joint graph starts from.
        peer: whether scikit-learn's mixture is fitted to the final latents as well.
    """

    name: str
    vae: Arguments = field(default_factory=dict)
    gmm: Arguments = field(default_factory=dict)
    fit: Arguments = field(default_factory=dict)
    backward: bool = True
    embedding: Embedding = "none"
    peer: bool = False


@dataclass(frozen=True)
class Setting:
    """Images to learn from, a model, and how long it learns.

    Attributes:
        name: by which it is chosen.
        title: what it is, in a line.
        images: "reference": the first 300 of each digit from image 5,000 on; a number: the first so many; None: all.
        vae, gmm, fit, umap: arguments that all its schemes share.
        schemes: what is compared.
        marks: accuracies to compare with, by what they are.
        bundled: whether the images are those that come with scikit-learn, 8 x 8, and not MNIST.
    """

    name: str
    title: str
    images: Literal["reference"] | int | None
    vae: Arguments
    gmm: Arguments
    fit: Arguments
    schemes: Sequence[Scheme]
    umap: Arguments = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)
    bundled: bool = False


@dataclass(frozen=True)
class Plan:
    """All that decides how a run ends, but for the code and the machine.

    Attributes:
        setting, scheme: their names.
        seed: what all randomness follows from.
        dataset, n: of which set, and how many images are learnt from.
        vae, gmm, fit, umap: the arguments, the setting's and the scheme's put together.
        backward, embedding, peer: see `Scheme`.
    """

    setting: str
    scheme: str
    seed: int
    dataset: str
    n: int
    vae: Arguments
    gmm: Arguments
    fit: Arguments
    umap: Arguments
    backward: bool
    embedding: Embedding
    peer: bool

    @property
    def name(self) -> str:
        """The run's name within its setting."""
        return f"{self.scheme}-{self.seed}"

    def recorded(self) -> dict[str, Any]:
        """The plan as JSON gives it back."""
        recorded = plain(asdict(self))
        assert isinstance(recorded, dict)
        return recorded


def plan(setting: Setting, scheme: Scheme, seed: int, dataset: str, n: int) -> Plan:
    """What is to be learnt from `n` images of `dataset`."""
    return Plan(
        setting=setting.name,
        scheme=scheme.name,
        seed=seed,
        dataset=dataset,
        n=n,
        vae={**setting.vae, **scheme.vae},
        # Classes of about one size, an assumption as firm as the data.
        gmm={"components": COMPONENTS, "concentration": n / COMPONENTS, **setting.gmm, **scheme.gmm},
        fit={**setting.fit, **scheme.fit},
        umap=setting.umap if scheme.embedding != "none" else {},
        backward=scheme.backward,
        embedding=scheme.embedding,
        peer=scheme.peer,
    )


def quick(setting: Setting) -> Setting:
    """The same in tiny: shows that it runs."""
    tiny = {"latent_dim": 3, "batch_size": 64, "first_epochs": 2, "epochs": 1}
    schemes = [
        replace(
            scheme,
            vae={name: value for name, value in scheme.vae.items() if name not in tiny},
            fit={name: min(value, 2) if isinstance(value, int) else value for name, value in scheme.fit.items()},
        )
        for scheme in setting.schemes
    ]
    return replace(
        setting,
        name=f"{setting.name}-quick",
        images=200,
        vae={**setting.vae, **tiny, "hidden": (16,)},
        gmm={**setting.gmm, "starts": 2},
        fit={**setting.fit, "rounds": 2},
        umap={**setting.umap, "n_components": 2, "n_neighbors": 5, "n_epochs": 10},
        schemes=schemes,
        bundled=True,
    )


def plain(value: object) -> object:
    """A value as JSON gives it back: tuples as lists, a `Ramp` as a dictionary."""
    match value:
        case Mapping():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case Ramp():
            return asdict(value)
        case _:
            return value


# How the mixture and the VAE talk.
EXPECTED = Scheme("expected", peer=True)
CONTROL = Scheme("control", backward=False, peer=True)
MIXTURE = Scheme("mixture", gmm={"message": "mixture"})
MESSAGES = (
    EXPECTED,
    CONTROL,
    MIXTURE,
    Scheme("component", gmm={"message": "component"}),
    Scheme("mean", gmm={"message": "mean"}),
    Scheme("mean-up", vae={"send": "mean"}),
    Scheme("sample-up", vae={"send": "sample"}),
)

# Ways out of a bad start. Beginnings differ by their mixtures' starts, so each takes one.
RESTARTS = Scheme("restarts", gmm={"starts": 1}, fit={"restarts": 5})
WAYS_OUT = (
    Scheme("one-start", gmm={"starts": 1}),
    RESTARTS,
    Scheme("flat", gmm={"concentration": 1.0}),
    Scheme("flat-one-start", gmm={"concentration": 1.0, "starts": 1}),
    Scheme("flat-restarts", gmm={"concentration": 1.0, "starts": 1}, fit={"restarts": 5}),
    Scheme("moves", gmm={"moves": 2}),
    Scheme("flat-moves", gmm={"concentration": 1.0, "moves": 2}),
    Scheme("gibbs", gmm={"inference": "gibbs"}),
    Scheme("svi", gmm={"inference": "svi"}),
)

# A KL weight that starts low and rises, over rounds of one epoch.
GENTLE = {"batch_size": 100, "first_epochs": 40, "epochs": 1, "kl_weight": Ramp(0.05, 1.0, rounds=10)}


def gently(scheme: Scheme) -> Scheme:
    """The scheme with a KL weight that starts low."""
    return replace(scheme, name=f"gently-{scheme.name}", vae={**GENTLE, **scheme.vae}, fit={"rounds": 41, **scheme.fit})


DIGITS3000 = Setting(
    name="digits3000",
    title="3,000 digits, 784-128-18, five rounds of 200 epochs, or gently 41 of one",
    images="reference",
    vae={"latent_dim": 18, "hidden": (128,), "batch_size": 500, "first_epochs": 200, "epochs": 200},
    gmm={"starts": 20},
    fit={"rounds": 5},
    marks={"best of the reference": 0.716, "aim": 0.80},
    schemes=(EXPECTED, CONTROL, MIXTURE, *(gently(scheme) for scheme in (*MESSAGES, *WAYS_OUT))),
)

MNIST10K = Setting(
    name="mnist10k",
    title="10,000 digits, 784-500-500-10: ways out of a bad start",
    images=10_000,
    vae={
        "latent_dim": 10,
        "hidden": (500, 500),
        "batch_size": 128,
        "first_epochs": 15,
        "kl_weight": Ramp(0.05, 1.0, rounds=10),
        "precision": "bf16",
    },
    gmm={"starts": 20},
    fit={"rounds": 26},
    schemes=(
        EXPECTED,
        CONTROL,
        MIXTURE,
        *WAYS_OUT,
        Scheme("weight-1", vae={"kl_weight": 1.0}),
        Scheme("long-first", vae={"first_epochs": 45}),
        Scheme("conv", vae={"architecture": "conv", "hidden": None}),
    ),
)

MNIST = Setting(
    name="mnist",
    title="60,000 digits, 784-500-500-2000-10",
    images=None,
    vae={
        "latent_dim": 10,
        "hidden": (500, 500, 2000),
        "batch_size": 256,
        "first_epochs": 26,
        "kl_weight": Ramp(0.05, 1.0, rounds=10),
        "precision": "bf16",
    },
    gmm={"starts": 20},
    fit={"rounds": 41},
    umap={"n_components": 10, "n_neighbors": 20, "min_dist": 0.0, "n_jobs": 1},
    marks={"best published run of VaDE": 0.9446, "aim": 0.96},
    schemes=(
        EXPECTED,
        CONTROL,
        MIXTURE,
        RESTARTS,
        Scheme("flat", gmm={"concentration": 1.0}),
        Scheme("moves", gmm={"moves": 2}),
        Scheme("long-first", vae={"first_epochs": 78}),
        Scheme("weight-1", vae={"kl_weight": 1.0}),
        Scheme("conv", vae={"architecture": "conv", "hidden": None}),
        Scheme("umap-start", fit={"rounds": 20}, embedding="start"),
        Scheme("umap-start-fitted", gmm={"prior": "fitted"}, fit={"rounds": 20}, embedding="start"),
    ),
)

# The first learning is that of `mnist`, and so is learnt once for both.
BEST = replace(
    MNIST,
    name="best",
    title="60,000 digits, 784-500-500-2000-10, UMAP",
    marks={"published, autoencoder and UMAP (N2D)": 0.979, "aim": 0.98},
    schemes=(
        Scheme("umap", fit={"rounds": 1}, embedding="wired", peer=True),
        Scheme("umap-fitted", gmm={"prior": "fitted"}, fit={"rounds": 1}, embedding="wired"),
        Scheme("umap-long", vae={"first_epochs": 78}, gmm={"prior": "fitted"}, fit={"rounds": 1}, embedding="wired"),
        Scheme("umap-after", embedding="after", peer=True),
        Scheme("control", backward=False, peer=True),
    ),
)

SETTINGS = {setting.name: setting for setting in (DIGITS3000, MNIST10K, MNIST, BEST)}
