"""A VAE and a Gaussian mixture learn MNIST's digits together, beside the same model without messages back.

Run it: python examples/vae_gmm_mnist.py --help
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from pgmgraph import (
    Categorical,
    FitResult,
    Gaussian,
    Message,
    ModelGraph,
    Observation,
    Point,
    ProgressDisplay,
    Scores,
    accuracy,
    fit,
    generate,
    infer,
)
from pgmgraph.datasets import Digits, load_bundled_digits, load_mnist
from pgmgraph.errors import DataFileError, OutputError, PgmgraphError
from pgmgraph.plotting import curves_figure, image_grid, latent_figure, project, reconstruction_figure, save
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp


@dataclass(frozen=True)
class Preset:
    """How much is learnt from how many images."""

    images: int | None
    latent_dim: int
    hidden: tuple[int, ...]
    batch_size: int
    first_epochs: int
    epochs: int
    kl_weight: float | Ramp
    rounds: int
    starts: int = 20
    lr: float = 1e-3
    components: int = 10


PRESETS = {
    "quick": Preset(
        images=10_000,
        latent_dim=10,
        hidden=(500, 500),
        batch_size=100,
        first_epochs=20,
        epochs=1,
        kl_weight=Ramp(0.05, 1.0, rounds=5),
        rounds=21,
    ),
    "serket": Preset(
        images=3_000,
        latent_dim=18,
        hidden=(128,),
        batch_size=500,
        first_epochs=200,
        epochs=200,
        kl_weight=1.0,
        rounds=5,
    ),
    "full": Preset(
        images=None,
        latent_dim=10,
        hidden=(500, 500, 2000),
        batch_size=256,
        first_epochs=25,
        epochs=1,
        kl_weight=Ramp(0.05, 1.0, rounds=10),
        rounds=41,
    ),
}


class FirstRound:
    """Keeps what was believed at the end of the first round, before any message went back."""

    def __init__(self) -> None:
        self.beliefs: dict[str, Message] = {}

    def score(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> dict[str, float]:
        """No score, only a look."""
        self.beliefs = self.beliefs or dict(beliefs)
        return {}


@dataclass(frozen=True)
class Run:
    """One model, learnt."""

    graph: ModelGraph
    gmm: GMM
    result: FitResult
    first: Mapping[str, Message]


def learn(digits: Digits, preset: Preset, arguments: argparse.Namespace, console: Console, *, backward: bool) -> Run:
    """Build the graph and let it learn, with or without messages from the mixture back to the VAE."""
    pixels = Observation(digits.train_images, scale=1 / 255)
    vae = VAE(
        preset.latent_dim,
        hidden=preset.hidden,
        first_epochs=preset.first_epochs,
        epochs=preset.epochs,
        batch_size=preset.batch_size,
        lr=preset.lr,
        kl_weight=preset.kl_weight,
    )
    # Classes of about one size, an assumption as firm as the data: it keeps the best bound from going to a
    # start that merges two digits and splits a third.
    concentration = len(digits.train_images) / preset.components
    gmm = GMM(preset.components, starts=preset.starts, concentration=concentration)
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x, backward=backward)
    first = FirstRound()
    title = "mutual learning" if backward else "no messages back"
    result = fit(
        graph,
        rounds=preset.rounds,
        seed=arguments.seed,
        device=arguments.device,
        callbacks=[Scores(gmm.c, digits.train_labels), first, ProgressDisplay(title, console=console)],
    )
    return Run(graph, gmm, result, first.beliefs)


def main() -> int:
    """Load, learn, tabulate, draw."""
    arguments = parse_arguments()
    console = Console()
    try:
        prepare_folder(arguments.out)
        preset = PRESETS[arguments.preset]
        digits = prepare_digits(arguments, preset, console)
        runs = {"mutual": learn(digits, preset, arguments, console, backward=True)}
        if arguments.control:
            runs["no messages"] = learn(digits, preset, arguments, console, backward=False)
        console.print(table(runs))
        unseen = held_out(runs, digits)
        for name, score in unseen.items():
            console.print(f"accuracy on {len(digits.test_labels):,} images it never saw, {name}: {score:.3f}")
        write_results(runs, unseen, digits, arguments)
        draw(runs, digits, arguments, console)
    except PgmgraphError as error:
        console.print(f"[bold red]error:[/] {error}", highlight=False)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="quick",
        help="quick: 10,000 images, about two minutes on two cores; serket: 3,000 images, five rounds of 200 epochs; "
        "full: 60,000 images, deep networks, 41 rounds",
    )
    parser.add_argument("--seed", type=int, default=0, help="what all randomness follows from")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument("--out", type=Path, default=Path("out/vae_gmm_mnist"), help="folder for pictures and results")
    parser.add_argument(
        "--dataset",
        choices=("auto", "mnist", "digits"),
        default="auto",
        help="auto: MNIST, or scikit-learn's bundled digits where MNIST is not to be had",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=None,
        help="folder with MNIST's four IDX files; without it $PGMGRAPH_DATA, then the user's cache, then a download",
    )
    parser.add_argument(
        "--control",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also learn the same model without messages back",
    )
    arguments = parser.parse_args()
    if arguments.seed < 0:
        parser.error(f"Expected a seed of at least 0; got {arguments.seed}.")
    return arguments


def prepare_folder(folder: Path) -> None:
    """Make the output folder now, so that nothing is learnt in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"Cannot write to {folder}: {error.strerror}. Choose another folder with --out."
        raise OutputError(message, folder) from error


