"""The VAE: its terms, its schemes, its decoder, its weight of the KL term."""

import io
import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from pgmgraph import Gaussian, ModelGraph, Observation, Point, fit, generate, infer
from pgmgraph.datasets import load_bundled_digits
from pgmgraph.errors import DataError, ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp
from tests.refusals import refused

torch.set_num_threads(1)

DIGITS = load_bundled_digits()
IMAGES = DIGITS.train_images[:300]
SQUARES = IMAGES.reshape(-1, 8, 8)
CONV = {"architecture": "conv", "hidden": (16, 32), "lr": 3e-3}


def alone(images=IMAGES, scale=1 / 255, **options):
    data = Observation(images, scale=scale)
    vae = VAE(3, **{"hidden": (32,), "epochs": 2, "batch_size": 50, **options})
    graph = ModelGraph(pixels=data, vae=vae)
    graph.connect(data.value, vae.x)
    return graph, vae


def with_mixture(backward=True, message="expected", **options):
    data, gmm = Observation(IMAGES, scale=1 / 255), GMM(4, starts=2, message=message)
    vae = VAE(3, **{"hidden": (32,), "epochs": 2, "batch_size": 50, **options})
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x, backward=backward)
    return graph, vae, gmm


def test_terms_of_a_lone_vae_are_its_elbo():
    graph, vae = alone()
    result = fit(graph, rounds=3)
    belief, terms = result.beliefs["vae.z"], result.trace[-1].terms["vae"]
    kl = kl_divergence(belief.distribution(), Independent(Normal(torch.zeros(3), torch.ones(3)), 1))
    assert terms["-KL z"] == pytest.approx(-float(kl.double().sum()), rel=1e-5)
    x = torch.from_numpy(IMAGES) / 255
    draws = []
    with torch.no_grad():
        for _ in range(20):
            logits = vae.decoder(belief.distribution().sample())
            draws.append(-float(nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")))
    spread = max(draws) - min(draws)
    assert min(draws) - spread <= terms["log p(x)"] <= max(draws) + spread


def test_the_loss_that_is_minimised_is_the_negative_elbo():
    graph, vae = alone()
    fit(graph, rounds=1)
    batch = Point(torch.from_numpy(IMAGES[:40]) / 255)
    vae.context.plate_size = 300
    torch.manual_seed(0)
    with torch.no_grad():
        losses = [float(vae._estimator.differentiable_loss(vae.model, vae.guide, x=batch, z=None)) for _ in range(30)]
        mean, log_variance = vae.encoder(batch.value).chunk(2, -1)
        q = Normal(mean, torch.exp(0.5 * log_variance))
        expected = []
        for _ in range(30):
            logits = vae.decoder(q.sample())
            error = nn.functional.binary_cross_entropy_with_logits(logits, batch.value, reduction="sum")
            expected.append(float(error + kl_divergence(q, Normal(0.0, 1.0)).sum()) * 300 / 40)
    gap = abs(sum(losses) - sum(expected)) / 30
    assert gap < 3 * torch.tensor(expected).std() / math.sqrt(15)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_learning_raises_f_and_reconstructions_come_nearer(likelihood):
    graph, _ = alone(likelihood=likelihood, lr=3e-3, epochs=5)
    result = fit(graph, rounds=8)
    assert result.history["F"][-1] > result.history["F"][0]
    rebuilt = infer(graph, predict=["pixels"])["pixels"].value
    x = torch.from_numpy(IMAGES) / 255
    assert rebuilt.shape == x.shape
    assert (rebuilt - x).square().mean() < (x - x.mean(0)).square().mean()


def test_networks_of_the_users_own_and_images_of_any_shape():
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6))
    encoder(torch.zeros(1, 1, 8, 8))
    decoder = nn.Sequential(nn.Linear(3, 4 * 36), nn.ReLU(), nn.Unflatten(1, (4, 6, 6)), nn.ConvTranspose2d(4, 1, 3))
    graph, vae = alone(IMAGES.reshape(-1, 1, 8, 8), encoder=encoder, decoder=decoder)
    fit(graph, rounds=1)
    drawn = generate(graph, n=5)
    assert drawn["pixels"].shape == (5, 1, 8, 8)
    assert drawn["vae.z"].shape == (5, 3)
    assert set(vae.networks) == {"encoder", "decoder"}


