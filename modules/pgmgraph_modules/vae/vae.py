"""A variational autoencoder whose prior is whatever the graph says of its latents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import pyro
import torch
from pyro import distributions as dist
from pyro import poutine
from torch import Tensor, nn

from pgmgraph import (
    Batches,
    Context,
    Gaussian,
    GaussianEvidence,
    GaussianPotential,
    Guarantee,
    In,
    Message,
    MixturePotential,
    Out,
    Outbox,
    Point,
)
from pgmgraph.errors import ShapeError
from pgmgraph_modules.arguments import check_choice
from pgmgraph_modules.svi import SVIModule
from pgmgraph_modules.svi.module import Optimiser
from pgmgraph_modules.vae import networks
from pgmgraph_modules.vae.likelihoods import LIKELIHOODS
from pgmgraph_modules.vae.networks import ARCHITECTURES
from pgmgraph_modules.vae.ramp import Ramp


class VAE(SVIModule):
    """x_n given z_n by a decoder network, q(z_n) by an encoder network (Kingma and Welling, 2014).

    The prior of z_n is the potential that its parent sends back, item by item, full precisions included,
    or a whole mixture (Jiang et al., 2017); N(0, I) while there is none.

    With likelihood="multinomial" it is a neural topic model of counts (Miao, Yu and Blunsom, 2016): see
    `likelihoods.Multinomial`. The latent of a document without words is missing.

    Ports:
        x: values of any event shape; counts (V,) where the likelihood is multinomial. Asked to predict, it sends the
            mean that the decoder gives; of counts, in a document of mean length.
        z: the latent vector, which the VAE holds.

    Args:
        latent_dim: D, the dimensions of z.
        architecture: of the networks that it makes. "perceptron" takes events of any shape. "conv", strided
            convolutions and transposed ones back, takes images (H, W) or (C, H, W) from 8 x 8 pixels on.
        hidden: the encoder's hidden layers; the decoder has them in reverse, and none where the likelihood is
            multinomial. Of a perceptron, their units, by default (500, 500). Of "conv", the channels of its
            convolutions, each of which halves height and width, by default (32, 64); a dense layer with four
            times the last one's channels stands between them and z.
        encoder: in the place of the one that it makes: any network from (n, *event) to (n, 2 D), means
            and then log-variances. Of counts x it is given log(1 + x).
        decoder: any network from (n, D) to (n, *event): logits for a Bernoulli likelihood, means for a Gaussian; for a
            multinomial one, what the words' log-probabilities differ by from their log-frequencies.
        likelihood: "bernoulli", for values within [0, 1]; "gaussian", with one learnt variance; or "multinomial", for
            counts of words.
        epochs, first_epochs, batch_size, lr, optimiser, samples, precision: see `SVIModule`.
        kl_weight: the weight of the KL term, a number or a `Ramp` over rounds. F is reported at weight 1
            whatever it is; while it differs, the VAE guarantees nothing about F.
        send: what goes up to z's parent. "belief": mean and variance; "mean": the mean as if it were
            certain; "sample": one draw, likewise. The last two are what older models send.

    Raises:
        ValueError: an argument that no VAE can have.
        ShapeError: from `check` and `fit`, events that are no images where architecture="conv" needs them.
    """

    x = In(Point)
    z = Out(Gaussian, back=(GaussianPotential, MixturePotential, GaussianEvidence))

    def __init__(
        self,
        latent_dim: int,
        *,
        architecture: Literal["perceptron", "conv"] = "perceptron",
        hidden: Sequence[int] | None = None,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        likelihood: Literal["bernoulli", "gaussian", "multinomial"] = "bernoulli",
        epochs: int = 1,
        first_epochs: int | None = None,
        batch_size: int = 128,
        lr: float = 1e-3,
        kl_weight: float | Ramp = 1.0,
        send: Literal["belief", "mean", "sample"] = "belief",
        optimiser: Optimiser | None = None,
        samples: int = 1,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        super().__init__(
            epochs=epochs,
            first_epochs=first_epochs,
            batch_size=batch_size,
            lr=lr,
            optimiser=optimiser,
            samples=samples,
            precision=precision,
        )
        if latent_dim < 1:
            raise ValueError(f"Expected latent_dim of at least 1; got {latent_dim}.")
        lowest = min(kl_weight.start, kl_weight.end) if isinstance(kl_weight, Ramp) else kl_weight
        if not lowest > 0:
            raise ValueError(f"Expected a positive kl_weight; got {lowest}.")
        check_choice("architecture", architecture, tuple(ARCHITECTURES))
        check_choice("likelihood", likelihood, tuple(LIKELIHOODS))
        check_choice("send", send, ("belief", "mean", "sample"))
        self.latent_dim = latent_dim
        self.architecture = architecture
        self.hidden = ARCHITECTURES[architecture].hidden if hidden is None else tuple(hidden)
        if any(size < 1 for size in self.hidden):
            raise ValueError(f"Expected hidden layers of at least 1; got hidden={self.hidden}.")
        if architecture == "conv" and not self.hidden:
            raise ValueError("Expected at least one hidden layer for architecture='conv'; got hidden=().")
        if architecture == "conv" and likelihood == "multinomial":
            raise ValueError(
                "Expected architecture='perceptron' for likelihood='multinomial', since words have no neighbours; "
                "got 'conv'."
            )
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.kl_weight = kl_weight
        self.scheme = send

    @property
    def guarantee(self) -> Guarantee:  # type: ignore[override]  # it changes with the KL weight
        """Stochastic at a KL weight of 1, when the belief itself is sent; none otherwise."""
        return "stochastic" if self.scheme == "belief" and self.current_kl_weight == 1.0 else "none"

    @property
    def current_kl_weight(self) -> float:
        """The weight of the KL term in this round."""
        return self.kl_weight.at(self.context.round) if isinstance(self.kl_weight, Ramp) else self.kl_weight

    @property
    def candid(self) -> bool:  # type: ignore[override]  # it depends on what was chosen
        """See `Module`: the older schemes send something else than the belief."""
        return self.scheme == "belief"

    def supports(self) -> dict[str, tuple[float, float]]:
        """See `Module`."""
        support = LIKELIHOODS[self.likelihood].support
        return {} if support is None else {"x": support}

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        if x == () and not hasattr(self, "context"):  # the core says what a module that was set up expects
            raise ShapeError("Expected vectors or arrays at x; got numbers. A column is a vector too: values[:, None].")
        if x is not None:
            LIKELIHOODS[self.likelihood].check(x)
            if self.architecture == "conv":
                networks.check_images(x, self.hidden)
        return {"z": (self.latent_dim,)}

    def setup(self, context: Context) -> None:
        """See `Module`."""
        self.event_shape = context.shapes["x"]
        self._likelihood = LIKELIHOODS[self.likelihood](self.event_shape)
        super().setup(context)

    def build(self) -> None:
        """See `SVIModule`."""
        made = ARCHITECTURES[self.architecture]
        if self.encoder is None:
            self.encoder = made.encoder(self.event_shape, self.hidden, self.latent_dim)
        if self.decoder is None:
            hidden = self.hidden if self._likelihood.hidden_decoder else ()
            self.decoder = made.decoder(self.event_shape, hidden, self.latent_dim)
        self._check_networks()
        if self._likelihood.parameters is not None:
            self.noise = self._likelihood.parameters

    def _check_networks(self) -> None:
        """Refuse networks of the user's own whose shapes would broadcast or break in the middle of learning."""
        z, x = torch.zeros(2, self.latent_dim), torch.zeros(2, *self.event_shape)
        for name, network, given, expected in (
            ("encoder", self.encoder, x, (2, 2 * self.latent_dim)),
            ("decoder", self.decoder, z, (2, *self.event_shape)),
        ):
            assert network is not None
            parameter = next(network.parameters(), z)
            try:
                with self._evaluating():
                    got = tuple(network(given.to(parameter.device)).shape)
            except RuntimeError as error:
                raise ShapeError(
                    f"The {name} of {self.context.name} does not take {tuple(given.shape)}: {error}"
                ) from error
            if got != expected:
                raise ShapeError(
                    f"Expected the {name} of {self.context.name} to make {expected} of {tuple(given.shape)}"
                    + (", means and then log-variances" if name == "encoder" else "")
                    + f"; got {got}."
                )

    def learn_batches(self, batches: Batches) -> None:
        """See `SVIModule`."""
        self._likelihood.prepare(batches, self.context.shards)
        super().learn_batches(batches)

    def model(self, x: Point, z: Message | None) -> None:
        """p(z) p(x | z) of a minibatch."""
        with self.items(x):
            with self._latents(x):
                latent = pyro.sample("z", self.prior(z, self.latent_dim))
            pyro.sample("x", self._likelihood.distribution(self._decode(latent)), obs=x.value)

    def guide(self, x: Point, z: Message | None) -> None:
        """q(z | x) of a minibatch."""
        with self.items(x), self._latents(x):
            mean, deviation = self._encode(x.value)
            pyro.sample("z", dist.Normal(mean, deviation, validate_args=False).to_event(1))

    def send(self, x: Point, z: Message | None) -> Outbox:
        """q(z) of each item, or what an older scheme makes of it."""
        with self._evaluating():
            mean, deviation = self._encode(x.value)
        informative = self._likelihood.informative(x.value)
        missing = None if informative is None or informative.all() else ~informative
        belief = Gaussian(mean, deviation.square(), missing=missing)
        if self.scheme == "belief":
            return Outbox(z=belief)
        value = mean if self.scheme == "mean" else mean + deviation * torch.randn_like(deviation)
        return Outbox(z=Gaussian(value, torch.zeros_like(value), missing=missing), beliefs={"z": belief})

    def elbo(self, x: Point, z: Gaussian) -> Mapping[str, Tensor]:
        """See `SVIModule`; of a latent that is missing there are no terms."""
        terms = super().elbo(x=x, z=z)
        if z.missing is None:
            return terms
        return {name: term.masked_fill(z.missing, 0.0) for name, term in terms.items()}

    def predict(self, port: str, z: Gaussian) -> Point:
        """The decoder's mean at the mean of z: reconstructions."""
        with self._evaluating():
            return Point(self._likelihood.mean(self._decode(z.mean)))

    def sample(self, n: int, z: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """The decoder's mean at z, or at n draws from N(0, temperature I); the noise of single pixels is not drawn.

        Counts are drawn: documents of mean length.
        """
        if z is None:
            z = math.sqrt(temperature) * torch.randn(n, self.latent_dim, device=self.context.device)
        z = z.float()
        with self._evaluating():
            return {"z": z, "x": self._likelihood.drawn(self._decode(z), temperature)}

    @contextmanager
    def _latents(self, x: Point) -> Iterator[None]:
        """The latents of a minibatch, their KL term weighted; those that nothing is said of are left out."""
        with ExitStack() as stack:
            stack.enter_context(poutine.scale(scale=self.current_kl_weight))
            informative = self._likelihood.informative(x.value)
            if informative is not None:
                stack.enter_context(poutine.mask(mask=informative))  # type: ignore[call-overload]  # a Tensor of bools
            yield

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert self.encoder is not None
        mean, log_variance = self.run(self.encoder, self._likelihood.encoded(x)).chunk(2, -1)
        return mean, torch.exp(0.5 * log_variance)

    def _decode(self, z: Tensor) -> Tensor:
        assert self.decoder is not None
        return self.run(self.decoder, z)