def prepare_digits(arguments: argparse.Namespace, preset: Preset, console: Console) -> Digits:
    """The images to learn from, and those that are held out."""
    digits = load_digits(arguments, console)
    rows = np.arange(len(digits.train_labels))
    if arguments.preset == "serket" and digits.name == "mnist":
        # The reference's 3,000: the first 300 of each digit from image 5,000 on, 0 to 9 in turn.
        later = rows[5_000:]
        rows = np.stack([later[digits.train_labels[later] == digit][:300] for digit in range(10)], 1).ravel()
    rows = rows[: preset.images]
    console.print(
        f"{digits.name}: {len(rows):,} images to learn from, {len(digits.test_labels):,} held out; "
        f"preset {arguments.preset}, seed {arguments.seed}",
        highlight=False,
    )
    return replace(digits, train_images=digits.train_images[rows], train_labels=digits.train_labels[rows])


def load_digits(arguments: argparse.Namespace, console: Console) -> Digits:
    """MNIST; or, where it is not to be had and was not asked for by name, the bundled digits."""
    if arguments.dataset == "digits":
        return load_bundled_digits()
    try:
        return load_mnist(arguments.data_dir)
    except DataFileError:
        if arguments.dataset == "mnist" or arguments.data_dir is not None:
            raise
        console.print("No MNIST here, and no download: learning scikit-learn's bundled 8 x 8 digits instead.")
        return load_bundled_digits()


