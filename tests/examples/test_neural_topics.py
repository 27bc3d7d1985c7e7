"""The example: a text's class and a document's sounds tell more of its topics together than each alone."""

import numpy as np
import pytest
import torch

from examples import neural_topics as example

torch.set_num_threads(1)


def test_new_documents_are_drawn_from_the_same_topics_and_nothing_is_drawn_twice():
    known, new = example.draw(0)
    assert len(known.words) == example.LEARNT
    assert len(new.words) == example.NEW
    assert set(known.topics) == set(new.topics) == set(range(example.TOPICS))
    assert not (known.words[: example.NEW] == new.words).all()
    assert np.array_equal(example.draw(0)[1].sounds, new.sounds)


@pytest.mark.slow
def test_both_senses_together_tell_more_than_each_alone():
    def mean(*senses):
        runs = [example.learn(seed, *senses) for seed in range(example.SEEDS)]
        return {name: np.mean([run[name] for run in runs]) for name in runs[0]}

    both = mean("words", "sounds")
    assert both["gmm.c"] > mean("words")["gmm.c"]
    assert both["lda.z"] > mean("sounds")["lda.z"]
