"""Small valid data files of every kind, and what they hold; and the same with damage done to them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet as pq
from scipy import sparse

from pgmgraph.datasets import read_labels, read_values
from pgmgraph.errors import DataFileError

NUMBERS = np.arange(24, dtype=np.float64).reshape(6, 4) / 8 - 1
BYTES = (np.arange(6 * 8 * 8) * 7 % 256).astype(np.uint8).reshape(6, 8, 8)
COUNTS = np.arange(30).reshape(6, 5) * (np.arange(30).reshape(6, 5) % 4 == 1)
WORDS = ("fig", "ash", "oak", "ash", "fig", "elm")
CODES = [2, 0, 3, 0, 2, 1]  # of WORDS in alphabetical order


def npy(values: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def npz(members: Mapping[str, NDArray[np.generic]], *, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, values in members.items():
            archive.writestr(f"{name}.npy", npy(values))
    return file.getvalue()


def matrix(values: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    sparse.save_npz(file, sparse.csr_array(values))
    return file.getvalue()


def idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 0x08, values.ndim, *values.shape) + values.tobytes()


def text(
    values: NDArray[np.generic], delimiter: str = ",", header: str | None = None, words: tuple[str, ...] | None = None
) -> bytes:
    """A table as text; `words` is a last column."""
    rows = [[repr(float(value)) for value in row] for row in values]
    if words is not None:
        rows = [[*row, word] for row, word in zip(rows, words, strict=True)]
    lines = [delimiter.join(row) for row in rows]
    return "\n".join(([header] if header is not None else []) + lines + [""]).encode()


def parquet(columns: Mapping[str, object], **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def image(pixels: NDArray[np.uint8], format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def _table_of_flowers() -> bytes:
    columns = {name: NUMBERS[:, place] for place, name in enumerate("abcd")}
    return parquet({**columns, "species": pa.array(WORDS).dictionary_encode()}, compression="snappy")


# By the name that each is written under; a file of an image is read as the folder that it is in.
FILES: Mapping[str, Callable[[], bytes]] = {
    "numbers.npy": lambda: npy(NUMBERS),
    "words.npy": lambda: npy(np.array(WORDS)),
    "numbers.npz": lambda: npz({"numbers": NUMBERS}),
    "squeezed.npz": lambda: npz({"numbers": NUMBERS}, compressed=True),
    "counts.npz": lambda: matrix(COUNTS),
    "images-idx3-ubyte": lambda: idx(BYTES),
    "images-idx3-ubyte.gz": lambda: gzip.compress(idx(BYTES), mtime=0),
    "numbers.csv": lambda: text(NUMBERS),
    "flowers.csv": lambda: text(NUMBERS, header="a,b,c,d,species", words=WORDS),
    "numbers.tsv": lambda: text(NUMBERS, delimiter="\t", header="a\tb\tc\td"),
    "numbers.csv.gz": lambda: gzip.compress(text(NUMBERS), mtime=0),
    "flowers.parquet": _table_of_flowers,
    "checked.parquet": lambda: parquet({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1]}, write_page_checksum=True),
    "lists.parquet": lambda: parquet({"pixels": list(BYTES.reshape(6, 64))}, compression="zstd"),
    "grey/0.png": lambda: image(BYTES[0]),
    "colour/0.png": lambda: image(np.stack([BYTES[0], BYTES[1], BYTES[2]], axis=-1)),
    "colour/0.jpg": lambda: image(np.stack([BYTES[0]] * 3, axis=-1), "JPEG"),
    "grey/0.gif": lambda: image(BYTES[0], "GIF"),
    "grey/0.bmp": lambda: image(BYTES[0], "BMP"),
    "grey/0.tiff": lambda: image(BYTES[0], "TIFF"),
    "colour/0.webp": lambda: image(np.stack([BYTES[0]] * 3, axis=-1), "WEBP"),
    "grey/0.pgm": lambda: image(BYTES[0], "PPM"),
}


def write(folder: Path, name: str, content: bytes) -> Path:
    """Write a file; the source that it is read by."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file if file.parent == folder else file.parent


def table(folder: Path, content: str) -> Path:
    """Write a table as text; its path."""
    return write(folder, "table.csv", content.encode())


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """With some bytes changed, cut off, taken out or put in."""
    damage = random.integers(5)
    changed = bytearray(content)
    place = int(random.integers(len(content)))
    if damage == 0:
        return content[:place]
    if damage == 1:
        del changed[place : place + int(random.integers(1, 9))]
    elif damage == 2:
        changed[place:place] = random.bytes(int(random.integers(1, 9)))
    elif damage == 3:
        # Headers are where the lies hurt most.
        changed[place % min(128, len(content))] = int(random.integers(256))
    else:
        for _ in range(int(random.integers(1, 5))):
            changed[int(random.integers(len(content)))] = int(random.integers(256))
    return bytes(changed)


def read_damaged(count: int, seed: int, folder: Path) -> Counter[str]:
    """Read `count` damaged files; how many were "refused", and how many "read".

    Whatever escapes that is no DataFileError passes through, with a note of the file that it came from.
    """
    random = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    whole = {name: make() for name, make in FILES.items()}
    names = list(FILES)
    for number in range(count):
        name = names[number % len(names)]
        content = damaged(whole[name], random)
        source = write(folder, name, content)
        for read in (read_values, read_labels):
            try:
                values = read(source)
            except DataFileError:
                outcomes["refused"] += 1
            except BaseException as error:
                error.add_note(f"{read.__name__} of a damaged {name}: {content!r}")
                raise
            else:
                assert values.size > 0
                assert values.dtype.kind in "biuf"
                outcomes["read"] += 1
        (folder / name).unlink()
    return outcomes