def test_the_weight_of_the_kl_term_changes_learning_and_not_f():
    plain, vae = alone(epochs=1)
    weighted, other = alone(epochs=1, kl_weight=0.1)
    fit(plain, rounds=1)
    fit(weighted, rounds=1)
    assert vae.guarantee == "stochastic"
    assert other.guarantee == "none"
    assert not torch.equal(next(vae.encoder.parameters()), next(other.encoder.parameters()))
    other.load_state_dict(vae.state_dict())
    bounds = [fit(graph, rounds=1, frozen=["vae"]).history["F"][0] for graph in (plain, weighted)]
    assert bounds[0] == bounds[1]


def test_a_ramp_is_followed_round_by_round_and_tol_waits_for_its_end():
    graph, vae = alone(kl_weight=Ramp(0.2, 1.0, rounds=4), epochs=1)
    seen = []

    def watch(event):
        if type(event).__name__ == "RoundStarted":
            vae.context.round = event.round
            seen.append(vae.current_kl_weight)

    result = fit(graph, rounds=9, tol=1e9, patience=1, callbacks=[watch])
    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert result.rounds >= 5


def test_a_bernoulli_likelihood_refuses_values_outside_the_unit_interval_before_learning():
    graph, _ = alone(scale=1.0)
    with pytest.raises(DataError, match=r"within \[0, 1\] at vae.x; got values from 0 to 255 from pixels.value"):
        graph.check()


@pytest.mark.parametrize("scheme", ["mean", "sample"])
def test_older_schemes_send_certainty_and_keep_the_belief_for_f(scheme):
    graph, vae, _ = with_mixture(send=scheme)
    result = fit(graph, rounds=2)
    assert vae.guarantee == "none"
    outbox = vae.send(Point(torch.from_numpy(IMAGES) / 255), None)
    sent = outbox.messages["z"]
    assert isinstance(sent, Gaussian)
    assert float(sent.variance.max()) == 0.0
    assert float(result.beliefs["vae.z"].variance.min()) > 0.0
    assert math.isfinite(result.history["F"][-1])
    same = torch.allclose(sent.mean, result.beliefs["vae.z"].mean, atol=1e-5)
    assert same is (scheme == "mean")


@pytest.mark.parametrize("message", ["expected", "component", "mean"])
def test_every_message_of_a_mixture_is_taken_as_a_prior(message):
    graph, _, _ = with_mixture(message=message)
    result = fit(graph, rounds=3)
    assert all(bound is not None and math.isfinite(bound) for bound in result.history["F"])


def test_inference_on_the_training_data_gives_the_beliefs_of_the_last_round():
    graph, _, _ = with_mixture()
    result = fit(graph, rounds=3)
    again = infer(graph)
    assert torch.equal(again["vae.z"].mean, result.beliefs["vae.z"].mean)
    assert torch.equal(again["gmm.c"].probs, result.beliefs["gmm.c"].probs)


def test_without_messages_back_the_vae_keeps_to_its_own_prior_and_f_counts_the_mixtures():
    graph, vae, _ = with_mixture(backward=False)
    lone, other = alone()
    result = fit(graph, rounds=3)
    fit(lone, rounds=3)
    for mine, theirs in zip(vae.encoder.parameters(), other.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert set(result.trace[-1].terms["vae"]) == {"log p(x)", "H[z]"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"likelihood": "poisson"}, "likelihood as one of bernoulli, gaussian, multinomial; got 'poisson'"),
        ({"send": "median"}, "send as one of belief, mean, sample; got 'median'"),
        ({"kl_weight": 0.0}, "positive kl_weight; got 0.0"),
        ({"kl_weight": Ramp(0.0, 1.0, rounds=2)}, "positive kl_weight; got 0.0"),
        ({"epochs": 0}, "positive epochs; got 0"),
        ({"latent_dim": 0}, "latent_dim of at least 1; got 0"),
        ({"architecture": "cnn"}, "architecture as one of perceptron, conv; got 'cnn'"),
        ({"hidden": (10, 0)}, r"hidden layers of at least 1; got hidden=\(10, 0\)"),
        ({"architecture": "conv", "hidden": ()}, r"at least one hidden layer for architecture='conv'; got hidden=\(\)"),
    ],
)
def test_impossible_arguments_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        VAE(**{"latent_dim": 2, **options})


