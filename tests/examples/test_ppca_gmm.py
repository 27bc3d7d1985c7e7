"""The example's models, on part of its data: messages back raise F, whichever module is below."""

import dataclasses

import pytest

from examples import ppca_gmm as example
from pgmgraph.datasets import load_bundled_digits
from pgmgraph_modules.linear_gaussian import PPCA, FactorAnalysis


@pytest.mark.parametrize("kind", [PPCA, FactorAnalysis])
def test_messages_back_raise_f(kind):
    digits = load_bundled_digits()
    part = dataclasses.replace(digits, train_images=digits.train_images[:300], train_labels=digits.train_labels[:300])
    (bound, accuracy), (without, _) = (example.learn(part, kind(4), backward) for backward in (True, False))
    assert bound > without
    assert accuracy > 0.4
