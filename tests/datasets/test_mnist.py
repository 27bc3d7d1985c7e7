"""MNIST is found, fetched and checked; what goes wrong is said, and leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pgmgraph.datasets import Digits, load_mnist, mnist
from pgmgraph.errors import DataFileError


def encode(values: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of an IDX file that holds `values`."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 0x08, values.ndim, *values.shape) + values.tobytes()


RANDOM = np.random.default_rng(0)
ARRAYS = {
    mnist.TRAIN_IMAGES: RANDOM.integers(0, 256, (6, 3, 2), dtype=np.uint8),
    mnist.TRAIN_LABELS: RANDOM.integers(0, 10, 6, dtype=np.uint8),
    mnist.TEST_IMAGES: RANDOM.integers(0, 256, (4, 3, 2), dtype=np.uint8),
    mnist.TEST_LABELS: RANDOM.integers(0, 10, 4, dtype=np.uint8),
}


@pytest.fixture(autouse=True)
def made_up_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums of small made-up files, an empty cache, and no mirror unless a test gives one."""
    sums = {name: hashlib.md5(encode(array)).hexdigest() for name, array in ARRAYS.items()}
    monkeypatch.setattr(mnist, "CHECKSUMS", sums)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("PGMGRAPH_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def write(folder: Path, *, compressed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ARRAYS.items():
        content = encode(array)
        path = folder / (f"{name}.gz" if compressed else name)
        path.write_bytes(gzip.compress(content) if compressed else content)


def assert_is_made_up(digits: Digits) -> None:
    assert digits.name == "mnist"
    assert digits.image_shape == (3, 2)
    np.testing.assert_array_equal(digits.train_images, ARRAYS[mnist.TRAIN_IMAGES].reshape(6, 6))
    np.testing.assert_array_equal(digits.train_labels, ARRAYS[mnist.TRAIN_LABELS])
    np.testing.assert_array_equal(digits.test_images, ARRAYS[mnist.TEST_IMAGES].reshape(4, 6))
    np.testing.assert_array_equal(digits.test_labels, ARRAYS[mnist.TEST_LABELS])
    assert digits.train_images.dtype == np.uint8
    assert digits.train_labels.dtype == np.int64


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class BreakingOff(BaseHTTPRequestHandler):
    """Announces 1,000 bytes and sends ten."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b" + b"0" * 8)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return tmp_path / "served"


@pytest.fixture
def mirror(served: Path) -> Iterator[str]:
    write(served, compressed=True)
    yield from serving(partial(QuietFiles, directory=str(served)))


@pytest.fixture
def breaking_mirror() -> Iterator[str]:
    yield from serving(BreakingOff)


@pytest.fixture
def dead_mirror() -> str:
    """The address of a port that was free a moment ago: nobody listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


@pytest.mark.parametrize("subfolder", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("by_environment", [False, True])
def test_files_are_found_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str, compressed: bool, by_environment: bool
) -> None:
    write(tmp_path / "data" / subfolder, compressed=compressed)
    if by_environment:
        monkeypatch.setenv("PGMGRAPH_DATA", str(tmp_path / "data"))
        assert_is_made_up(load_mnist(download=False))
    else:
        assert_is_made_up(load_mnist(str(tmp_path / "data")))


def test_the_cache_is_used_where_the_environment_variable_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "cache", compressed=True)
    monkeypatch.setenv("PGMGRAPH_DATA", str(tmp_path / "nowhere"))
    assert_is_made_up(load_mnist(download=False))


def test_a_given_folder_is_never_downloaded_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    folder = tmp_path / "data"
    write(folder)
    (folder / mnist.TEST_IMAGES).unlink()
    with pytest.raises(DataFileError, match=rf"MNIST/raw; got no {mnist.TEST_IMAGES}\. .* only read") as caught:
        load_mnist(folder)
    assert caught.value.path == folder
    assert not (folder / f"{mnist.TEST_IMAGES}.gz").exists()
    assert not (tmp_path / "cache").exists()


