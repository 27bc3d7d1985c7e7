"""What learning with `LDA` costs: against scikit-learn's LatentDirichletAllocation.

Run it with `python -m benchmarks.lda`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import LatentDirichletAllocation

from benchmarks.report import Row, alternating, compare, settings, write
from pgmgraph import ModelGraph, Observation, fit
from pgmgraph_modules.lda import LDA

SEED = 0
WORD_CONCENTRATION = 0.1
TARGET = 1.0


@dataclass(frozen=True)
class Case:
    """Documents of a length over a vocabulary, and the model that they are learnt by."""

    length: int
    vocabulary: int
    topics: int
    concentration: float

    def __str__(self) -> str:
        return f"{self.length} words of {self.vocabulary}, {self.topics} topics, alpha {self.concentration:g}"


CASES = (
    Case(20, 500, 10, 0.5),
    Case(20, 5000, 50, 0.05),
    Case(100, 500, 10, 0.1),
    Case(100, 5000, 10, 1.0),
    Case(100, 500, 50, 1.0),
    Case(100, 5000, 50, 0.1),
    Case(500, 500, 10, 1.0),
    Case(500, 5000, 10, 0.1),
    Case(500, 500, 50, 0.5),
    Case(500, 5000, 50, 0.05),
)


class Ours:
    """A graph with nothing but a topic model."""

    def __init__(self, case: Case, counts: sparse.csr_array, passes: int) -> None:
        self.case, self.counts, self.passes = case, counts, passes
        self.lda = LDA(case.topics)

    def learn(self) -> None:
        """One update, from the start: passes of E and M steps, and one more E step, since messages are sent."""
        self.lda = LDA(
            self.case.topics,
            concentration=self.case.concentration,
            word_concentration=WORD_CONCENTRATION,
            passes=self.passes,
        )
        words = Observation(self.counts)
        graph = ModelGraph(words=words, lda=self.lda)
        graph.connect(words.value, self.lda.x["words"])
        fit(graph, rounds=1, objective=False, seed=SEED)


class Theirs:
    """scikit-learn's topic model with the same priors."""

    def __init__(self, case: Case, counts: sparse.csr_array, passes: int) -> None:
        self.counts = counts
        self.model = LatentDirichletAllocation(
            case.topics,
            doc_topic_prior=case.concentration,
            topic_word_prior=WORD_CONCENTRATION,
            max_iter=passes,
            random_state=SEED,
        )

    def learn(self) -> None:
        """As many passes, from the start."""
        self.model.fit(self.counts)

    def perplexity(self, components: NDArray[np.float64]) -> float:
        """scikit-learn's own measure on the documents, of the concentrations of anybody's topics."""
        phi = torch.from_numpy(components)
        self.model.components_ = components
        self.model.exp_dirichlet_component_ = (
            (torch.digamma(phi) - torch.digamma(phi.sum(1, keepdim=True))).exp().numpy()
        )
        return float(self.model.perplexity(self.counts))


def main() -> None:
    """Measure, and write the report."""
    given = settings("Learning with LDA against scikit-learn's LatentDirichletAllocation.")
    n, turns, passes = (20, 2, 2) if given.quick else (200, 5, 5)
    cases = CASES[:2] if given.quick else CASES
    rows = [_row(case, n, turns, passes) for case in cases]
    notes = [
        f"Each side learns {n} documents from its own random start, in {passes} passes of E and M steps, from a sparse "
        "matrix. LDA: `fit` of one update, with checks and one E step more, since it sends messages.",
        "E steps end as scikit-learn's do by default, at a mean change of 0.001, for alpha below 0.5. From there on "
        "LDA goes to the maximum, since its update is then guaranteed never to lower F.",
        "Ratios are of times: 0.5 is twice as fast.",
        "Perplexity: of LDA's topics over scikit-learn's, on the documents that were learnt, after so few passes.",
    ]
    write("lda", "Learning with LDA against scikit-learn", ("LDA", "scikit-learn"), rows, notes, given)


def _row(case: Case, n: int, turns: int, passes: int) -> Row:
    counts = _counts(case, n)
    ours, theirs = Ours(case, counts, passes), Theirs(case, counts, passes)
    times = alternating({"ours": ours.learn, "theirs": theirs.learn}, turns)
    topics = ours.lda.state_dict()["topics"]
    assert isinstance(topics, dict)
    own = theirs.perplexity(theirs.model.components_)
    extra = {"perplexity, of theirs": theirs.perplexity(topics["words"].numpy()) / own}
    return compare(str(case), times["ours"], times["theirs"], TARGET, extra)


def _counts(case: Case, n: int) -> sparse.csr_array:
    """Documents that mix few of the topics, which have most of their words to themselves; (n, V)."""
    generator = np.random.default_rng(SEED)
    topics = generator.dirichlet(np.full(case.vocabulary, 0.05), case.topics)
    shares = generator.dirichlet(np.full(case.topics, 0.2), n)
    drawn = [generator.multinomial(case.length, one / one.sum()) for one in shares @ topics]
    return sparse.csr_array(np.stack(drawn).astype(float))


if __name__ == "__main__":
    main()
