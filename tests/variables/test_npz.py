"""Messages in a file: the same bit for bit, and nothing else than that, whatever happens to the file."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pgmgraph import Categorical, Gaussian, Message, Point
from pgmgraph.errors import DataFileError, MessageError, OutputError
from pgmgraph.variables import npz
from tests.messages.strategies import messages
from tests.refusals import refused

some = settings(deadline=None, max_examples=15, derandomize=True)
FLIPS = 400


def assert_same(one: Message, other: Message) -> None:
    """The same kind and fields, every tensor of the same dtype and with the same bits."""
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if isinstance(before, Tensor):
            assert before.dtype == after.dtype
            assert torch.equal(before, after)
        else:
            assert before == after


def beliefs(n: int = 6) -> dict[str, Message]:
    generator = torch.Generator().manual_seed(0)
    z = Gaussian(torch.randn(n, 2, generator=generator), torch.rand(n, 2, generator=generator))
    return {"vae.z": z, "gmm.c": Categorical(torch.softmax(torch.randn(n, 3, generator=generator).double(), 1))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("npz")


@some
@given(messages(), st.data())
def test_every_kind_of_message_comes_back_whatever_the_blocks_were(
    folder: Path, written: list[Message], data: st.DataObject
) -> None:
    named = {f"module_{place}.x": message for place, message in enumerate(written)}
    cut = data.draw(st.integers(0, len(written[0])))
    pieces = [slice(0, cut), slice(cut, None)] if data.draw(st.booleans()) else [slice(None)]
    npz.write(folder / "a.npz", ({name: one[piece] for name, one in named.items()} for piece in pieces))
    found = npz.read(folder / "a.npz")
    assert list(found) == list(named)
    for name, message in named.items():
        assert_same(found[name], message)


def test_numpy_reads_the_tensors_by_name(tmp_path: Path) -> None:
    found = beliefs()
    npz.write(tmp_path / "a.npz", [found])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"header", "vae.z.mean", "vae.z.variance", "gmm.c.probs"}
        assert np.array_equal(arrays["vae.z.mean"], found["vae.z"].mean.numpy())  # type: ignore[attr-defined]
        stated = json.loads(str(arrays["header"]))
    assert stated["variables"]["gmm.c"] == {"kind": "Categorical", "rows": 6, "flagged": False, "plain": {}}


def test_what_a_module_adds_to_a_message_is_left_out(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True, eq=False)
    class Annotated(Categorical):
        per_item = ("probs", "note")
        note: Tensor

    probs = beliefs()["gmm.c"].probs  # type: ignore[attr-defined]
    npz.write(tmp_path / "a.npz", [{"hmm.s": Annotated(probs, torch.zeros(6))}])
    assert_same(npz.read(tmp_path / "a.npz")["hmm.s"], Categorical(probs))


def test_rows_are_flagged_missing_from_the_block_on_that_says_so(tmp_path: Path) -> None:
    whole = beliefs()["vae.z"]
    assert isinstance(whole, Gaussian)
    missing = torch.tensor([True, False])
    blocks = [whole[:2], whole[2:4], dataclasses.replace(whole[4:], missing=missing)]
    npz.write(tmp_path / "a.npz", ({"vae.z": block} for block in blocks))
    expected = torch.tensor([False] * 4 + [True, False])
    assert_same(npz.read(tmp_path / "a.npz")["vae.z"], dataclasses.replace(whole, missing=expected))


def test_the_same_beliefs_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        npz.write(tmp_path / name, [beliefs()])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_any_byte_that_changed_is_found_or_means_nothing(tmp_path: Path) -> None:
    """What zip keeps beside the contents, such as the time, may change: the beliefs may not."""
    path, expected, dice = tmp_path / "a.npz", beliefs(), random.Random(0)
    npz.write(path, [expected])
    whole = path.read_bytes()
    refused_files = []
    for place in [*range(0, len(whole), max(1, len(whole) // FLIPS)), *dice.choices(range(len(whole)), k=FLIPS)]:
        altered = bytearray(whole)
        altered[place] ^= dice.randrange(1, 256)
        path.write_bytes(altered)
        try:
            found = npz.read(path)
        except DataFileError as error:
            refused_files.append(error.path)
        else:
            assert list(found) == list(expected)
            for name, message in expected.items():
                assert_same(found[name], message)
    assert len(refused_files) > FLIPS
    assert set(refused_files) == {path}


def test_any_shorter_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    npz.write(path, [beliefs()])
    whole = path.read_bytes()
    for size in range(0, len(whole), 17):
        path.write_bytes(whole[:size])
        with refused(DataFileError, str(path), "truncated, altered or something else"):
            npz.read(path)


def test_other_files_are_refused_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with refused(DataFileError, f"Expected a file of beliefs at {path}; got none"):
        npz.read(path)
    with refused(DataFileError, "Expected a readable file", "Is a directory"):
        npz.read(tmp_path)
    np.savez(path, other=np.ones(3))
    with refused(DataFileError, "something else", "header.npy"):
        npz.read(path)
    np.savez(path, header=np.array(json.dumps({"format": "pgmgraph beliefs 9", "variables": {}})))
    with refused(DataFileError, "format 'pgmgraph beliefs 9', not 'pgmgraph beliefs 1'"):
        npz.read(path)
    np.savez_compressed(path, header=np.array("{}"))
    with refused(DataFileError, "header is compressed"):
        npz.read(path)
    np.savez(path, header=np.array([Trap(tmp_path / "sprung")], dtype=object))
    with refused(DataFileError, "header does not hold"):
        npz.read(path)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def test_the_trap_would_spring(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"format": npz.FORMAT},
        {"format": npz.FORMAT, "variables": []},
        {"format": npz.FORMAT, "variables": {"vae.z": 3}},
        {"format": npz.FORMAT, "variables": {"vae.z": {"kind": "Path", "flagged": False, "plain": {}}}},
        {"format": npz.FORMAT, "variables": {"vae.z": {"kind": "Gaussian", "flagged": False, "plain": {"a": 1}}}},
        {"format": npz.FORMAT, "variables": {"vae.z": {"kind": "Point", "flagged": True, "plain": {}}}},
    ],
)
def test_headers_that_do_not_fit_are_refused(tmp_path: Path, header: object) -> None:
    arrays = {"vae.z.mean": np.ones((2, 2)), "vae.z.variance": np.ones((2, 2)), "header": np.array(json.dumps(header))}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]  # names, not options
    with refused(DataFileError, "truncated, altered or something else"):
        npz.read(tmp_path / "a.npz")


def test_arrays_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    stated = {"kind": "Gaussian", "rows": 2, "flagged": False, "plain": {}}
    header = np.array(json.dumps({"format": npz.FORMAT, "variables": {"vae.z": stated}}))
    arrays = {"vae.z.mean": np.ones((2, 2)), "vae.z.variance": np.ones((3, 2)), "header": header}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]  # names, not options
    with refused(DataFileError, "Expected 2 rows in Gaussian.variance"):
        npz.read(tmp_path / "a.npz")


def test_blocks_that_do_not_fit_together_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    first, path = beliefs(), tmp_path / "a.npz"
    z = first["vae.z"]
    assert isinstance(z, Gaussian)
    for second, parts in (
        ({"vae.z": z}, ("vae.z, gmm.c in every block", "got vae.z")),
        ({**first, "vae.z": Point(z.mean)}, ("one message about vae.z", "several that differ")),
        ({**first, "vae.z": Gaussian(z.mean.double(), z.variance)}, ("(2,) float32", "got (2,) float64")),
        ({**first, "vae.z": Gaussian(z.mean[:, :1], z.variance[:, :1])}, ("(2,) float32", "got (1,) float32")),
    ):
        with refused(MessageError, *parts):
            npz.write(path, [first, second])
    with refused(MessageError, "type of number that numpy has", "bfloat16"):
        npz.write(path, [{"vae.z": Point(torch.ones(2, 1, dtype=torch.bfloat16))}])
    with refused(MessageError, "about a.x", "got Odd"):
        npz.write(path, [{"a.x": Odd(torch.ones(2, 1))}])
    assert list(tmp_path.iterdir()) == []


@dataclasses.dataclass(frozen=True, eq=False)
class Odd(Message):
    """A message of a kind that no file knows."""

    per_item = ("value",)
    value: Tensor
    event_shape = (1,)

    def _check_shapes(self) -> None:
        pass

    def blank(self, n: int) -> Odd:
        raise NotImplementedError


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    npz.write(path, [beliefs()])
    before = path.read_bytes()

    def broken():
        yield beliefs()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        npz.write(path, broken())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with refused(OutputError, str(tmp_path / "a.npz"), "No space left on device", "Make room"):
        npz.write(tmp_path / "a.npz", [beliefs()])
    assert list(tmp_path.iterdir()) == []