def table(runs: Mapping[str, Run]) -> Table:
    """Scores and F by round, one group of columns for each model; about a dozen of the rounds."""
    grid = Table(title="by round", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("round", justify="right", no_wrap=True)
    for name in runs:
        title = name.replace(" ", "\n")  # two words one above the other leave room for F
        for column in (f"{title}\naccuracy", "NMI", "ARI", "F"):
            grid.add_column(column, justify="right", no_wrap=True, vertical="bottom")
    rounds = max(run.result.rounds for run in runs.values())
    for round in sorted({int(number) for number in np.linspace(0, rounds - 1, min(rounds, 12))}):
        cells = [str(round + 1)]
        for run in runs.values():
            history = run.result.history
            cells += [f"{history[column][round]:.3f}" for column in ("accuracy", "nmi", "ari")]
            cells.append(f"{history['F'][round]:,.0f}")
        grid.add_row(*cells)
    return grid


def held_out(runs: Mapping[str, Run], digits: Digits) -> dict[str, float]:
    """The accuracy of each model on images that it never saw."""
    scores = {}
    for name, run in runs.items():
        belief = infer(run.graph, {"pixels": digits.test_images})["gmm.c"]
        scores[name] = accuracy(clusters(belief), digits.test_labels)
    return scores


def write_results(
    runs: Mapping[str, Run], unseen: Mapping[str, float], digits: Digits, arguments: argparse.Namespace
) -> None:
    """Everything that the table and the curves show, for programs."""
    results = {
        "preset": arguments.preset,
        "seed": arguments.seed,
        "dataset": digits.name,
        "images": len(digits.train_labels),
        "test_accuracy": unseen,
        "history": {name: run.result.history for name, run in runs.items()},
    }
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1))


def draw(runs: Mapping[str, Run], digits: Digits, arguments: argparse.Namespace, console: Console) -> None:
    """The pictures, each named as it is written."""
    mutual = runs["mutual"]
    names = [str(digit) for digit in range(10)]
    after: Sequence[tuple[str, Mapping[str, Message]]] = [
        (f"{name}, round {run.result.rounds}", run.result.beliefs) for name, run in runs.items()
    ]
    stages = [("before: round 1", mutual.first), *after]
    paths = []
    for method in ("pca", "tsne"):
        panels = {}
        for title, beliefs in stages:
            points, rows = project(means(beliefs["vae.z"]), method, seed=arguments.seed)
            score = accuracy(clusters(beliefs["gmm.c"]), digits.train_labels)
            panels[f"{title}\naccuracy {score:.3f}"] = (points, digits.train_labels[rows])
        label = "PCA" if method == "pca" else "t-SNE"
        figure = latent_figure(panels, f"Latent space by {label}, coloured by digit", names=names)
        paths.append(save(figure, arguments.out / f"latent_{method}.png"))
    curves = {column: {name: run.result.history[column] for name, run in runs.items()} for column in ("F", "accuracy")}
    paths.append(save(curves_figure(curves, "Learning, round by round"), arguments.out / "curves.png"))
    paths.append(draw_components(mutual, digits, arguments.out / "components.png"))
    seen = digits.test_images[:24]
    rebuilt = infer(mutual.graph, {"pixels": seen}, predict=["pixels"])["pixels"]
    assert isinstance(rebuilt, Point)
    figure = reconstruction_figure(
        seen / 255, rebuilt.value, digits.image_shape, "Images it never saw, and their reconstructions"
    )
    paths.append(save(figure, arguments.out / "reconstructions.png"))
    console.print("pictures:", *(f"\n  {path}" for path in paths), highlight=False)


def draw_components(run: Run, digits: Digits, path: Path) -> Path:
    """Images decoded from samples of each component, the heaviest first."""
    weights = run.gmm.weights.cpu().numpy()
    order = np.argsort(-weights)
    rows = [generate(run.graph, {"gmm.c": int(k)}, n=12, seed=int(k))["pixels"].cpu().numpy() for k in order]
    figure = image_grid(
        np.stack(rows),
        digits.image_shape,
        row_labels=[f"component {k}" for k in order],
        title="Images decoded from samples of each component",
        row_notes=[f"weight {weights[k]:.3f}" for k in order],
    )
    return save(figure, path)


def means(belief: Message) -> NDArray[np.float64]:
    """The means of a Gaussian belief."""
    assert isinstance(belief, Gaussian)
    array: NDArray[np.float64] = belief.mean.double().cpu().numpy()
    return array


def clusters(belief: Message) -> NDArray[np.int64]:
    """The most probable component of each item."""
    assert isinstance(belief, Categorical)
    array: NDArray[np.int64] = belief.most_probable().cpu().numpy()
    return array


if __name__ == "__main__":
    sys.exit(main())
