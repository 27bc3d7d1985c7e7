"""What is read from a file is what was written, large files stay on disk, and every mistake is named."""

from __future__ import annotations

import errno
import gzip
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pgmgraph.datasets import arrays, load_bundled_digits, read_labels, read_values, text_table
from pgmgraph.errors import DataFileError
from tests.datasets import files_made
from tests.datasets.files_made import BYTES, NUMBERS, WORDS, idx, image, npy, npz, parquet, text, write
from tests.refusals import refused

CODES = [2, 0, 3, 0, 2, 1]  # of WORDS in alphabetical order
DIGITS = load_bundled_digits()
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


def table(folder: Path, content: str, name: str = "table.csv") -> Path:
    return write(folder, name, content.encode())


class TestNumpyFiles:
    @pytest.mark.parametrize("dtype", ["bool", "u1", "<i2", ">i4", "i8", "f2", ">f4", "f8"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_an_array_is_mapped(self, tmp_path: Path, dtype: str, order: str) -> None:
        values = np.asarray((NUMBERS * 8).astype(dtype), order="F" if order == "F" else "C")
        read = read_values(write(tmp_path, "a.npy", npy(values)))
        np.testing.assert_array_equal(read, values)
        assert read.dtype == values.dtype
        assert isinstance(read, np.memmap)
        assert not read.flags.writeable

    @SHARED
    @given(values=hnp.arrays(hnp.floating_dtypes(), hnp.array_shapes(max_dims=5)), compressed=st.booleans())
    def test_any_array_survives(self, tmp_path: Path, values: NDArray[np.generic], compressed: bool) -> None:
        np.testing.assert_array_equal(read_values(write(tmp_path, "a.npy", npy(values))), values)
        archive = write(tmp_path, "a.npz", npz({"a": values, "b": NUMBERS}, compressed=compressed))
        np.testing.assert_array_equal(read_values(f"{archive}#a"), values)

    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
    def test_every_version_of_the_format(self, tmp_path: Path, version: tuple[int, int]) -> None:
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array(file, NUMBERS, version)
        np.testing.assert_array_equal(read_values(tmp_path / "a.npy"), NUMBERS)

    def test_a_member_is_chosen_by_name(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "two.npz", pixels=BYTES, numbers=np.asfortranarray(NUMBERS))
        np.testing.assert_array_equal(read_values(f"{tmp_path / 'two.npz'}#pixels"), BYTES)
        np.testing.assert_array_equal(read_values(f"{tmp_path / 'two.npz'}#numbers.npy"), NUMBERS)
        with refused(DataFileError, "one array", "pixels, numbers", "two.npz#NAME"):
            read_values(tmp_path / "two.npz")
        with refused(DataFileError, "'pixel'", "Did you mean 'pixels'?"):
            read_values(f"{tmp_path / 'two.npz'}#pixel")

    def test_the_only_member_needs_no_name(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read_values(write(tmp_path, "a.npz", npz({"a": NUMBERS}))), NUMBERS)

    def test_python_objects_are_never_loaded(self, tmp_path: Path) -> None:
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
    def test_what_is_no_real_number_is_refused(self, tmp_path: Path, dtype: object) -> None:
        source = write(tmp_path, "a.npy", npy(np.zeros(3, dtype)))  # type: ignore[call-overload]
        with refused(DataFileError, str(source), "Expected real numbers or words"):
            read_values(source)

    def test_an_array_must_be_whole_and_alone(self, tmp_path: Path) -> None:
        content = npy(NUMBERS)
        with refused(DataFileError, f"Expected {len(content)} bytes", "6 x 4 float64", "truncated"):
            read_values(write(tmp_path, "a.npy", content[:-1]))
        with refused(DataFileError, "2 trailing bytes"):
            read_values(write(tmp_path, "a.npy", content + b"xy"))
        with refused(DataFileError, "header"):
            read_values(write(tmp_path, "a.npy", content[:40]))

    def test_a_header_that_lies_claims_no_memory(self, tmp_path: Path) -> None:
        lie = npy(NUMBERS).replace(b"(6, 4)", b"(6000000000, 4)").replace(b" " * 11 + b"\n", b"\n")
        lie = lie[:8] + (len(lie) - NUMBERS.nbytes - 10).to_bytes(2, "little") + lie[10:]
        with refused(DataFileError, "6000000000 x 4 float64", "truncated"):
            read_values(write(tmp_path, "a.npy", lie))
        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", lie)
        with refused(DataFileError, "6000000000 x 4 float64", "truncated"):
            read_values(tmp_path / "a.npz")

    def test_other_zip_files_are_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
            archive.writestr("sheet.xml", "<xml/>")
        with refused(DataFileError, "a.xlsx", "without any"):
            read_values(tmp_path / "a.xlsx")


class TestIdx:
    def test_bytes_are_mapped(self, tmp_path: Path) -> None:
        read = read_values(write(tmp_path, "images", idx(BYTES)))
        np.testing.assert_array_equal(read, BYTES)
        assert isinstance(read, np.memmap)

    def test_gzip_is_read(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read_values(write(tmp_path, "a", gzip.compress(idx(BYTES)))), BYTES)

    def test_wide_values_come_in_the_machines_order(self, tmp_path: Path) -> None:
        values = np.arange(6, dtype=">i4").reshape(2, 3) * 70_000
        read = read_values(write(tmp_path, "a", b"\0\0\x0c\x02\0\0\0\x02\0\0\0\x03" + values.tobytes()))
        np.testing.assert_array_equal(read, values)
        assert read.dtype.isnative

    def test_a_bomb_claims_no_memory(self, tmp_path: Path) -> None:
        header = b"\0\0\x08\x02" + (1 << 31).to_bytes(4, "big") * 2
        with refused(DataFileError, "2147483648 x 2147483648 uint8", "truncated"):
            read_values(write(tmp_path, "a", gzip.compress(header + bytes(1000))))

    @pytest.mark.parametrize(("change", "said"), [(-1, "truncated"), (1, "trailing")])
    def test_the_length_must_fit(self, tmp_path: Path, change: int, said: str) -> None:
        content = idx(BYTES)[:change] if change < 0 else idx(BYTES) + bytes(change)
        for form in (content, gzip.compress(content)):
            with refused(DataFileError, "6 x 8 x 8 uint8", said):
                read_values(write(tmp_path, "a", form))


class TestText:
    @pytest.mark.parametrize("delimiter", [",", "\t", ";", " ", "   "])
    @pytest.mark.parametrize("header", [False, True])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_layout_is_told_by_the_content(
        self, tmp_path: Path, delimiter: str, header: bool, compressed: bool
    ) -> None:
        content = text(NUMBERS, delimiter, delimiter.join("abcd") if header else None)
        source = write(tmp_path, "a.dat", gzip.compress(content) if compressed else content)
        read = read_values(source)
        np.testing.assert_array_equal(read, NUMBERS)
        assert read.dtype == np.float64

    @SHARED
    @given(values=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2)), cells=st.integers(1, 9))
    def test_any_table_survives_whatever_the_pieces(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: NDArray[np.float64], cells: int
    ) -> None:
        monkeypatch.setattr(text_table, "CELLS_AT_ONCE", cells)
        source = write(tmp_path, "a.csv", text(values))
        if values.shape[1] > 2 and np.array_equal(values[0], np.arange(values.shape[1])):
            return  # repr writes 0.0 and pandas 0, so this is read too; but it is no matter of this test
        np.testing.assert_array_equal(read_values(source), values)

    def test_what_numpy_and_pandas_write(self, tmp_path: Path) -> None:
        np.savetxt(tmp_path / "a.txt", NUMBERS)
        np.testing.assert_array_equal(read_values(tmp_path / "a.txt"), NUMBERS)
        unnamed = table(tmp_path, "0,1,2\n5,6,7\n8,9,9\n")
        np.testing.assert_array_equal(read_values(unnamed), [[5, 6, 7], [8, 9, 9]])

    def test_columns_by_name_by_place_and_by_range(self, tmp_path: Path) -> None:
        source = write(tmp_path, "a.csv", text(NUMBERS, header="a,b,c,d,species", words=WORDS))
        np.testing.assert_array_equal(read_values(f"{source}#c,a"), NUMBERS[:, [2, 0]])
        np.testing.assert_array_equal(read_values(f"{source}#1,d"), NUMBERS[:, [1, 3]])
        np.testing.assert_array_equal(read_values(f"{source}#:4"), NUMBERS)
        np.testing.assert_array_equal(read_values(f"{source}#b"), NUMBERS[:, [1]])
        with refused(DataFileError, "'specie'", "Did you mean 'species'?"):
            read_values(f"{source}#specie")
        with refused(DataFileError, "'7'", "0 to 4"):
            read_values(f"{source}#7")
        with refused(DataFileError, "5 columns without names"):
            read_values(f"{write(tmp_path, 'b.csv', text(NUMBERS, words=WORDS))}#a")
        twice = table(tmp_path, "a,b,a\n1,2,3\n")
        with refused(DataFileError, "one column 'a'", "places 0, 2"):
            read_values(f"{twice}#a")

    def test_windows_lines_quotes_and_a_mark_of_byte_order(self, tmp_path: Path) -> None:
        source = table(tmp_path, '\ufeff"x, mm","y"\r\n\r\n"1",2\r\n3,"4"\r\n')
        np.testing.assert_array_equal(read_values(source), [[1, 2], [3, 4]])
        np.testing.assert_array_equal(read_values(f"{source}#y"), [[2], [4]])

    def test_what_is_missing_is_not_a_number(self, tmp_path: Path) -> None:
        read = read_values(table(tmp_path, "a,b\n1,\nNA,4\n nan ,null\n"))
        np.testing.assert_array_equal(read, [[1, np.nan], [np.nan, 4], [np.nan, np.nan]])

    @pytest.mark.parametrize("cell", ["high", "1_000", "٣", "1.5.2", "0x10", "1 000"])
    def test_a_word_among_numbers_is_named_with_its_place(self, tmp_path: Path, cell: str) -> None:
        source = table(tmp_path, f"height,weight\n1,2\n\n3,{cell}\n5,6\n")
        with refused(DataFileError, "line 4", "column 1 ('weight')", repr(cell), str(source)):
            read_values(source)

    def test_a_ragged_line_is_named(self, tmp_path: Path) -> None:
        source = table(tmp_path, "1,2,3\n4,5,6\n7,8\n")
        with refused(DataFileError, "Expected 3 cells in line 3", "as in line 1", "got 2"):
            read_values(source)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "an empty file"),
            (b"\n \n\n", "no line that is not blank"),
            (b"a,b\n", "at least one row"),
            ("caf\xe9,2\n1,2\n".encode("latin-1"), "UTF-8"),
            (b'1,2\n"3,4\n5,6\n', "quotation marks"),
            (b"1,2\n" + b"9" * 200_000 + b",2\n", "field larger than field limit"),
        ],
    )
    def test_what_is_no_table_is_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        with refused(DataFileError, str(tmp_path), said):
            read_values(write(tmp_path, "a.csv", content))

    def test_a_bomb_of_one_line_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_table, "LONGEST_LINE_BYTES", 1 << 20)
        with refused(DataFileError, "more than 1048576 bytes"):
            read_values(write(tmp_path, "a.csv.gz", gzip.compress(b"1" * (3 << 20))))


