"""Seeds are hashes of names, and generators are put back."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pgmgraph.randomness import seed_of, seeded

CPU = torch.device("cpu")


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()


@given(st.integers(-(2**70), 2**70), st.text(max_size=5), st.text(max_size=5), st.integers(0, 10**6))
def test_a_seed_is_a_number_that_every_generator_takes(seed: int, name: str, method: str, number: int) -> None:
    assert 0 <= seed_of(seed, name, method, number) < 2**32
    assert seed_of(seed, name, method, number) == seed_of(seed, name, method, number)


def test_seeds_differ_where_anything_differs() -> None:
    seeds = {
        seed_of(seed, name, method, number)
        for seed in range(3)
        for name in ("vae", "gmm", "vae2")
        for method in ("update", "send", "setup")
        for number in range(20)
    }
    assert len(seeds) == 3 * 3 * 3 * 20


def test_a_seed_is_the_same_in_every_process() -> None:
    assert seed_of(0, "vae", "update", 3) == 1448649881


def test_a_block_repeats_itself_and_leaves_no_trace():
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    with seeded(5, CPU):
        first = draws()
    with seeded(5, CPU):
        assert draws() == first
    with seeded(6, CPU):
        assert all(one != other for one, other in zip(draws(), first, strict=True))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert random.getstate() == python_state
    assert (np.random.get_state()[1] == numpy_state[1]).all()


def test_an_error_puts_the_generators_back_too() -> None:
    with seeded(1, CPU):
        expected = draws()
    with seeded(1, CPU):
        with pytest.raises(ZeroDivisionError), seeded(2, CPU):
            _ = 1 / (0.0 * draws()[0])
        assert draws() == expected
