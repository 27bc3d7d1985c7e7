"""Any Pyro model and guide as a module: write `model` and `guide`, and the rest is here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, repeat
from typing import Any, Literal

import pyro
import torch
from pyro import distributions as dist
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence
from torch.nn.parallel import DistributedDataParallel

from pgmgraph import (
    Batch,
    Batches,
    Belief,
    Categorical,
    Context,
    Gaussian,
    GaussianEvidence,
    GaussianPotential,
    Guarantee,
    Message,
    MixturePotential,
    Module,
    Out,
    Outbox,
    Point,
)
from pgmgraph.errors import DataError, DefinitionError, DivergedError, MessageTypeError
from pgmgraph_modules.svi.estimator import MeanField
from pgmgraph_modules.svi.parts import loss_of_all_parts, summed_over_parts
from pgmgraph_modules.svi.potential_prior import PotentialPrior

_LEAST_ITEMS, _MOST_ITEMS = 512, 4_096
_LOOK = 64  # losses are looked at so many at once: a look stops a GPU until all that it was asked for is done
_SHARE = 1 / 20

Optimiser = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class SVIModule(Module):
    """A Pyro model and guide that learn by stochastic variational inference, minibatch by minibatch.

    A subclass declares its ports and writes

    - `build()`: make networks (`nn.Module`s, `PyroModule`s too) or `nn.Parameter`s as attributes;
      `self.context.shapes` has the shapes at the ports. Nothing lives in Pyro's global store.
    - `model(<ports>)` and `guide(<ports>)`: Pyro functions of a minibatch of messages. The items stand
      in `with self.items(x):`; the latent of an Out port has the port's name as its site, and
      `self.prior(z, dimensions)` as its distribution in the model.

    and gets minibatches, messages as priors, device placement, progress, a state to save, its own terms of
    F, and `send`: the messages are what the guide says of the sites that are named for ports.

    Where the plate is split over processes (`Context.shards`), each step is one on the items of all parts together: its
    gradient is the sum of those of the parts, each weighted by the items that it has in the minibatch. A part whose
    items are all missing takes part in every step, and adds nothing.

    Args:
        epochs: passes over the plate in one update.
        first_epochs: the same for the first update; by default as `epochs`.
        batch_size: items in a minibatch.
        lr: the step size of Adam.
        optimiser: from the parameters, any torch optimiser in Adam's place.
        samples: draws of the guide for each step, where a term has no closed form.
        precision: what networks that are run by `run` learn in: "fp32", or "bf16" for their matrix products
            alone. Parameters, sums and all that is sent stay in float32.

    Raises:
        DivergedError: the loss turns NaN or infinite.
        DefinitionError: the model or guide uses `pyro.param` or `pyro.module`.
    """

    guarantee: Guarantee = "stochastic"
    at_once = 2_048
    amortised = True
    averages = True

    model: Callable[..., object]
    guide: Callable[..., object]

    def __init__(
        self,
        *,
        epochs: int = 1,
        first_epochs: int | None = None,
        batch_size: int = 128,
        lr: float = 1e-3,
        optimiser: Optimiser | None = None,
        samples: int = 1,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"Expected precision as one of fp32, bf16; got {precision!r}.")
        for name, value in {"epochs": epochs, "batch_size": batch_size, "lr": lr, "samples": samples}.items():
            if not value > 0:
                raise ValueError(f"Expected a positive {name}; got {value}.")
        self.epochs = epochs
        if first_epochs is not None and first_epochs < 1:
            raise ValueError(f"Expected first_epochs of at least 1; got {first_epochs}.")
        self.first_epochs = epochs if first_epochs is None else first_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.make_optimiser = optimiser or self._adam
        self.samples = samples
        self.precision = precision

    @property
    def elbo_items(self) -> int:  # type: ignore[override]  # it depends on the plate
        """On how many items F is taken: 4,096, or fewer where that would cost more than a twentieth of an update.

        A term of F costs a pass forward, an epoch one forward and two back. Under 512 items are never taken.
        """
        return max(_LEAST_ITEMS, min(_MOST_ITEMS, int(_SHARE * 3 * self.epochs * self.context.plate_size)))

    def build(self) -> None:
        """Make the networks, as attributes."""

    def setup(self, context: Context) -> None:
        """See `Module`."""
        super().setup(context)
        self.build()
        for network in self.networks.values():
            network.to(context.device)  # in place, for parameters too
        self._optimiser: torch.optim.Optimizer | None = None
        self._estimator = MeanField(num_particles=self.samples)  # type: ignore[no-untyped-call]

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by the attribute that holds them; parameters that stand alone under the name ""."""
        found = {name: value for name, value in vars(self).items() if isinstance(value, nn.Module)}
        alone = {name: value for name, value in vars(self).items() if isinstance(value, nn.Parameter)}
        return {**found, "": nn.ParameterDict(alone)} if alone else found

    def run(self, network: nn.Module, given: Tensor) -> Tensor:
        """What a network makes of its input: learnt in the chosen precision, used in float32; (n, ...) float32."""
        low = self.precision == "bf16" and network.training
        with torch.autocast(given.device.type, torch.bfloat16, enabled=low):
            made: Tensor = network(given)
        return made.float() if low else made

    @contextmanager
    def items(self, message: Message) -> Iterator[None]:
        """The plate of a minibatch, scaled up to the whole plate."""
        n = len(message)
        with pyro.plate("items", n, dim=-1), poutine.scale(scale=self.context.plate_size / n):
            yield

    def prior(self, message: Message | None, dimensions: int) -> TorchDistribution:
        """The prior of a minibatch's latents: the message from above, or N(0, I) while there is none.

        Evidence alone is no prior, and multiplies N(0, I).
        """
        if isinstance(message, GaussianEvidence):
            ones = torch.ones_like(message.shift)
            log_scale = torch.full_like(message.log_scale, -0.5 * dimensions * math.log(2 * math.pi))
            return PotentialPrior(message * GaussianPotential(torch.zeros_like(ones), ones, log_scale))
        if isinstance(message, GaussianPotential | MixturePotential):
            return PotentialPrior(message)
        if message is not None:
            raise MessageTypeError(
                f"Expected a GaussianPotential or a MixturePotential as the prior in {self.context.name}; "
                f"got {type(message).__name__}."
            )
        zeros = torch.zeros(dimensions, device=self.context.device)
        standard: TorchDistribution = dist.Normal(zeros, torch.ones_like(zeros)).to_event(1)
        return standard

    def learn_batches(self, batches: Batches) -> None:
        """Epochs of gradient steps on the negative ELBO of a minibatch."""
        if self._optimiser is None:
            self._optimiser = self.make_optimiser(self._parameters())
        epochs = self.epochs if self.context.updates else self.first_epochs
        for network in self.networks.values():
            network.train()
        loss: _Loss | DistributedDataParallel = _Loss(self)
        if self.context.shards > 1:
            self.context.plate_size = int(summed_over_parts(torch.tensor(batches.size)))
            if not self.context.plate_size:
                raise DataError(f"Expected items for {self.context.name} to learn from; every row below it is missing.")
            # Averages gradients over the parts as they come. A minibatch may leave parameters out: the noise of
            # targets, where none of them is known.
            loss = DistributedDataParallel(loss, find_unused_parameters=True)
        for epoch in range(epochs):
            mean = self._epoch(batches, epoch, loss, self._optimiser)
            self.context.progress(epoch + 1, epochs, {"loss": mean})

    def send(self, *_: Any, **mail: Any) -> Outbox:  # Any: a subclass names its ports, as in `model`
        """What the guide says of the sites that are named for ports."""
        with self._evaluating(), self._pyro(validate=False):
            trace = poutine.trace(self.guide).get_trace(**mail)
        sites: Mapping[str, Any] = trace.nodes
        for name in dict(self.outs()):
            if name not in sites:
                found = ", ".join(trace.stochastic_nodes) or "none"
                raise DefinitionError(
                    f"The guide of {self.context.name} has no sample site named {name!r}, as its Out port is; "
                    f"its sites: {found}. Name it for the port, or write {type(self).__name__}.send.",
                    type(self),
                )
        messages = {port: self._message(declaration, sites[port]["fn"]) for port, declaration in self.outs()}
        return Outbox(elbo=None, beliefs=None, **messages)

    def elbo(self, *_: Any, **beliefs: Any) -> Mapping[str, Tensor]:
        """The terms of the model's sites, less those of the guide's, under the beliefs at the ports."""
        held = {port: belief for port, _ in self.outs() if isinstance(belief := beliefs[port], Belief)}
        below = {name: message for name, message in beliefs.items() if name not in held}
        mail: dict[str, Any] = {**below, **dict.fromkeys(held)}
        drawn = {port: belief.distribution().sample() for port, belief in held.items()}
        with self._evaluating(), self._pyro(validate=False):
            guide = poutine.trace(poutine.condition(self.guide, data=drawn)).get_trace(**mail)
            inner: dict[str, Any] = {name: guide.nodes[name]["value"] for name in guide.stochastic_nodes}
            model = poutine.trace(poutine.condition(self.model, data={**inner, **drawn})).get_trace(**mail)
        terms: dict[str, Tensor] = {}
        sites: Mapping[str, Any] = model.nodes
        for name, site in sites.items():
            if site["type"] != "sample" or type(site["fn"]).__name__ == "_Subsample":
                continue
            if name not in held:
                terms[f"log p({name})"] = _log_prob(site)
                if name in inner:
                    terms[f"H[{name}]"] = -_log_prob(guide.nodes[name])
            elif name in self.context.owned:
                terms[f"-KL {name}"] = -_divergence(held[name], site)
        for name, belief in held.items():
            if name not in self.context.owned:
                terms[f"H[{name}]"] = belief.entropy()
        return terms

    def state_dict(self) -> dict[str, object]:
        """The networks' parameters and the optimiser's state."""
        state: dict[str, object] = {name: network.state_dict() for name, network in self.networks.items()}
        return {"networks": state, "optimiser": self._optimiser.state_dict() if self._optimiser else None}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        networks, optimiser = state["networks"], state["optimiser"]
        assert isinstance(networks, Mapping)
        for name, network in self.networks.items():
            network.load_state_dict(networks[name])
        self._optimiser = None
        if isinstance(optimiser, dict):
            self._optimiser = self.make_optimiser(self._parameters())
            self._optimiser.load_state_dict(optimiser)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for network in self.networks.values() for parameter in network.parameters()]

    def _adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, fused=True)

    def _epoch(
        self, batches: Batches, epoch: int, loss_of: Callable[..., Tensor], optimiser: torch.optim.Optimizer
    ) -> float:
        """One pass over the plate; returns the loss of an item, averaged over the minibatches."""
        total, unseen = 0.0, list[tuple[Tensor, int]]()
        for number, batch in enumerate(self._minibatches(batches)):
            # Pyro's checks of model and guide cost as much as a small network: the first minibatch has them.
            with self._pyro(validate=epoch == 0 and number == 0):
                loss = loss_of(**batch)
            items, value = _length(batch), loss.detach()
            if self.context.shards > 1:
                share = items
                value, items = loss_of_all_parts(value, share)
                if not items:
                    break
                # The parts' gradients are averaged; what is wanted is that of the mean over all items.
                loss = loss * (share * self.context.shards / items)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            unseen.append((value, items))
            if len(unseen) == _LOOK:
                total += self._seen(unseen, epoch, number)
                unseen.clear()
        if unseen:
            total += self._seen(unseen, epoch, number)
        return total / (batches.size if self.context.shards == 1 else self.context.plate_size)

    def _seen(self, losses: Sequence[tuple[Tensor, int]], epoch: int, last: int) -> float:
        """The sum over items of the losses of minibatches up to number `last`, which must all be finite."""
        values: list[float] = torch.stack([loss for loss, _ in losses]).tolist()
        for number, value in enumerate(values, last + 1 - len(values)):
            if not math.isfinite(value):
                raise DivergedError(
                    f"The loss of {self.context.name} turned {value} in round {self.context.round}, epoch {epoch}, "
                    f"minibatch {number}; {self.context.name} is as it was before this update. "
                    "Lower lr, or look at the scale of the data.",
                    self.context.name,
                    self.context.round,
                    number,
                )
        return sum(value * items for value, (_, items) in zip(values, losses, strict=True))

    def _minibatches(self, batches: Batches) -> Iterator[Batch]:
        """Those of an epoch; of a part of the plate its share of each, and empty ones as long as others have more."""
        if self.context.shards == 1:
            return batches.shuffled(self.batch_size)
        steps = math.ceil(self.context.plate_size / self.batch_size)
        return chain(batches.shuffled(max(1, math.ceil(batches.size / steps))), repeat({}))

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The networks as they are in use: no dropout, no statistics taken from the batch, no gradients."""
        for network in self.networks.values():
            network.eval()
        with torch.no_grad():
            yield

    @contextmanager
    def _pyro(self, validate: bool) -> Iterator[None]:
        """Pyro without its global state: a parameter store that is empty, and must stay so."""
        with ExitStack() as stack:
            stack.enter_context(pyro.settings.context(module_local_params=True))
            stack.enter_context(pyro.validation_enabled(validate))
            stack.enter_context(pyro.get_param_store().scope())
            yield
            strays = sorted(pyro.get_param_store().keys())
        if strays:
            raise DefinitionError(
                f"{type(self).__name__} put {strays[0]!r} into Pyro's global parameter store. Hold parameters as "
                "networks or nn.Parameters made in `build`; call neither pyro.param nor pyro.module.",
                type(self),
            )

    def _message(self, port: Out, fn: Distribution) -> Message:
        if isinstance(fn, torch.distributions.Independent) and isinstance(fn.base_dist, torch.distributions.Normal):
            return Gaussian(fn.base_dist.loc, fn.base_dist.scale.square())
        if isinstance(fn, torch.distributions.MultivariateNormal):
            return Gaussian(fn.mean, fn.covariance_matrix)
        if isinstance(fn, torch.distributions.Categorical | torch.distributions.OneHotCategorical):
            return Categorical(fn.probs)
        if isinstance(fn, dist.Delta):
            point: Tensor = fn.v
            return Point(point) if port.belief is Point else Gaussian(point, torch.zeros_like(point))
        raise MessageTypeError(
            f"No message is made from the guide's {type(fn).__name__} at {self.context.name}.{port.name}. "
            f"Write {type(self).__name__}.send."
        )


class _Loss(nn.Module):
    """The loss of an item, as a module whose parameters are those of the networks."""

    def __init__(self, module: SVIModule) -> None:
        super().__init__()
        self.networks = nn.ModuleList(module.networks.values())
        self._of = module

    def forward(self, **batch: Any) -> Tensor:  # Any: what lies at the ports, as in `SVIModule.model`
        module = self._of
        if not batch:  # nothing, but a function of every parameter, so that each has a gradient to be averaged
            return sum((0.0 * parameter.sum() for parameter in self.parameters()), torch.zeros(()))
        loss: Tensor = module._estimator.differentiable_loss(module.model, module.guide, **batch)
        return loss / module.context.plate_size


def _length(batch: Batch) -> int:
    return max((len(message) for message in batch.values() if isinstance(message, Message)), default=0)


def _log_prob(site: Mapping[str, Any]) -> Tensor:  # Any: Pyro's record of a site
    """A site's log-probability without its scale: (n,) within the plate of items, () outside."""
    log_prob: Tensor = site["fn"].log_prob(site["value"])
    if any(frame.name == "items" for frame in site["cond_indep_stack"]):
        return log_prob.reshape(-1, log_prob.shape[-1]).sum(0)
    return log_prob.sum()


def _divergence(belief: Belief, site: Mapping[str, Any]) -> Tensor:
    """KL(belief || prior) of each item, in closed form where there is one, by the site's draw otherwise."""
    q = belief.distribution()
    try:
        return kl_divergence(q, site["fn"])
    except NotImplementedError:
        return q.log_prob(site["value"]) - _log_prob(site)
