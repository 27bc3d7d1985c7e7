"""Damaged files are refused, or nothing is lost: never an error from within, never wrong numbers."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.damage import victims
from tests.faults.fuzz import fuzz, table

INPUTS = int(os.environ.get("PGMGRAPH_FUZZ_INPUTS", "300"))


@pytest.fixture(scope="module")
def hurt(tmp_path_factory):
    return victims(tmp_path_factory.mktemp("victims"))


def test_whole_files_are_read(hurt):
    for victim in hurt:
        assert victim.suffer(victim.whole) == ("read" if victim.bits is None else "harmless")


@pytest.mark.filterwarnings("ignore")  # of images that were damaged
def test_damaged_files_are_refused_or_as_they_were(tmp_path):
    counts = fuzz(tmp_path, INPUTS, seed=0)
    print(table(counts))
    for kind, counted in counts.items():
        assert counted["refused"] > counted.total() / 2, kind


@st.composite
def damages(draw):
    """A place, how much is cut out there, and what is put in; from nothing at all to all there is."""
    return draw(st.floats(0, 1)), draw(st.sampled_from((0, 1, 2, 8, 10**9))), draw(st.binary(max_size=8))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(damages(), min_size=1, max_size=3))
def test_nothing_escapes_whatever_is_cut_out_and_put_in(hurt, data, damage):
    victim = data.draw(st.sampled_from(hurt), "file")
    content = victim.whole
    for where, cut, put in damage:
        place = round(where * len(content))
        content = content[:place] + put + content[place + cut :]
    assert victim.suffer(content) in {"refused", "harmless", "read"}
