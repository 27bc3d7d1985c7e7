"""A mixture of items with several modalities: one class above classes, vectors and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from pgmgraph import (
    Batches,
    Categorical,
    CategoricalPotential,
    Context,
    Gaussian,
    Guarantee,
    Ins,
    Message,
    Module,
    Out,
    Outbox,
    Point,
    PooledGaussianPotential,
)
from pgmgraph.errors import DataError, ScheduleError, WiringError
from pgmgraph_modules.arguments import check_choice, check_counts, check_positive, check_weights, check_words
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.conjugate.prior import prior_from
from pgmgraph_modules.multimodal.belief import JointBelief
from pgmgraph_modules.multimodal.parameters import Modality, Parameters, log_likelihoods
from pgmgraph_modules.multimodal.starts import best_start
from pgmgraph_modules.multimodal.tables import Classes, Words

_BYTES_LAID_OUT = 128 * 2**20
_BYTES_AT_START = 512 * 2**20


class MultimodalMixture(Module):
    r"""One class c_n for all modalities of an item, each of which is explained given c_n.

    p(pi) Dirichlet, c_n ~ pi; and, in any number of modalities m:

    - a class k_n of another module, which sends log lambda_n(k): k_n ~ T_c, each row T_c Dirichlet. Labels need no
      matching by hand, since the table says which k go with which c;
    - vectors, x_n ~ N(mu_c, Lambda_c^-1), each (mu_c, Lambda_c) Normal-Wishart;
    - counts, w_n: sum_v w_nv log phi_cv, each phi_c Dirichlet.

    The belief is q(c) prod_m q(k^m | c) q(pi, T, mu, Lambda, phi), joint in the classes (variational message passing,
    Winn and Bishop, 2005), and with expectations under the parameters and under the belief about x::

        e_n(c)   = sum_k-modalities log sum_k exp(E log T_ck + log lambda_n(k))
                   + sum E log N(x_n | mu_c, Lambda_c) + sum w_nv E log phi_cv
        q(c)     ~ exp(E log pi_c + e_n(c)),      q(k | c) ~ exp(E log T_ck + log lambda_n(k))
        to k:    q(k) = sum_c q(c) q(k | c);      to x: sum_c q(c) E log N(x | mu_c, Lambda_c)
        up:      e_n(c), the derivative of the bound with respect to q(c).

    Given the parameters q(c, k) is the exact posterior. Own terms: E log p(c) + H[q(c)] where c is its own;
    E log p(k | c) + H[q(k | c)]; E log p(x | c); log p(w | c); less the KL of the parameters. A modality that is
    missing says nothing. Learns and sends in float64.

    Where c has a parent and there are classes below, q(k) in the mail is older than the parent's q(c) until the mixture
    sends again. F is then a bound at the end of rounds that end with the parent, and nothing is guaranteed.

    Ports, one wire at least:
        x: a family of other modules' classes, which the mixture holds: `x["image"]`.
        v: a family of vectors, as beliefs or values. Sends back a potential.
        w: a family of counts (V,).
        c: the class. Unwired, the mixture holds it; wired, the parent does, and takes log-likelihoods.

    Args:
        components: the number of classes c.
        concentration: of the Dirichlet prior of pi, for each class. N / components says, as firmly as the data, that
            classes are of about one size.
        table_concentration: of the Dirichlet priors of T.
        word_concentration: of the Dirichlet priors of phi.
        covariance: of vectors, "full" or "diagonal".
        weights: by port, as in {"w.sound": 0.2}, what a modality's evidence is multiplied by. Words that come in bursts
            say less than as many independent ones. Any but 1 tempers the model, and nothing is guaranteed.
        starts: how many starts are tried at the first update; the best by its own bound is kept. Three of four are
            cooled slowly (see `starts.py`), one is learnt from a partition.
        cooling: steps of deterministic annealing.
        passes: times that one update runs over the plate.

    Raises:
        ValueError: an argument that no mixture can have.
    """

    x = Ins(CategoricalPotential, back=Categorical, optional=True)
    v = Ins(Gaussian, back=PooledGaussianPotential, optional=True)
    w = Ins(Point, optional=True)
    c = Out(CategoricalPotential, back=Categorical)

    dtype = torch.float64

    def __init__(
        self,
        components: int,
        *,
        concentration: float = 1.0,
        table_concentration: float = 1.0,
        word_concentration: float = 1.0,
        covariance: Literal["full", "diagonal"] = "full",
        weights: Mapping[str, float] | None = None,
        starts: int = 8,
        cooling: int = 60,
        passes: int = 2,
    ) -> None:
        check_counts({"components": components, "starts": starts, "cooling": cooling, "passes": passes})
        check_positive({"concentration": concentration, "table_concentration": table_concentration})
        check_positive({"word_concentration": word_concentration})
        check_positive({f"weight of {port}": weight for port, weight in (weights or {}).items()})
        check_choice("covariance", covariance, ("full", "diagonal"))
        self.components = components
        self.concentration = concentration
        self.table_concentration = table_concentration
        self.word_concentration = word_concentration
        self.covariance = covariance
        self.weights = dict(weights or {})
        self.starts = starts
        self.cooling = cooling
        self.passes = passes

    @property
    def guarantee(self) -> Guarantee:  # type: ignore[override]  # it depends on the weights and on the wiring
        """Exact, unless a modality is weighted, or c has a parent and there are classes below."""
        followed = hasattr(self, "context") and "c" not in self.context.owned and "x" in self.context.connected
        return "none" if self._tempered or followed else "exact"

    def check_wiring(self, connected: frozenset[str], owned: frozenset[str]) -> list[str]:
        """See `Module`."""
        if not connected & {"x", "v", "w"}:
            raise WiringError(
                "Expected a wire at one modality at least: graph.connect(words.value, mixture.w['sound'])."
            )
        remarks = []
        if self._tempered:
            counted = ", ".join(f"{port} {weight:g} times" for port, weight in self._tempered.items())
            remarks.append(f"evidence is counted {counted}, which tempers the model: F is no bound of the evidence.")
        if "c" not in owned and "x" in connected:
            remarks.append("c has a parent and there are classes below, so an update may lower F for a while.")
        return remarks

    def event_shapes(
        self,
        x: Mapping[str, tuple[int, ...] | None],
        v: Mapping[str, tuple[int, ...] | None],
        w: Mapping[str, tuple[int, ...] | None],
    ) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        families = {"x": x, "v": v, "w": w}
        shapes = {f"{port}.{key}": shape for port, family in families.items() for key, shape in family.items()}
        check_weights(self.weights, shapes, "ports")
        check_words("w", w)
        return {"c": (self.components,)}

    def supports(self) -> dict[str, tuple[float, float]]:
        """See `Module`: nothing occurs less than never."""
        return {"w": (0.0, math.inf)}

    def setup(self, context: Context) -> None:
        """See `Module`; the parameters come with the first data, in `start`."""
        super().setup(context)
        self._parameters: Parameters | None = None
        self._row = 8 * sum(self._numbers(port) for port in context.shapes if port != "c")
        self.at_once = max(1, _BYTES_LAID_OUT // self._row)

    def start(self, batches: Batches) -> None:
        """Fix the priors, and take the best of several starts."""
        items = max(1, _BYTES_AT_START // self._row)
        [batch] = batches.subset(items, torch.Generator().manual_seed(0)).in_order()
        mail = {
            f"{port}.{key}": message
            for port in ("x", "v", "w")
            if isinstance(family := batch[port], Mapping)
            for key, message in family.items()
        }
        for port in self.context.shapes:
            if port != "c" and port not in mail:
                name = self.context.name
                raise ScheduleError(
                    f"{name} would start without a message at {name}.{port}, and so without a prior for it. "
                    f"Put what lies below it before {name!r} in the schedule.",
                    name,
                )
        first = next(iter(mail.values()))
        concentration = torch.full((self.components,), self.concentration, dtype=self.dtype, device=first.device)
        modalities = {port: self._at_prior(message) for port, message in mail.items()}
        prior = Parameters(concentration, self.concentration, modalities, self.weights)
        self._parameters, bound = best_start(mail, prior, self.starts, self.cooling)
        self.context.progress(self.starts, self.starts, {"bound": bound})

    def statistics(
        self,
        x: Mapping[str, CategoricalPotential],
        v: Mapping[str, Gaussian],
        w: Mapping[str, Point],
        c: Categorical | None,
    ) -> Mapping[str, Tensor]:
        """The sums that the posterior follows from, by modality, and of q(c)."""
        mail = _by_port(x, v, w)
        return self._known().sums(mail, self._probs(mail, c))

    def learn(self, total: Mapping[str, Tensor]) -> None:
        """The M step."""
        self._parameters = self._known().updated(total)

    def send(
        self,
        x: Mapping[str, CategoricalPotential],
        v: Mapping[str, Gaussian],
        w: Mapping[str, Point],
        c: Categorical | None,
    ) -> Outbox:
        """The beliefs about the classes below, potentials to vectors, and q(c) or its log-likelihoods up."""
        mail = _by_port(x, v, w)
        probs = self._probs(mail, c)
        joint = {key: self._classes(key).belief(message, probs) for key, message in x.items()}
        back = {key: Categorical(belief.probs, missing=belief.missing) for key, belief in joint.items()}
        potentials = {key: self._message_to_v(key, message, probs) for key, message in v.items()}
        up: Message = Categorical(probs)
        if "c" not in self.context.owned:
            up = CategoricalPotential(self._known().log_likelihoods(mail))
        return Outbox(x=back, v=potentials, c=up, beliefs={f"x.{key}": belief for key, belief in joint.items()})

    def elbo(
        self, x: Mapping[str, Categorical], v: Mapping[str, Gaussian], w: Mapping[str, Point], c: Categorical
    ) -> Mapping[str, Tensor]:
        """See the class."""
        known = self._known()
        terms = {f"-KL {port}": -divergence for port, divergence in known.divergences().items()}
        for key, belief in x.items():
            assert isinstance(belief, JointBelief)
            weight = known.weight(f"x.{key}")
            terms[f"log p(x.{key}|c) + H"] = weight * (c.probs * belief.evidence).sum(1) - belief.counted
        for port, message in _by_port({}, v, w).items():
            found = log_likelihoods(known.modalities[port], message)
            terms[f"log p({port}|c)"] = known.weight(port) * (c.probs * found).sum(1)
        if "c" in self.context.owned:
            terms["log p(c)"] = c.probs @ known.expected_log_weights()
            terms["H[c]"] = c.entropy()
            terms["-KL weights"] = -known.divergence_of_weights()
        return terms

    def predict(self, port: str, c: Categorical) -> Point:
        """Expected vectors (n, D), or expected counts in an item of mean length, (n, V)."""
        match self._known().modalities[port]:
            case Emissions() as vectors:
                return Point(c.probs @ vectors.means)
            case Words() as words:
                return Point(words.length * (c.probs @ words.mean()))
        raise AssertionError(port)

    def sample(self, n: int, c: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor | dict[str, Tensor]]:
        """Draw c from the mean of pi; vectors from the posterior predictive, counts of mean length, and classes."""
        if c is None:
            c = Categorical(self.class_probs.expand(n, -1)).draw(temperature)
        drawn: dict[str, dict[str, Tensor]] = {"x": {}, "v": {}, "w": {}}
        for port, modality in self._known().modalities.items():
            drawn[port[0]][port[2:]] = self._drawn(port, modality, c, temperature)
        return {"c": c, **drawn}

    def table(self, key: str) -> Tensor:
        """E[T], p(k | c) of the classes at x[key], (components, K)."""
        return self._classes(key).mean()

    def words(self, key: str) -> Tensor:
        """E[phi], the distribution of each component over the words at w[key], (components, V)."""
        modality = self._known().modalities[f"w.{key}"]
        assert isinstance(modality, Words)
        return modality.mean()

    def log_likelihoods(self, port: str, message: Message) -> Tensor:
        """E[log p(message | c)] of the modality at a port, such as `v.image`, unweighted, (n, components)."""
        return log_likelihoods(self._known().modalities[port], message)

    @property
    def class_probs(self) -> Tensor:
        """E[pi], (components,)."""
        concentration = self._known().concentration
        return concentration / concentration.sum()

    def state_dict(self) -> dict[str, object]:
        """The parameters; empty before the first update."""
        return {} if self._parameters is None else self._parameters.state()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        nothing = torch.zeros(self.components, dtype=self.dtype, device=self.context.device)
        empty = Parameters(nothing, self.concentration, {}, self.weights)
        self._parameters = empty.of_state(state) if state else None

    @property
    def _tempered(self) -> dict[str, float]:
        return {port: weight for port, weight in self.weights.items() if weight != 1}

    def _numbers(self, port: str) -> int:
        """How many numbers a modality lays out for an item."""
        [size] = self.context.shapes[port]
        if port.startswith("v.") and self.covariance == "full":
            return 1 + size + size * (size + 1) // 2
        return size * self.components if port.startswith("x.") else 2 * size + 1

    def _at_prior(self, message: Message) -> Modality:
        match message:
            case Gaussian():
                seen = message if message.missing is None else message[~message.missing]
                layout, prior = prior_from(seen, self.components, full=self.covariance == "full")
                return Emissions(layout, prior, prior)
            case Point():
                present = message.value[~message.missing_rows()]
                uniform = torch.full((self.components, present.shape[1]), self.word_concentration).to(present)
                return Words(uniform, self.word_concentration, float(present.sum() / max(1, len(present))))
            case CategoricalPotential():
                weights = message.log_weights
                uniform = torch.full((self.components, weights.shape[1]), self.table_concentration).to(weights)
                return Classes(uniform, self.table_concentration)
        raise AssertionError(type(message).__name__)

    def _probs(self, mail: Mapping[str, Message], c: Categorical | None) -> Tensor:
        """q(c), (n, components)."""
        return torch.softmax(self._known().log_joint(mail), 1) if c is None else c.probs

    def _message_to_v(self, key: str, message: Gaussian, probs: Tensor) -> PooledGaussianPotential:
        modality = self._known().modalities[f"v.{key}"]
        assert isinstance(modality, Emissions)
        potential = modality.message(self._known().weight(f"v.{key}") * probs)
        return PooledGaussianPotential(
            potential.weights, potential.shift, potential.precision, potential.log_scale, missing=message.missing
        )

    def _drawn(self, port: str, modality: Modality, c: Tensor, temperature: float) -> Tensor:
        match modality:
            case Emissions(posterior=posterior, layout=layout):
                hottest = float(posterior.hottest[c].min())
                if temperature >= hottest:
                    raise DataError(
                        f"Expected a temperature below {hottest:.4g} to draw {port} from {self.context.name}; got "
                        f"{temperature:g}. A component that few items are known of has tails without an integral."
                    )
                return posterior.predictive(c, temperature) + layout.centre
            case Words():
                return _counts(modality.mean()[c], round(modality.length), temperature)
            case Classes():
                return Categorical(modality.mean()[c]).draw(temperature)

    def _classes(self, key: str) -> Classes:
        modality = self._known().modalities[f"x.{key}"]
        assert isinstance(modality, Classes)
        return modality

    def _known(self) -> Parameters:
        assert self._parameters is not None
        return self._parameters


Family = Mapping[str, Message]


def _by_port(x: Family, v: Family, w: Family) -> dict[str, Message]:
    families = {"x": x, "v": v, "w": w}
    return {f"{port}.{key}": message for port, family in families.items() for key, message in family.items()}


def _counts(probs: Tensor, length: int, temperature: float) -> Tensor:
    """`length` words for each row of probabilities, each drawn at a temperature, counted, (n, V)."""
    if temperature == 0:
        return length * torch.nn.functional.one_hot(probs.argmax(1), probs.shape[1]).to(probs)
    tempered = torch.softmax(probs.log() / temperature, 1)
    words = torch.multinomial(tempered, length, replacement=True) if length else tempered[:, :0].long()
    return torch.zeros_like(probs).scatter_add_(1, words, torch.ones_like(words).to(probs))
