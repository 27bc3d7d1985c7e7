"""The example: labels of one item in twenty reach the latent space, and the classifier is the better for it."""

import numpy as np
import pytest
import torch

from examples import semi_supervised as example
from pgmgraph.datasets import load_bundled_digits

torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:classifier. weight=20")
def test_messages_from_the_labels_make_the_labels_of_new_images_better():
    digits = load_bundled_digits()
    scores = {back: np.mean([example.learn(digits, seed, back) for seed in range(3)], 0) for back in (True, False)}
    assert (scores[True] > scores[False]).all()
    assert scores[True][0] > 0.7
