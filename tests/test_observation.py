"""Data of every kind are taken and never changed; what no model can take is refused, with its rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pgmgraph import ModelGraph, Observation, fit, infer
from pgmgraph.errors import DataError, PlateError, ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Gathering, Noisy, Sink, dense, intensities

N, D = 24, 3
BASE = np.arange(N * D).reshape(N, D) % 7


def _read_only() -> np.ndarray:
    array = BASE.astype(np.float32)
    array.flags.writeable = False
    return array


ARRAYS = {
    "float64": lambda: BASE.astype(np.float64),
    "float32": lambda: BASE.astype(np.float32),
    "float16": lambda: BASE.astype(np.float16),
    "longdouble": lambda: BASE.astype(np.longdouble),
    "int64": lambda: BASE.astype(np.int64),
    "int8": lambda: BASE.astype(np.int8),
    "uint8": lambda: BASE.astype(np.uint8),
    "uint16": lambda: BASE.astype(np.uint16),
    "uint32": lambda: BASE.astype(np.uint32),
    "big-endian": lambda: BASE.astype(">f8"),
    "big-endian integers": lambda: BASE.astype(">i4"),
    "transposed": lambda: np.asfortranarray(BASE.astype(np.float64)),
    "every other column": lambda: np.repeat(BASE.astype(np.float64), 2, 1)[:, ::2],
    "backwards": lambda: BASE.astype(np.float64)[::-1, ::-1][::-1, ::-1],
    "read-only": _read_only,
}


def fitted(data: Observation) -> tuple[ModelGraph, Centre]:
    centre = Centre()
    graph = ModelGraph(data=data, centre=centre)
    graph.connect(data.value, centre.x)
    fit(graph, rounds=2)
    return graph, centre


EXPECTED = torch.from_numpy(BASE.sum(0) / (N + 0.01))


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_taken_and_never_changed(kind):
    array = ARRAYS[kind]()
    before = array.tobytes()
    graph, centre = fitted(Observation(array))
    infer(graph)
    torch.testing.assert_close(centre.mean, EXPECTED)
    assert array.tobytes() == before


def test_an_array_that_runs_backwards_is_read_backwards() -> None:
    _, centre = fitted(Observation(BASE.astype(np.float64)[:, ::-1]))
    torch.testing.assert_close(centre.mean, EXPECTED.flip(0))


def test_booleans_are_zeros_and_ones() -> None:
    array = BASE > 3
    before = array.tobytes()
    data = Observation(array)
    _, centre = fitted(data)
    torch.testing.assert_close(centre.mean, torch.from_numpy(array.sum(0) / (N + 0.01)))
    assert data.value_range == (0.0, 1.0)
    assert array.tobytes() == before


def test_a_memory_map_is_looked_at_where_it_lies(tmp_path) -> None:
    path = tmp_path / "values.npy"
    np.save(path, BASE.astype(np.float32))
    before = path.read_bytes()
    values = np.load(path, mmap_mode="r")
    data = Observation(values)
    assert dense(data).data_ptr() == values.ctypes.data
    _, centre = fitted(data)
    torch.testing.assert_close(centre.mean, EXPECTED)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.uint8]
)
def test_tensors_are_shared_and_never_changed(dtype: torch.dtype) -> None:
    tensor = torch.from_numpy(BASE).to(dtype)
    before = tensor.clone()
    data = Observation(tensor)
    assert dense(data).data_ptr() == tensor.data_ptr()
    _, centre = fitted(data)
    torch.testing.assert_close(centre.mean, EXPECTED)
    assert torch.equal(tensor, before)


def test_a_tensor_that_requires_grad_keeps_out_of_the_graph_of_gradients() -> None:
    tensor = torch.from_numpy(BASE).double().requires_grad_()
    _, centre = fitted(Observation(tensor))
    torch.testing.assert_close(centre.mean, EXPECTED)
    assert not centre.mean.requires_grad
    assert tensor.grad is None
    assert tensor.requires_grad


def test_a_vae_changes_no_data_either() -> None:
    images = (intensities(30, 6) * 255).byte().numpy()
    before = images.tobytes()
    data, vae, gmm = Observation(images, scale=1 / 255), VAE(2, hidden=(4,)), GMM(2, starts=1)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    fit(graph, rounds=2)
    infer(graph, {"pixels": images[:5]}, predict=["pixels"])
    assert images.tobytes() == before


def test_lists_are_taken() -> None:
    _, centre = fitted(Observation(BASE.tolist()))
    torch.testing.assert_close(centre.mean, EXPECTED)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.array([["a", "b"]]), "<U1"),
        (np.array([[None, 1.0]], dtype=object), "object"),
        (["sound", "image"], "<U5"),
        (np.ones((2, 2), dtype=complex), "complex128"),
        (torch.ones(2, 2, dtype=torch.complex64), "complex64"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64[D]"),
    ],
    ids=["strings", "objects", "words", "complex", "complex tensor", "dates"],
)
def test_what_is_no_real_number_is_refused(values: object, what: str) -> None:
    with refused(DataError, "real", "for an Observation", what):
        Observation(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,), ()])
def test_an_empty_array_is_refused(shape: tuple[int, ...]) -> None:
    with refused(DataError, "at least one row and one column", str(shape)):
        Observation(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_are_named_by_row(value, dtype):
    array = BASE.astype(dtype)
    array[[3, 11], [0, 2]] = value
    with refused(DataError, "NaN or infinity in 2 of 24 rows: 3, 11.", "missing=") as caught:
        Observation(array)
    assert caught.value.rows == (3, 11)


def test_many_bad_rows_are_counted_and_the_first_ten_are_listed() -> None:
    with refused(DataError, "20 of 20 rows: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...") as caught:
        Observation(np.full((20, 1), np.nan))
    assert len(caught.value.rows) == 20


def test_both_infinities_in_one_column_do_not_cancel() -> None:
    with refused(DataError, "2 of 3 rows: 0, 2"):
        Observation(np.array([[np.inf], [0.0], [-np.inf]]))


def test_missing_rows_may_hold_anything() -> None:
    array = BASE.astype(float)
    array[[3, 11]] = np.nan, np.inf, 1e300
    mask = np.isin(np.arange(N), [3, 11])
    for missing in (mask, mask.tolist(), torch.from_numpy(mask)):
        data = Observation(array, missing=missing)
        assert data.value_range == (0.0, 6.0)
        assert data.point.missing_rows().nonzero().flatten().tolist() == [3, 11]


def test_the_mask_is_a_copy() -> None:
    mask = np.zeros(N, dtype=bool)
    data = Observation(BASE, missing=mask)
    mask[:] = True
    assert not data.point.missing_rows().any()


def test_masks_that_do_not_fit_are_refused() -> None:
    with refused(DataError, "`missing`", "24 booleans", "(23,)"):
        Observation(BASE, missing=np.zeros(N - 1, dtype=bool))
    with refused(DataError, "`missing`", "24 booleans", "int64"):
        Observation(BASE, missing=np.zeros(N, dtype=np.int64))
    with refused(DataError, "at least one row", "all 24 are"):
        Observation(BASE, missing=np.ones(N, dtype=bool))


def test_rows_are_looked_at_piece_by_piece_to_the_last() -> None:
    array = np.zeros((65_536 + 3, 1), dtype=np.float32)
    array[-1] = np.nan
    with refused(DataError, "1 of 65539 rows: 65538."):
        Observation(array)


def test_values_outside_what_a_bernoulli_explains() -> None:
    for values, low, high in ((BASE, "0", "6"), (BASE / 6 - 0.5, "-0.5", "0.5")):
        data, vae = Observation(values), VAE(2, hidden=(4,))
        graph = ModelGraph(pixels=data, vae=vae)
        graph.connect(data.value, vae.x)
        with refused(DataError, "within [0, 1] at vae.x", f"from {low} to {high}", "pixels.value", "Rescale"):
            fit(graph)
    graph = ModelGraph(pixels=(data := Observation(BASE)), vae=(vae := VAE(2, hidden=(4,), likelihood="gaussian")))
    graph.connect(data.value, vae.x)
    assert graph.check().remarks == ()


def test_missing_rows_do_not_count_for_the_range() -> None:
    values = intensities(6)
    values[2] = 7.0
    data, vae = Observation(values, missing=torch.arange(6) == 2), VAE(2, hidden=(4,))
    graph = ModelGraph(pixels=data, vae=vae)
    graph.connect(data.value, vae.x)
    graph.check()


def test_new_data_are_read_with_the_same_care() -> None:
    graph, _ = fitted(Observation(BASE))
    with refused(ShapeError, "(3,) at centre.x", "got (4,)") as caught:
        infer(graph, {"data": np.zeros((5, 4))})
    assert caught.value.ports == ("centre.x",)
    with refused(DataError, "observation 'data'", "1 of 5 rows: 4") as bad:
        infer(graph, {"data": np.where(np.arange(5)[:, None] == 4, np.nan, np.zeros((5, 3)))})
    assert bad.value.observation == "data"
    with refused(DataError, "observation 'data'", "at least one row"):
        infer(graph, {"data": np.zeros((0, 3))})
    with refused(DataError, "observation 'data'", "real numbers"):
        infer(graph, {"data": np.array([["a", "b", "c"]])})


def test_bytes_stay_scaled_and_floats_are_taken_as_they_are() -> None:
    data = Observation(np.full((4, 2), 255, dtype=np.uint8), scale=1 / 255)
    assert data.value_range == (1.0, 1.0)
    assert data.replaced(np.full((2, 2), 51, dtype=np.uint8), "pixels").value_range == (0.2, 0.2)
    assert data.replaced(np.full((2, 2), 0.4), "pixels").value_range == (0.4, 0.4)
    other = Observation(np.zeros((3, 2)))
    assert data.replaced(other, "pixels") is other


def test_one_plate_has_one_size() -> None:
    one, other, module = Observation(np.zeros((4, 2))), Observation(np.zeros((5, 2))), Gathering()
    graph = ModelGraph(sound=one, image=other, module=module)
    graph.connect(one.value, module.x["sound"])
    graph.connect(other.value, module.x["image"])
    with refused(PlateError, "'image'", "'sound'", "plate 'items'", "5 and 4", "same rows") as caught:
        fit(graph)
    assert caught.value.ports == ("sound.value", "image.value")


def test_a_module_stands_on_one_plate() -> None:
    one, other, module = Observation(np.zeros((4, 2)), plate="words"), Observation(np.zeros((4, 2))), Gathering()
    graph = ModelGraph(sound=one, image=other, module=module)
    graph.connect(one.value, module.x["sound"])
    graph.connect(other.value, module.x["image"])
    with refused(PlateError, "module", "sound.value", "'words'", "image.value", "'items'"):
        graph.check()


def test_different_plates_may_differ_in_size() -> None:
    one, other, first, second = (
        Observation(np.zeros((4, 2)), plate="words"),
        Observation(np.zeros((9, 2))),
        Noisy(),
        Sink(),
    )
    graph = ModelGraph(one=one, other=other, first=first, second=second)
    graph.connect(one.value, first.y)
    graph.connect(other.value, second.x)
    checked = graph.check()
    assert dict(checked.plates) == {"first": "words", "second": "items"}


def test_a_part_is_looked_at_where_it_lies() -> None:
    values = torch.arange(12.0).reshape(6, 2)
    whole = Observation(values, plate="rooms", missing=torch.arange(6) == 3, scale=0.5)
    part = whole.part(slice(2, 5))
    assert dense(part).data_ptr() == values[2:].data_ptr()
    assert part.point.missing_rows().tolist() == [False, True, False]
    assert (len(part), part.plate, part.point.scale, part.value_range) == (3, "rooms", 0.5, whole.value_range)


@pytest.mark.parametrize("most", [1, 10, 10**6])
def test_the_range_is_read_in_pieces_of_few_values(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    read: list[int] = []
    aminmax = torch.Tensor.aminmax

    def counted(piece: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        read.append(piece.numel())
        return aminmax(piece)

    monkeypatch.setattr("pgmgraph.observation._VALUES_AT_ONCE", most)
    monkeypatch.setattr(torch.Tensor, "aminmax", counted)
    values = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(0))
    missing = torch.arange(50) % 9 == 2
    seen = Observation(values, missing=missing)
    assert seen.value_range == (float(values[~missing].min()), float(values[~missing].max()))
    assert max(read) <= max(most, 6)
    assert sum(read) == 6 * int((~missing).sum())
    values[[7, 48]] = torch.nan
    with refused(DataError, "2 of 50 rows: 7, 48"):
        Observation(values, missing=missing)