def test_layers_that_are_not_named_are_the_architectures_own():
    assert VAE(2).hidden == (500, 500)
    assert VAE(2, architecture="conv").hidden == (32, 64)
    assert VAE(2, architecture="conv", hidden=[5]).hidden == (5,)


def without_latents(images):
    """F of the best model in which pixels are independent of one another: a decoder that ignores z."""
    x = torch.from_numpy(images).double() / 255
    rate = x.mean(0)
    return float((torch.xlogy(x, rate) + torch.xlogy(1 - x, 1 - rate)).sum())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_convolutions_learn_more_than_any_model_without_latents(precision):
    graph, vae = alone(SQUARES, epochs=15, precision=precision, **CONV)
    result = fit(graph, rounds=3)
    bounds = result.history["F"]
    assert bounds[2] > bounds[1] > bounds[0]
    assert bounds[2] > without_latents(SQUARES)
    new = DIGITS.test_images.reshape(-1, 8, 8)
    assert fit(graph, {"pixels": new}, frozen=["vae"]).history["F"][0] > without_latents(new)
    assert {parameter.dtype for parameter in vae._parameters()} == {torch.float32}
    assert result.beliefs["vae.z"].mean.dtype == torch.float32


def test_convolutions_run_in_bfloat16_while_they_learn_and_in_float32_after():
    graph, vae = alone(SQUARES, precision="bf16", epochs=1, **CONV)
    seen = {True: set(), False: set()}
    fit(graph, rounds=1)
    for network in (vae.encoder, vae.decoder):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                layer.register_forward_hook(lambda layer, _, made: seen[layer.training].add(made.dtype))
    fit(graph, rounds=1)
    assert seen == {True: {torch.bfloat16}, False: {torch.float32}}


def test_convolutions_under_a_mixture_take_its_message_as_their_prior():
    data, gmm = Observation(SQUARES, scale=1 / 255), GMM(4, starts=2)
    vae = VAE(3, epochs=15, batch_size=50, **CONV)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    result = fit(graph, rounds=4)
    assert set(result.trace[-1].terms["vae"]) == {"log p(x)", "H[z]"}
    assert result.history["F"][-1] > result.history["F"][1]
    assert result.history["F"][-1] > without_latents(SQUARES)
    assert generate(graph, {"gmm.c": 2}, n=5)["pixels"].shape == (5, 8, 8)
    again = infer(graph)
    assert torch.equal(again["vae.z"].mean, result.beliefs["vae.z"].mean)


def test_convolutions_come_back_from_their_state_and_learn_on_as_if_they_had_never_stopped():
    (graph, vae), (other_graph, other) = (alone(SQUARES, epochs=1, **CONV) for _ in range(2))
    fit(graph, rounds=2)
    file = io.BytesIO()
    torch.save(vae.state_dict(), file)
    file.seek(0)
    fit(other_graph, rounds=2, seed=9)
    other.load_state_dict(torch.load(file, weights_only=True))
    results = [fit(one, rounds=2, seed=3) for one in (graph, other_graph)]
    assert results[0].history["F"] == results[1].history["F"]
    for mine, theirs in zip(vae._parameters(), other._parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_rows_of_pixels_under_convolutions_are_refused_before_anything_is_made():
    graph, vae = alone(IMAGES, **CONV)
    with refused(ShapeError, "architecture='conv'", "(64,)", "Observation(images.reshape(-1, 8, 8))"):
        fit(graph)
    assert vae.encoder is None


def test_a_network_of_the_users_own_stands_beside_one_that_the_architecture_makes():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
    graph, vae = alone(SQUARES, encoder=encoder, **CONV)
    fit(graph, rounds=1)
    assert vae.encoder is encoder
    assert any(isinstance(layer, nn.ConvTranspose2d) for layer in vae.decoder.modules())
