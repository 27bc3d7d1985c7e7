"""numpy's files are read as they were written, and never run code."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pgmgraph.datasets import read_values
from pgmgraph.errors import DataFileError
from tests.datasets.files_made import BYTES, NUMBERS, npy, npz, write
from tests.refusals import refused

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


@pytest.mark.parametrize("dtype", ["bool", "u1", "<i2", ">i4", "i8", "f2", ">f4", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_mapped(tmp_path: Path, dtype: str, order: str) -> None:
    values = np.asarray((NUMBERS * 8).astype(dtype), order="F" if order == "F" else "C")
    read = read_values(write(tmp_path, "a.npy", npy(values)))
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype
    assert isinstance(read, np.memmap)
    assert not read.flags.writeable


@SHARED
@given(values=hnp.arrays(hnp.floating_dtypes(), hnp.array_shapes(max_dims=5)), compressed=st.booleans())
def test_any_array_survives(tmp_path: Path, values: NDArray[np.generic], compressed: bool) -> None:
    np.testing.assert_array_equal(read_values(write(tmp_path, "a.npy", npy(values))), values)
    archive = write(tmp_path, "a.npz", npz({"a": values, "b": NUMBERS}, compressed=compressed))
    np.testing.assert_array_equal(read_values(f"{archive}#a"), values)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(tmp_path: Path, version: tuple[int, int]) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, NUMBERS, version)
    np.testing.assert_array_equal(read_values(tmp_path / "a.npy"), NUMBERS)


def test_a_member_is_chosen_by_name(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "two.npz", pixels=BYTES, numbers=np.asfortranarray(NUMBERS))
    np.testing.assert_array_equal(read_values(f"{tmp_path / 'two.npz'}#pixels"), BYTES)
    np.testing.assert_array_equal(read_values(f"{tmp_path / 'two.npz'}#numbers.npy"), NUMBERS)
    with refused(DataFileError, "one array", "pixels, numbers", "two.npz#NAME"):
        read_values(tmp_path / "two.npz")
    with refused(DataFileError, "'pixel'", "Did you mean 'pixels'?"):
        read_values(f"{tmp_path / 'two.npz'}#pixel")


def test_the_only_member_needs_no_name(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_values(write(tmp_path, "a.npz", npz({"a": NUMBERS}))), NUMBERS)


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    objects = np.array([Trap(), None], dtype=object)
    np.save(tmp_path / "a.npy", objects)
    np.savez(tmp_path / "a.npz", a=objects)
    for name in ("a.npy", "a.npz"):
        with refused(DataFileError, name, "Python objects"):
            read_values(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("dtype", ["c16", "M8[D]", [("x", "f8")]])
def test_what_is_no_real_number_is_refused(tmp_path: Path, dtype: object) -> None:
    source = write(tmp_path, "a.npy", npy(np.zeros(3, dtype)))  # type: ignore[call-overload]
    with refused(DataFileError, str(source), "Expected real numbers or words"):
        read_values(source)


def test_an_array_must_be_whole_and_alone(tmp_path: Path) -> None:
    content = npy(NUMBERS)
    with refused(DataFileError, f"Expected {len(content)} bytes", "6 x 4 float64", "truncated"):
        read_values(write(tmp_path, "a.npy", content[:-1]))
    with refused(DataFileError, "2 trailing bytes"):
        read_values(write(tmp_path, "a.npy", content + b"xy"))
    with refused(DataFileError, "header"):
        read_values(write(tmp_path, "a.npy", content[:40]))


def test_a_header_that_lies_claims_no_memory(tmp_path: Path) -> None:
    lie = npy(NUMBERS).replace(b"(6, 4)", b"(6000000000, 4)").replace(b" " * 11 + b"\n", b"\n")
    lie = lie[:8] + (len(lie) - NUMBERS.nbytes - 10).to_bytes(2, "little") + lie[10:]
    with refused(DataFileError, "6000000000 x 4 float64", "truncated"):
        read_values(write(tmp_path, "a.npy", lie))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", lie)
    with refused(DataFileError, "6000000000 x 4 float64", "truncated"):
        read_values(tmp_path / "a.npz")


def test_other_zip_files_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("sheet.xml", "<xml/>")
    with refused(DataFileError, "a.xlsx", "without any"):
        read_values(tmp_path / "a.xlsx")