class TestParquet:
    @pytest.mark.parametrize("rows", [1, 6, 10_000])
    def test_columns_and_lists_side_by_side(self, tmp_path: Path, rows: int) -> None:
        values = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
        columns = {"a": values[:, 0], "l": list(values[:, 1:4]), "z": values[:, 4]}
        source = write(tmp_path, "a.parquet", parquet(columns, row_group_size=3000))
        read = read_values(source)
        np.testing.assert_array_equal(read, values)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read_values(f"{source}#z,l"), values[:, [4, 1, 2, 3]])
        np.testing.assert_array_equal(read_values(f"{source}#1:"), values[:, 1:])

    def test_lists_of_fixed_length_and_whole_numbers(self, tmp_path: Path) -> None:
        flat = BYTES.reshape(6, 64)
        fixed = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 64)
        read = read_values(write(tmp_path, "a.parquet", parquet({"pixels": fixed})))
        np.testing.assert_array_equal(read, flat)
        assert read.dtype == np.uint8

    def test_a_missing_real_is_not_a_number_and_a_missing_integer_is_refused(self, tmp_path: Path) -> None:
        reals = write(tmp_path, "a.parquet", parquet({"a": pa.array([0.5, None])}))
        np.testing.assert_array_equal(read_values(reals), [[0.5], [np.nan]])
        integers = write(tmp_path, "b.parquet", parquet({"age": pa.array([1, None])}))
        with refused(DataFileError, "'age'", "1 missing"):
            read_values(integers)

    def test_what_is_no_number_is_refused(self, tmp_path: Path) -> None:
        source = write(tmp_path, "a.parquet", files_made.FILES["flowers.parquet"]())
        with refused(DataFileError, "'species'", "string", "#COLUMN"):
            read_values(source)
        np.testing.assert_array_equal(read_values(f"{source}#a,b,c,d"), NUMBERS)
        with refused(DataFileError, "'e'", "a, b, c, d, species"):
            read_values(f"{source}#e")

    def test_lists_of_different_lengths_are_refused(self, tmp_path: Path) -> None:
        lists = [[1.0, 2.0]] * 5000 + [[1.0]] + [[1.0, 2.0]] * 9
        with refused(DataFileError, "'l'", "row 5000"):
            read_values(write(tmp_path, "a.parquet", parquet({"l": lists})))
        with refused(DataFileError, "'l'", "row 4096"):
            read_values(write(tmp_path, "b.parquet", parquet({"l": [[1.0, 2.0]] * 4096 + [[1.0]]})))

    def test_an_empty_table_is_refused(self, tmp_path: Path) -> None:
        with refused(DataFileError, "at least one row"):
            read_values(write(tmp_path, "a.parquet", parquet({"a": pa.array([], pa.float64())})))

    def test_the_extra_is_named_where_pyarrow_lacks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = write(tmp_path, "a.parquet", files_made.FILES["checked.parquet"]())
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with refused(DataFileError, str(source), 'pip install "pgmgraph[parquet]"'):
            read_values(source)


