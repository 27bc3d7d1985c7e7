"""Latent Dirichlet allocation over any number of modalities, by variational Bayes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pgmgraph import (
    Batches,
    Categorical,
    CategoricalPotential,
    Context,
    Guarantee,
    Ins,
    Message,
    Module,
    Out,
    Outbox,
    Point,
    SparsePoint,
)
from pgmgraph.errors import WiringError
from pgmgraph_modules.arguments import check_counts, check_weights, check_words
from pgmgraph_modules.lda.documents import Documents, expected_words
from pgmgraph_modules.lda.drawing import drawn_counts, drawn_proportions, tempered
from pgmgraph_modules.lda.pages import Likelihoods
from pgmgraph_modules.lda.shares import CONCAVE_FROM, Shares, divergence, explained
from pgmgraph_modules.lda.topics import Topics

_BYTES_LAID_OUT = 128 * 2**20
_LEAST_CONCENTRATION = 0.01
_STEPPED_ELBO_ITEMS = 65_536


class LDA(Module):
    """Documents are mixtures of topics, and a topic has a distribution over the words of each modality.

    Document d has proportions theta_d ~ Dirichlet(alpha, ..., alpha). Each of its tokens, in modality m, has a topic
    t ~ theta_d and a word v ~ phi^m_t; phi^m_k ~ Dirichlet(beta, ..., beta). A token's word is

    - observed: counts of words, x_d(v) >= 0, come as points; sum_v x_d(v) log p(v) has no multinomial coefficient;
    - or the class c of another module, which sends lambda_d(c) = log p(its data | c): one token a document. Its belief
      q(t, c) ~= exp(E log theta_t + E log phi_tc + lambda(c)) is joint, and q(c) goes back.

    Upwards a document has a topic of its own, z_d: a token without a word. Unwired, p(z) = 1 / K and z is drawn from
    theta, which is to say theta | z ~ Dirichlet(alpha + e_z); wired, p(z) is the parent's, and p(theta | z) stays the
    same. The belief is q(z) q(theta | z) q(tokens) with q(theta | z) = Dirichlet(a + e_z) (see `shares`), so what goes
    up, the derivative of the bound with respect to q(z), is log E[theta_z] - log E_prior[theta_z] = log(K a_z / a_0).
    Unwired, q(z) = a / a_0: the proportions of the topics in the document, and all is Blei, Ng and Jordan (2003).

    Own terms: sum over tokens of log sum_k exp(E log theta_k + E log phi_kv), and H[q(c)] of each class, less
    KL(q(theta | z) || p(theta | z)) and KL(q(phi) || p(phi)). Tokens' topics and theta are private: they are taken
    where they are best for the beliefs at the ports. From alpha = 1/2 on that is the one maximum, and an update never
    lowers F. With a smaller alpha there may be several, the one that is found may change, and nothing is guaranteed.

    A document without any token is missing. Of one that is missing in a modality the class there is predicted from the
    others; what goes back stays flagged. Learns and sends in float64.

    Ports:
        x: a family of one at least, `x["sound"]`: counts (V,), sparse or dense, or potentials of another module's
            classes.
        z: the document's topic. Unwired, the belief is the proportions of the topics.

    Args:
        topics: K.
        concentration: alpha, of the topics in a document.
        word_concentration: beta, of the words in a topic.
        passes: times that one update runs over the plate.
        batch_size: documents in a step of stochastic variational inference (Hoffman, Blei and Bach, 2010), whose
            guarantee is "stochastic"; None learns from all documents at once. F is then taken on at most 65,536.
        delay: with batch_size, at least 1: step t goes a share (t + delay)^-forgetting of the way.
        forgetting: with batch_size, above 0.5 and at most 1.
        weights: by modality, how often each of its tokens counts: of a class, how many tokens it has. Any but 1 tempers
            the model: the same evidence counts several times, or a part of one, and nothing is guaranteed.

    Raises:
        ValueError: an argument that no topic model can have.
    """

    x = Ins(SparsePoint, CategoricalPotential, back=Categorical, optional=True)
    z = Out(CategoricalPotential, back=Categorical)

    dtype = torch.float64

    def __init__(
        self,
        topics: int,
        *,
        concentration: float = 0.5,
        word_concentration: float = 0.1,
        passes: int = 2,
        batch_size: int | None = None,
        delay: float = 10.0,
        forgetting: float = 0.7,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        check_counts({"topics": topics, "passes": passes, "batch_size": batch_size, "delay": delay})
        for name, value in {"concentration": concentration, "word_concentration": word_concentration}.items():
            if not _LEAST_CONCENTRATION <= value < math.inf:
                raise ValueError(f"Expected {name} of at least {_LEAST_CONCENTRATION}; got {value}.")
        if not 0.5 < forgetting <= 1:
            raise ValueError(f"Expected forgetting above 0.5 and at most 1; got {forgetting}.")
        for key, weight in (weights or {}).items():
            if not 0 < weight < math.inf:
                raise ValueError(
                    f"Expected a positive weight of {key!r}; got {weight}. To leave it out, do not wire it."
                )
        self.topics = topics
        self.concentration = concentration
        self.word_concentration = word_concentration
        self.passes = passes
        self.step_items = batch_size
        self.elbo_items = None if batch_size is None else _STEPPED_ELBO_ITEMS
        self.delay = delay
        self.forgetting = forgetting
        self.weights = dict(weights or {})

    @property
    def guarantee(self) -> Guarantee:  # type: ignore[override]  # it depends on what was chosen
        """Exact, unless there are weights, small concentrations or steps on minibatches."""
        if self._tempered or self.concentration < CONCAVE_FROM:
            return "none"
        return "exact" if self.step_items is None else "stochastic"

    def check_wiring(self, connected: frozenset[str], owned: frozenset[str]) -> list[str]:
        """See `Module`."""
        if "x" not in connected:
            raise WiringError("Expected a wire at one modality at least: graph.connect(words.value, lda.x['words']).")
        if not self._tempered:
            return []
        counted = ", ".join(f"{key} {weight:g} times" for key, weight in self._tempered.items())
        return [f"tokens are counted {counted}, which tempers the model: F is no bound, and nothing is guaranteed."]

    def event_shapes(self, x: Mapping[str, tuple[int, ...] | None]) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        check_weights(self.weights, x, "modalities")
        check_words("x", x)
        return {"z": (self.topics,)}

    def supports(self) -> dict[str, tuple[float, float]]:
        """See `Module`: nothing occurs less than never."""
        return {"x": (0.0, math.inf)}

    def setup(self, context: Context) -> None:
        """See `Module`; the topics come with the first data, in `start`."""
        super().setup(context)
        words = sum(shape[0] for port, shape in context.shapes.items() if port != "z")
        self.at_once = max(1, _BYTES_LAID_OUT // (8 * words))
        self._set(None, {}, 0)

    def start(self, batches: Batches) -> None:
        """Draw topics around what all documents have in common."""
        shapes = {port.removeprefix("x."): shape for port, shape in self.context.shapes.items() if port != "z"}
        sums = {key: torch.zeros(shape, dtype=self.dtype, device=self.context.device) for key, shape in shapes.items()}
        present = dict.fromkeys(sums, 0)
        counted: set[str] = set()
        for batch in batches.in_order(self.at_once):
            messages = batch["x"]
            assert isinstance(messages, Mapping)
            for key, message in messages.items():
                words = expected_words(message).compact()
                sums[key].index_add_(0, words.columns, words.values)
                present[key] += int((~message.missing_rows()).sum())
                counted |= {key} if isinstance(message, SparsePoint) else set()
        lengths = {key: float(sums[key].sum()) / max(1, present[key]) for key in sums if key in counted}
        self._set(Topics.at_random(sums, self.topics, self.word_concentration), lengths, 0)

    def statistics(self, x: Mapping[str, Message], z: Categorical | None) -> Tensor:
        """The expected number of each topic's words, (K, V) over the words of all modalities."""
        sums = self._explained(x, z, summed=True)[1].sums
        assert sums is not None
        return sums

    def learn(self, total: Tensor) -> None:
        """The M step; with batch_size, a share of it."""
        share = 1.0
        if self.step_items is not None:
            share = (self._steps + self.delay) ** -self.forgetting
        self._set(self._known().updated(total, share), self._lengths, self._steps + 1)

    def send(self, x: Mapping[str, Message], z: Categorical | None) -> Outbox:
        """The belief about each class back to it; the proportions of the topics, or their log-likelihoods, up."""
        documents, found = self._explained(x, z)
        proportions = found.concentration / found.concentration.sum(1, keepdim=True)
        back = {}
        for key, probs in found.classes.items():
            missing = x[key].missing_rows()
            # Nothing is asked back of a row that nothing was observed of: it is predicted.
            probs = torch.where(missing[:, None], proportions @ self.words(key), probs)
            back[key] = Categorical(probs, missing=x[key].missing)
        empty = documents.tokens == 0
        nothing = empty if empty.any() else None
        if "z" in self.context.owned:
            return Outbox(x=back, z=Categorical(proportions, missing=nothing))
        return Outbox(x=back, z=CategoricalPotential(proportions.log() + math.log(self.topics), missing=nothing))

    def elbo(self, x: Mapping[str, Message], z: Categorical) -> dict[str, Tensor]:
        """See the class. Unwired, z tells the belief about theta, and is itself summed out."""
        known = self._known()
        documents = Documents.of(x, known.columns, self.weights)
        above: Tensor | None = z.probs
        concentration: Tensor | None = None
        if "z" in self.context.owned:
            above, concentration = None, z.probs * (self.topics * self.concentration + documents.tokens)[:, None]
        found = explained(documents, self._likelihoods(), self.concentration, above, concentration)
        terms = {
            "log p(x|theta)": found.evidence,
            "-KL theta": -divergence(found.concentration, self.concentration, above),
            "-KL topics": -known.divergence(),
        }
        for key, message in x.items():
            if isinstance(message, Categorical):
                entropy = message.entropy().masked_fill(message.missing_rows(), 0.0)
                terms[f"H[{key}]"] = self.weights.get(key, 1.0) * entropy
        return terms

    def predict(self, port: str, z: Categorical) -> Point:
        """How often each word is expected in a document of mean length, (n, V), given the proportions of its topics."""
        key = port.removeprefix("x.")
        return Point(self._lengths[key] * (z.probs @ self.words(key)))

    def sample(self, n: int, z: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor | dict[str, Tensor]]:
        """Draw proportions given topics, and for each modality a document of mean length, or one class."""
        if z is None:
            z = Categorical(torch.full((n, self.topics), 1 / self.topics, dtype=self.dtype)).draw(temperature)
        proportions = tempered(drawn_proportions(z, self.topics, self.concentration, temperature), temperature)
        drawn: dict[str, Tensor] = {}
        for key in self._known().concentration:
            words = proportions @ tempered(self.words(key), temperature)
            if key in self._lengths:
                drawn[key] = drawn_counts(words, round(self._lengths[key]))
            else:
                drawn[key] = Categorical(words).draw()
        return {"z": z, "x": drawn}

    def words(self, key: str) -> Tensor:
        """E[phi^m], the distribution of each topic over the words of one modality, (K, V_m)."""
        return self._known().mean(key)

    def state_dict(self) -> dict[str, object]:
        """The topics, the mean lengths of documents and the number of steps; empty before the first update."""
        if self._topics is None:
            return {}
        return {
            "topics": dict(self._topics.concentration),
            "lengths": dict(self._lengths),
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        if not state:
            self._set(None, {}, 0)
            return
        topics, lengths, steps = state["topics"], state["lengths"], state["steps"]
        assert isinstance(topics, dict)
        assert isinstance(lengths, dict)
        assert isinstance(steps, int)
        self._set(Topics(topics, self.word_concentration), lengths, steps)

    @property
    def _tempered(self) -> dict[str, float]:
        return {key: weight for key, weight in self.weights.items() if weight != 1}

    def _set(self, topics: Topics | None, lengths: Mapping[str, float], steps: int) -> None:
        self._topics, self._lengths, self._steps = topics, lengths, steps
        self._expected: Likelihoods | None = None

    def _known(self) -> Topics:
        assert self._topics is not None
        return self._topics

    def _likelihoods(self) -> Likelihoods:
        if self._expected is None:
            self._expected = Likelihoods(self._known().expected_log())
        return self._expected

    def _explained(
        self, x: Mapping[str, Message], z: Categorical | None, summed: bool = False
    ) -> tuple[Documents, Shares]:
        """The E step: the documents, and what the topics make of them."""
        documents = Documents.of(x, self._known().columns, self.weights)
        above = None if z is None else z.probs
        return documents, explained(documents, self._likelihoods(), self.concentration, above, summed=summed)
