"""What TensorBoard reads of a run is what the run was; a board that fails changes nothing."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format  # type: ignore[import-untyped]
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig  # type: ignore[import-untyped]

from pgmgraph import FitResult, ModelGraph, Observation, Progress, RoundStarted, Scores, fit, generate
from pgmgraph.errors import DataError
from pgmgraph.events import Event
from pgmgraph.learning import Watcher
from pgmgraph.messages import Gaussian
from pgmgraph.trackers import TensorBoard
from pgmgraph.trackers.pictures import as_grey, tiled
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import intensities

ROWS, SHAPE = 40, (2, 4)
LABELS = torch.arange(ROWS) % 2


class At:
    """Does something when a round starts."""

    def __init__(self, round: int, action: Callable[[], None]) -> None:
        self.round, self.action = round, action

    def __call__(self, event: Event) -> None:
        if isinstance(event, RoundStarted) and event.round == self.round:
            self.action()


def model(missing: Sequence[int] = ()) -> tuple[ModelGraph, GMM]:
    mask = torch.zeros(ROWS, dtype=torch.bool)
    mask[list(missing)] = True
    pixels = Observation(intensities(ROWS, 8), missing=mask)
    vae, gmm = VAE(2, hidden=(8,), epochs=1, batch_size=20), GMM(3, starts=1)
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph, gmm


def learnt(*watchers: Watcher, rounds: int = 3, missing: Sequence[int] = ()) -> FitResult:
    graph, gmm = model(missing)
    return fit(graph, rounds=rounds, callbacks=[Scores(gmm.c, LABELS), *watchers])


def means(result: FitResult) -> torch.Tensor:
    belief = result.beliefs["vae.z"]
    assert isinstance(belief, Gaussian)
    return belief.mean


def same(one: FitResult, other: FitResult) -> bool:
    columns = one.history.keys() - {"seconds"}
    return torch.equal(means(one), means(other)) and all(one.history[name] == other.history[name] for name in columns)


def read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def embeddings(folder: Path) -> Mapping[str, ProjectorConfig]:
    """What the projector shows, by the name that it shows it under."""
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    return {info.tensor_name: info for info in config.embeddings}


def test_scalars_are_the_history(tmp_path: Path) -> None:
    result = learnt(TensorBoard(tmp_path))
    board = read(tmp_path)
    assert {"vae/loss", "seconds/vae", "seconds/gmm"} <= set(board.Tags()["scalars"])
    for name, column in result.history.items():
        expected = [(round, np.float32(value)) for round, value in enumerate(column) if value is not None]
        assert [(event.step, event.value) for event in board.Scalars(name)] == expected
    assert not (tmp_path / "projector_config.pbtxt").exists()


def test_a_second_fit_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    graph, _ = model()
    board = TensorBoard(tmp_path)
    histories = [fit(graph, rounds=2, callbacks=[board]).history["F"] for _ in range(2)]
    expected = list(enumerate(np.float32(value) for column in histories for value in column if value is not None))
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("F")] == expected


def test_a_resumed_run_takes_over_where_its_checkpoint_is(tmp_path: Path) -> None:
    def go_on(rounds: int, resume: bool | str) -> list[float | None]:
        graph, _ = model()
        board = TensorBoard(tmp_path / "board", embedding="vae.z", every=2)
        return fit(
            graph, rounds=rounds, run_dir=tmp_path / "run", resume=resume, report=False, callbacks=[board]
        ).history["F"]

    go_on(4, resume=False)
    shutil.rmtree(sorted((tmp_path / "run" / "checkpoints").glob("*"))[-1])
    history = go_on(6, resume=True)
    assert [(event.step, event.value) for event in read(tmp_path / "board").Scalars("F")] == [
        (round, np.float32(value)) for round, value in enumerate(history) if value is not None
    ]
    assert list(embeddings(tmp_path / "board")) == [f"vae.z {round:05d}" for round in (0, 2, 3, 4, 5)]


def test_the_latent_is_in_the_projector(tmp_path: Path) -> None:
    thumbnails = np.arange(ROWS * 8, dtype=np.uint8).reshape(ROWS, 8) % 251
    board = TensorBoard(
        tmp_path, embedding="vae.z", labels=LABELS, thumbnails=thumbnails, image_shape=SHAPE, every=2, items=10
    )
    result = learnt(board, rounds=4, missing=[0, 5])
    shown = embeddings(tmp_path)
    assert list(shown) == ["vae.z 00000", "vae.z 00002", "vae.z 00003"], "every two rounds, and the last one"
    last = shown["vae.z 00003"]
    vectors = np.loadtxt(tmp_path / last.tensor_path)
    items = [row for row in range(ROWS) if row not in (0, 5)]
    present = means(result)[items].numpy()
    rows = [int(np.abs(present - vector).sum(1).argmin()) for vector in vectors]
    assert len(rows) == 10
    assert rows[0] == 0
    assert rows[-1] == len(present) - 1
    np.testing.assert_allclose(vectors, present[rows], rtol=1e-6)
    kept = [items[row] for row in rows]
    assert (tmp_path / last.metadata_path).read_text().split() == [str(int(LABELS[row])) for row in kept]
    sprite = np.asarray(Image.open(tmp_path / last.sprite.image_path))
    first = thumbnails[kept[0]].reshape(SHAPE)
    assert np.array_equal(sprite[: SHAPE[0], : SHAPE[1]], first)


def test_images_are_what_generate_draws(tmp_path: Path) -> None:
    graph, _ = model()
    fit(graph, rounds=3, callbacks=[TensorBoard(tmp_path, images="gmm.c", image_shape=SHAPE, every=2)])
    images = read(tmp_path).Images("gmm.c/pixels")
    assert [image.step for image in images] == [0, 2]
    drawn = generate(graph, {"gmm.c": torch.arange(3).repeat_interleave(8)}, n=24)["pixels"]
    last = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)))
    assert np.array_equal(last, tiled(as_grey(drawn, SHAPE), 8))


def test_who_looks_changes_nothing_and_hears_of_progress(tmp_path: Path) -> None:
    heard: list[Event] = []
    board = TensorBoard(tmp_path, embedding="vae.z", images="gmm.c", image_shape=SHAPE, every=1)
    assert same(learnt(board, heard.append), learnt())
    reported = [(event.round, event.module) for event in heard if isinstance(event, Progress)]
    assert {round for round, module in reported if module == "vae"} == {0, 1, 2}


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "board"
    gone = At(1, lambda: shutil.rmtree(folder))
    with pytest.warns(UserWarning, match=r"TensorBoard failed .* FileNotFoundError") as caught:
        result = learnt(gone, TensorBoard(folder))
    assert len(caught) == 1
    assert same(result, learnt())


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: it is refused in the same place, by the same call."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = At(1, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1])))
    try:
        with pytest.warns(UserWarning, match=r"TensorBoard failed .* OSError: .*File too large") as caught:
            result = learnt(fill, TensorBoard(tmp_path), rounds=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(caught) == 1
    assert same(result, learnt(rounds=8))
    whole = read(tmp_path).Scalars("F")
    column = [value for value in result.history["F"] if value is not None]
    assert 0 < len(whole) < len(column)
    assert [event.value for event in whole] == [np.float32(value) for value in column[: len(whole)]]


@pytest.mark.parametrize(
    ("board", "cause"),
    [
        ({"embedding": "vae.zz"}, "No variable named 'vae.zz' to show. Did you mean 'vae.z'?"),
        ({"embedding": "vae.z", "labels": [1, 2]}, "Expected 40 labels"),
        ({"images": "vae.z", "image_shape": SHAPE}, "Expected a discrete variable"),
    ],
)
def test_what_does_not_fit_the_graph_is_a_failure(board: dict[str, object], cause: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="TensorBoard failed") as caught:
        result = learnt(TensorBoard(tmp_path, **board))  # type: ignore[arg-type]
    assert cause in str(caught[0].message)
    assert same(result, learnt())


def test_what_is_wrong_at_once_is_refused_at_once(tmp_path: Path) -> None:
    with refused(DataError, "every and items of at least 1", "0"):
        TensorBoard(tmp_path, every=0)
    with refused(DataError, "embedding", "labels or thumbnails"):
        TensorBoard(tmp_path, labels=LABELS)
    with refused(DataError, "(N, H, W)", "(1, 8)", "image_shape"):
        TensorBoard(tmp_path, embedding="vae.z", thumbnails=np.zeros((ROWS, 8)))


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with refused(ModuleNotFoundError, 'pip install "pgmgraph[tensorboard]"'):
        TensorBoard(tmp_path)
