"""Parameters of modules, as a list for people to read."""

from __future__ import annotations

from pgmgraph.config import Parameter, parameters
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.toys import Centre, Noisy


def test_parameters_of_modules() -> None:
    assert parameters(VAE)[:2] == [
        Parameter("latent_dim", "int", required=True, default=None),
        Parameter("architecture", "Literal['perceptron', 'conv']", required=False, default="perceptron"),
    ]
    assert [one.name for one in parameters(GMM) if one.required] == ["components"]
    assert parameters(Noisy) == [Parameter("noise", "float", False, 0.5), Parameter("learn_shift", "bool", False, True)]


def test_a_module_without_a_constructor_takes_nothing() -> None:
    assert parameters(Centre) == []
