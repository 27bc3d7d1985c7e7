"""MNIST, from disk or from the network, checked by checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from pgmgraph.datasets.digits import Digits
from pgmgraph.datasets.idx import decode_idx, read_content
from pgmgraph.errors import DataFileError

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

# MD5 of each file after decompression, so that it does not depend on how a mirror compressed it.
CHECKSUMS: Mapping[str, str] = {
    TRAIN_IMAGES: "6bbc9ace898e44ae57da46a324031adb",
    TRAIN_LABELS: "a25bea736e30d166cdddb491f175f624",
    TEST_IMAGES: "2646ac647ad5339dbf082846283269ea",
    TEST_LABELS: "27ae3e4e09519cfbb04c329615203637",
}

MIRRORS: tuple[str, ...] = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT_SECONDS = 10.0
CHUNK_BYTES = 1 << 16

# As people keep the files by hand, and as torchvision lays them out.
SUBFOLDERS = (".", "mnist", "MNIST/raw")


def load_mnist(data_dir: str | Path | None = None, *, download: bool = True) -> Digits:
    """MNIST: 60,000 training and 10,000 test images of 28 x 28 pixels (LeCun et al., 1998).

    The four files, each plain or `.gz`, are looked for in a folder itself, in its `mnist` and in its `MNIST/raw`.

    Args:
        data_dir: the only folder to look in; it is never written to. By default the folder that the environment
            variable PGMGRAPH_DATA names, then the user's cache folder, into which missing files are downloaded.
        download: whether the default may use the network.

    Raises:
        DataFileError: the files are nowhere and cannot be downloaded, or one of them is not MNIST's.
    """
    files = _given_files(Path(data_dir)) if data_dir is not None else _default_files(download)
    content = {name: _verified_content(name, path) for name, path in files.items()}
    train_images, train_labels, test_images, test_labels = (
        decode_idx(content[name], files[name]) for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    )
    _, height, width = train_images.shape
    return Digits(
        "mnist",
        train_images.reshape(-1, height * width).astype(np.uint8, copy=False),
        train_labels.astype(np.int64),
        test_images.reshape(-1, height * width).astype(np.uint8, copy=False),
        test_labels.astype(np.int64),
        image_shape=(height, width),
    )


def cache_folder() -> Path:
    """Where downloaded files are kept: the `pgmgraph/mnist` of this system's cache folder for the user."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pgmgraph" / "mnist"


def _places(folder: Path) -> list[Path]:
    return [folder / subfolder for subfolder in SUBFOLDERS]


def _find(places: Sequence[Path]) -> dict[str, Path]:
    """Those of the four files that are there; the first place wins, and plain wins over compressed."""
    found: dict[str, Path] = {}
    for name in CHECKSUMS:
        candidates = [place / f"{name}{suffix}" for place in places for suffix in ("", ".gz")]
        # Unlike Path.is_file, os.path.isfile takes a folder that we may not enter for one without the file.
        path = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)  # noqa: PTH113
        if path is not None:
            found[name] = path
    return found


def _given_files(folder: Path) -> dict[str, Path]:
    found = _find(_places(folder))
    if len(found) == len(CHECKSUMS):
        return found
    raise DataFileError(
        f"Expected the files of MNIST, plain or .gz, in {_listed(_places(folder))}; got no {_missing(found)}. "
        f"A data_dir that is given is only read: put the files there, or leave data_dir out to have them downloaded.",
        folder,
    )


def _default_files(download: bool) -> dict[str, Path]:
    cache = cache_folder()
    environment = os.environ.get("PGMGRAPH_DATA")
    given = _places(Path(environment)) if environment else []
    # A set is taken from one place as a whole: a half-empty folder is more likely a mistake than a wish to mix.
    found = _find(given)
    if len(found) == len(CHECKSUMS):
        return found
    found = _find([cache])
    if len(found) == len(CHECKSUMS):
        return found
    advice = "Put the files into one of these folders, or name their folder by data_dir or PGMGRAPH_DATA."
    looked = f"Expected the files of MNIST, plain or .gz, in {_listed([*given, cache])}"
    if not download:
        raise DataFileError(
            f"{looked}; got no {_missing(found)}, and download=False forbids to fetch them. {advice}", cache
        )
    causes = _download([name for name in CHECKSUMS if name not in found], cache)
    if causes:
        raise DataFileError(
            f"{looked}; got no {_missing(found)}, and the download failed: {'; '.join(causes)}. "
            f"Check the network. {advice}",
            cache,
        )
    return _find([cache])


def _listed(places: Sequence[Path]) -> str:
    return ", ".join(str(place) for place in places)


def _missing(found: Mapping[str, Path]) -> str:
    return ", ".join(name for name in CHECKSUMS if name not in found)


def _verified_content(name: str, path: Path) -> bytes:
    """The decompressed bytes of a file, which are those that MNIST was published with."""
    content = read_content(path)
    checksum = _checksum(content)
    if checksum != CHECKSUMS[name]:
        raise DataFileError(
            f"Expected MD5 {CHECKSUMS[name]} of the decompressed {path}; got {checksum}, so this is not MNIST's "
            f"{name}. Delete the file and load again, or fetch it anew.",
            path,
        )
    return content


def _checksum(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _download(names: Sequence[str], folder: Path) -> list[str]:
    """Fetch files into `folder`; what went wrong at each mirror for the first file that no mirror gave, or nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for name in names:
            causes = _fetch(name, folder, progress)
            if causes:
                return causes
    return []


def _fetch(name: str, folder: Path, progress: Progress) -> list[str]:
    """Fetch one file from the first mirror that gives it whole; else each mirror's reason."""
    causes = []
    for mirror in MIRRORS:
        url = f"{mirror}{name}.gz"
        task = progress.add_task(name, total=None)
        try:
            _fetch_from(url, name, folder, progress, task)
        except (OSError, http.client.HTTPException, DataFileError) as error:
            progress.remove_task(task)
            causes.append(f"{url}: {error}")
        else:
            return []
    return causes


def _fetch_from(url: str, name: str, folder: Path, progress: Progress, task: TaskID) -> None:
    """Download to a temporary file, verify it, and only then give it its name: nothing half-written is ever found."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    path = Path(temporary)
    try:
        with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length", "")
            announced = int(length) if length.isdecimal() else None
            progress.update(task, total=announced)
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                progress.advance(task, len(chunk))
        received = path.stat().st_size
        # http.client reports a connection that closed early only to those who read everything at once.
        if announced is not None and received != announced:
            raise DataFileError(f"the connection closed after {received} of {announced} bytes", path)
        checksum = _checksum(read_content(path))
        if checksum != CHECKSUMS[name]:
            raise DataFileError(f"its decompressed MD5 is {checksum}, not {CHECKSUMS[name]}", path)
        path.replace(folder / f"{name}.gz")
    finally:
        path.unlink(missing_ok=True)
