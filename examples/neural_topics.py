"""A neural topic model of texts feeds a topic model of sounds, on documents of two senses that are drawn at random.

A multinomial VAE finds a vector z in each text, a mixture a class of it. The class is one more token for the LDA beside
the document's sounds, and what the LDA believes of it goes back: to the mixture, and so to the VAE.

Run it: python examples/neural_topics.py
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pgmgraph import Categorical, ModelGraph, Observation, accuracy, fit, infer
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.vae import VAE

TOPICS, DIMENSIONS, WORDS, SOUNDS, LEARNT, NEW, SEEDS = 6, 4, 120, 20, 900, 300, 3


class Corpus(NamedTuple):
    """Counts of words and of sounds, and the topic of each text."""

    words: NDArray[np.int64]
    sounds: NDArray[np.int64]
    topics: NDArray[np.int64]


def draw(seed: int) -> tuple[Corpus, Corpus]:
    """Documents to learn from, and new ones: about 20 sounds of all their topics, a text of about 40 words of one."""
    random, n = np.random.default_rng(seed), LEARNT + NEW
    shares = random.dirichlet(np.full(TOPICS, 0.2), n)
    topics = (shares.cumsum(1) > random.random((n, 1))).argmax(1)
    z = 2 * random.normal(size=(TOPICS, DIMENSIONS))[topics] + random.normal(size=(n, DIMENSIONS))
    logits = 0.5 * z @ random.normal(size=(DIMENSIONS, WORDS)) + random.normal(size=WORDS)
    words = random.multinomial(random.poisson(40, n), np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    sounds = random.multinomial(random.poisson(20, n), shares @ random.dirichlet(np.full(SOUNDS, 0.2), TOPICS))
    known, new = slice(LEARNT), slice(LEARNT, n)
    return Corpus(words[known], sounds[known], topics[known]), Corpus(words[new], sounds[new], topics[new])


def learn(seed: int, *senses: str) -> dict[str, float]:
    """The share of new texts whose topic is found, by module, from the senses that are learnt together."""
    (corpus, new), graph, gmm, lda = draw(seed), ModelGraph(), GMM(TOPICS, starts=8), LDA(TOPICS)
    if "words" in senses:
        vae = VAE(DIMENSIONS, hidden=(64,), likelihood="multinomial", first_epochs=20, epochs=2, lr=5e-3)
        for name, node in {"words": (words := Observation(corpus.words)), "vae": vae, "gmm": gmm}.items():
            graph.add(name, node)
        graph.connect(words.value, vae.x)
        graph.connect(vae.z, gmm.x)
    if "sounds" in senses:
        graph.add("sounds", sounds := Observation(corpus.sounds))
        graph.add("lda", lda)
        graph.connect(sounds.value, lda.x["sounds"])
    if len(senses) == 2:
        graph.connect(gmm.c, lda.x["text"])
    fit(graph, rounds=20, seed=seed)
    beliefs = infer(graph, {sense: getattr(new, sense) for sense in senses})
    found = {name: belief for name, belief in beliefs.items() if isinstance(belief, Categorical)}
    return {name: accuracy(belief.most_probable().numpy(), new.topics) for name, belief in found.items()}


def main() -> None:
    """Each sense alone, and both, over several corpora."""
    for senses in (("words",), ("sounds",), ("words", "sounds")):
        runs = [learn(seed, *senses) for seed in range(SEEDS)]
        for name in runs[0]:
            scores = np.array([run[name] for run in runs])
            print(f"{' and '.join(senses):17} {name:6} {scores.mean():.3f} +- {scores.std(ddof=1):.3f}")


if __name__ == "__main__":
    main()