class TestImages:
    def test_digits_survive_with_their_labels(self, tmp_path: Path) -> None:
        pixels, labels = DIGITS.train_images[:40].reshape(40, 8, 8), DIGITS.train_labels[:40]
        for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
            write(tmp_path, f"{label}/{number:02}.png", image(picture))
        order = np.lexsort((np.arange(40), labels))
        np.testing.assert_array_equal(read_values(tmp_path), pixels[order])
        np.testing.assert_array_equal(read_labels(tmp_path), labels[order])

    def test_words_as_folders(self, tmp_path: Path) -> None:
        for number, word in enumerate(WORDS):
            write(tmp_path, f"{word}/deeper/{number}.png", image(BYTES[number]))
        assert read_labels(tmp_path).tolist() == sorted(CODES)

    def test_colours_come_first(self, tmp_path: Path) -> None:
        colours = BYTES.reshape(2, 3, 8, 8)
        for number, picture in enumerate(colours):
            write(tmp_path, f"{number}.PNG", image(np.moveaxis(picture, 0, -1)))
        np.testing.assert_array_equal(read_values(tmp_path), colours)

    def test_grey_of_16_bits_and_of_one(self, tmp_path: Path) -> None:
        deep = (BYTES[0].astype(np.uint16) * 257)[None]
        write(tmp_path, "deep/0.png", image(deep[0]))
        write(tmp_path, "flat/0.png", image(BYTES[0] > 127))
        np.testing.assert_array_equal(read_values(tmp_path / "deep"), deep)
        np.testing.assert_array_equal(read_values(tmp_path / "flat"), np.where(BYTES[:1] > 127, 255, 0))

    def test_hidden_and_other_files_are_passed_over(self, tmp_path: Path) -> None:
        write(tmp_path, "1.png", image(BYTES[0]))
        for name in ("._1.png", ".cache/2.png", "readme.txt", "labels.csv"):
            write(tmp_path, name, b"other")
        np.testing.assert_array_equal(read_values(tmp_path), BYTES[:1])

    def test_a_folder_without_images_is_refused(self, tmp_path: Path) -> None:
        with refused(DataFileError, str(tmp_path), "an empty one"):
            read_values(tmp_path)
        write(tmp_path, "readme.txt", b"other")
        with refused(DataFileError, "1 other files, such as readme.txt"):
            read_values(tmp_path)

    def test_images_that_differ_are_named(self, tmp_path: Path) -> None:
        write(tmp_path, "a.png", image(BYTES[0]))
        write(tmp_path, "b.png", image(BYTES[0][:5]))
        with refused(DataFileError, "8 x 8 uint8 in a.png", "5 x 8 uint8 in", "b.png"):
            read_values(tmp_path)
        write(tmp_path, "b.png", image(np.stack([BYTES[0]] * 3, axis=-1)))
        with refused(DataFileError, "b.png", "3 channels"):
            read_values(tmp_path)

    def test_a_file_that_is_no_image_is_named(self, tmp_path: Path) -> None:
        write(tmp_path, "a.png", b"<html>")
        with refused(DataFileError, "a.png", "Expected a whole image"):
            read_values(tmp_path)
        write(tmp_path, "a.png", image(BYTES[0])[:-30])
        with refused(DataFileError, "a.png", "Expected a whole image"):
            read_values(tmp_path)

    def test_an_image_outside_the_sub_folders_has_no_label(self, tmp_path: Path) -> None:
        write(tmp_path, "ash/0.png", image(BYTES[0]))
        write(tmp_path, "1.png", image(BYTES[1]))
        with refused(DataFileError, "1.png", "sub-folder"):
            read_labels(tmp_path)


