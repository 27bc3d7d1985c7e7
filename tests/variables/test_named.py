"""Mappings by the names of variables say what they hold."""

import torch

from pgmgraph import Beliefs, Categorical, Drawn
from pgmgraph.errors import UnknownNameError
from tests.refusals import refused


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    beliefs = Beliefs({"gmm.c": Categorical(torch.ones(3, 2) / 2)})
    with refused(UnknownNameError, "No belief about 'gmm.z'", "Did you mean 'gmm.c'?", "There are: gmm.c"):
        beliefs["gmm.z"]
    with refused(UnknownNameError, "Nothing was drawn for 'x'", "There are: none"):
        Drawn({})["x"]


def test_they_are_mappings_and_show_what_they_hold():
    drawn = Drawn({"vae.z": torch.zeros(4, 2)})
    assert list(drawn) == ["vae.z"]
    assert "vae.x" not in drawn
    assert drawn.get("vae.x") is None
    assert repr(drawn) == "Drawn(vae.z: Tensor of 4)"