def test_every_place_is_named_where_downloading_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGMGRAPH_DATA", str(tmp_path / "data"))
    with pytest.raises(DataFileError, match="download=False") as caught:
        load_mnist(download=False)
    for place in (tmp_path / "data", tmp_path / "data/mnist", tmp_path / "data/MNIST/raw", tmp_path / "cache"):
        assert str(place) in str(caught.value)


def test_a_file_with_another_checksum_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / mnist.TEST_LABELS).write_bytes(encode(np.zeros(4, dtype=np.uint8)))
    with pytest.raises(DataFileError, match="Delete the file") as caught:
        load_mnist(tmp_path)
    wrong = hashlib.md5(encode(np.zeros(4, dtype=np.uint8))).hexdigest()
    assert caught.value.path == tmp_path / mnist.TEST_LABELS
    assert mnist.CHECKSUMS[mnist.TEST_LABELS] in str(caught.value)
    assert wrong in str(caught.value)


def test_download_fills_the_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    assert_is_made_up(load_mnist())
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(f"{name}.gz" for name in ARRAYS)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    assert_is_made_up(load_mnist())


def test_only_missing_files_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    write(tmp_path / "cache")
    (tmp_path / "cache" / mnist.TEST_LABELS).unlink()
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    assert_is_made_up(load_mnist())
    assert [path.name for path in (tmp_path / "cache").glob("*.gz")] == [f"{mnist.TEST_LABELS}.gz"]


def test_the_second_mirror_serves_where_the_first_fails(
    monkeypatch: pytest.MonkeyPatch, dead_mirror: str, breaking_mirror: str, mirror: str
) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (dead_mirror, breaking_mirror, mirror))
    assert_is_made_up(load_mnist())


def assert_download_fails(tmp_path: Path, said: str) -> None:
    with pytest.raises(DataFileError, match=f"the download failed: .*{said}") as caught:
        load_mnist()
    assert str(tmp_path / "cache") in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_with_a_wrong_checksum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Path, mirror: str
) -> None:
    (served / f"{mnist.TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"forged"))
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    assert_download_fails(tmp_path, f"{hashlib.md5(b'forged').hexdigest()}, not {mnist.CHECKSUMS[mnist.TRAIN_IMAGES]}")


def test_a_download_of_a_corrupt_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Path, mirror: str
) -> None:
    (served / f"{mnist.TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"half a file")[:-9])
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    assert_download_fails(tmp_path, "whole gzip file")


def test_a_refused_connection_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead_mirror: str) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (dead_mirror,))
    assert_download_fails(tmp_path, "refused")


def test_an_unknown_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Path, mirror: str) -> None:
    (served / f"{mnist.TRAIN_IMAGES}.gz").unlink()
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    assert_download_fails(tmp_path, "404")


def test_an_interrupted_download_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaking_mirror: str
) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (breaking_mirror,))
    assert_download_fails(tmp_path, "closed after 10 of 1000 bytes")


def test_an_unwritable_cache_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    with pytest.raises(DataFileError, match=r"the download failed: .*File exists"):
        load_mnist()


@pytest.mark.parametrize(
    ("platform", "variable", "end"),
    [("linux", "XDG_CACHE_HOME", "pgmgraph/mnist"), ("win32", "LOCALAPPDATA", "pgmgraph/mnist")],
)
def test_the_cache_follows_the_system(monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, end: str) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, "/somewhere")
    assert mnist.cache_folder() == Path("/somewhere") / end


def test_the_cache_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("sys.platform", "darwin")
    assert mnist.cache_folder() == Path.home() / "Library/Caches/pgmgraph/mnist"


REAL = os.environ.get("PGMGRAPH_DATA")


@pytest.mark.skipif(REAL is None, reason="the real MNIST is read only where PGMGRAPH_DATA names its folder")
def test_the_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    try:
        digits = load_mnist(REAL)
    except DataFileError as error:
        if error.path != Path(str(REAL)):
            raise
        pytest.skip(f"PGMGRAPH_DATA has no MNIST: {error}")
    assert digits.train_images.shape == (60_000, 784)
    assert digits.test_images.shape == (10_000, 784)
    assert digits.image_shape == (28, 28)
    assert digits.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    np.testing.assert_array_equal(np.bincount(digits.test_labels)[:3], [980, 1135, 1032])