class TestLabels:
    @pytest.mark.parametrize(
        ("name", "part"),
        [("words.npy", ""), ("flowers.csv", "#species"), ("flowers.csv", "#4"), ("flowers.parquet", "#species")],
    )
    def test_words_become_their_places_in_the_alphabet(self, tmp_path: Path, name: str, part: str) -> None:
        read = read_labels(f"{write(tmp_path, name, files_made.FILES[name]())}{part}")
        assert read.tolist() == CODES
        assert read.dtype == np.int64

    @pytest.mark.parametrize("header", ["", "species\n"])
    def test_a_list_of_words_with_a_header_or_without(self, tmp_path: Path, header: str) -> None:
        assert read_labels(table(tmp_path, header + "\n".join(WORDS))).tolist() == CODES

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
    def test_integers_stay_what_they_are(self, tmp_path: Path, dtype: type[np.generic]) -> None:
        labels = np.array([3, 0, 1, 1]).astype(dtype)
        for source in (
            write(tmp_path, "a.npy", npy(labels)),
            write(tmp_path, "b.npy", npy(labels[:, None])),
            write(tmp_path, "a.parquet", parquet({"l": labels})),
        ):
            assert read_labels(source).tolist() == labels.astype(int).tolist()

    def test_integers_as_text(self, tmp_path: Path) -> None:
        assert read_labels(table(tmp_path, "digit\n7\n-1\n2.0\n")).tolist() == [7, -1, 2]

    def test_what_is_no_label_is_refused(self, tmp_path: Path) -> None:
        with refused(DataFileError, "0.5", "row 1"):
            read_labels(write(tmp_path, "a.npy", npy(np.array([1.0, 0.5]))))
        with refused(DataFileError, "nan", "row 0"):
            read_labels(write(tmp_path, "a.npy", npy(np.array([np.nan, 0.5]))))
        with refused(DataFileError, "(6, 4)"):
            read_labels(write(tmp_path, "a.npy", npy(NUMBERS)))
        with refused(DataFileError, "one column of labels", "a, b", "#COLUMN"):
            read_labels(table(tmp_path, "a,b\n1,2\n"))
        gap = table(tmp_path, "a,kind\n1,ash\n2,\n")
        with refused(DataFileError, "line 3", "column 1 ('kind')", "empty cell"):
            read_labels(f"{gap}#kind")

    def test_words_are_no_values(self, tmp_path: Path) -> None:
        with refused(DataFileError, "words", "read_labels"):
            read_values(write(tmp_path, "a.npy", npy(np.array(WORDS))))


class TestSources:
    def test_a_name_with_a_mark_goes_before_a_part(self, tmp_path: Path) -> None:
        source = write(tmp_path, "run#1.npy", npy(NUMBERS))
        np.testing.assert_array_equal(read_values(str(source)), NUMBERS)

    def test_the_kind_is_told_by_the_content(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read_values(write(tmp_path, "a.csv", npy(NUMBERS))), NUMBERS)
        np.testing.assert_array_equal(read_values(write(tmp_path, "a.npy", text(NUMBERS))), NUMBERS)
        np.testing.assert_array_equal(read_values(table(tmp_path, "BMI,age\n1,2\n")), [[1, 2]])

    def test_a_part_of_what_has_none_is_refused(self, tmp_path: Path) -> None:
        for name in ("numbers.npy", "images-idx3-ubyte", "grey/0.png"):
            with refused(DataFileError, "one array", "Leave out #a"):
                read_values(f"{write(tmp_path, name, files_made.FILES[name]())}#a")

    @pytest.mark.parametrize("name", ["nowhere.npy", "nowhere.npz#a", "no\0where"])
    def test_a_missing_file_is_named(self, tmp_path: Path, name: str) -> None:
        with refused(DataFileError, "Check the path"):
            read_values(f"{tmp_path}/{name}")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (image(BYTES[0]), "a single image"),
            (b"\x89HDF\r\n\x1a\n", "begins with the bytes 89 48 44 46"),
            (gzip.compress(npy(NUMBERS)), "a gzip file that begins with the bytes 93 4e"),
        ],
    )
    def test_other_kinds_are_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        with refused(DataFileError, "Expected a numpy file", said):
            read_values(write(tmp_path, "a", content))

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
    def test_a_forbidden_file_is_named(self, tmp_path: Path) -> None:
        source = write(tmp_path, "a.npy", npy(NUMBERS))
        source.chmod(0)
        with refused(DataFileError, str(source), "Permission denied"):
            read_values(source)


class TestLargeFiles:
    @pytest.mark.parametrize(
        "name", ["squeezed.npz", "images-idx3-ubyte.gz", "numbers.csv", "checked.parquet", "grey/0.png"]
    )
    def test_what_is_large_goes_to_a_file_that_has_no_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        source = write(tmp_path, name, files_made.FILES[name]())
        expected = read_values(source)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 8)
        read = read_values(source)
        assert isinstance(read, np.memmap)
        np.testing.assert_array_equal(read, expected)
        assert list(scratch.iterdir()) == []

    def test_a_disk_without_room_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        source = write(tmp_path, "a.npz", files_made.FILES["squeezed.npz"]())
        monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 8)
        monkeypatch.setattr(os, "posix_fallocate", full)
        with refused(DataFileError, "6 x 4 float64", "No space left", "TMPDIR"):
            read_values(source)


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    outcomes = files_made.read_damaged(600, seed=0, folder=tmp_path)
    assert outcomes["refused"] + outcomes["read"] == 1200
    assert outcomes["refused"] > 800


@pytest.mark.parametrize(
    "name", ["squeezed.npz", "numbers.npz", "images-idx3-ubyte.gz", "checked.parquet", "colour/0.png"]
)
def test_what_carries_a_checksum_is_never_read_wrongly(tmp_path: Path, name: str) -> None:
    content = files_made.FILES[name]()
    expected = read_values(write(tmp_path, name, content))
    random = np.random.default_rng(0)
    for _ in range(150):
        source = write(tmp_path, name, files_made.damaged(content, random))
        try:
            read = read_values(source)
        except DataFileError:
            continue
        np.testing.assert_array_equal(read, expected)
