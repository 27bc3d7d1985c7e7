"""The likelihoods of a VAE; above all that of counts, where the VAE is a neural topic model."""

import io
import itertools
import math

import pytest
import torch
from scipy.stats import multinomial
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from pgmgraph import Gaussian, GaussianPotential, ModelGraph, Observation, Outbox, Point, config, fit, generate, infer
from pgmgraph.errors import DataError, DivergedError, ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.vae import VAE
from pgmgraph_modules.vae.likelihoods import LIKELIHOODS, Counts, Multinomial, log_coefficient
from tests.refusals import refused

torch.set_num_threads(1)


def corpus(n=200, words=6, dimensions=1, length=15, seed=0, spread=1.5):
    """Counts, and the weights and the background that they were drawn with: softmax(W z + b), z ~ N(0, I)."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    weights, background, z = spread * draw(words, dimensions), draw(words), draw(n, dimensions)
    probs = torch.softmax(z @ weights.T + background, 1)
    counts = torch.zeros(n, words, dtype=torch.float64)
    for row, tokens in enumerate(
        torch.poisson(torch.full((n,), float(length)), generator=generator).long().clamp_min(1)
    ):
        drawn = torch.multinomial(probs[row], int(tokens), replacement=True, generator=generator)
        counts[row] = torch.bincount(drawn, minlength=words)
    return counts, weights, background


COUNTS = corpus()[0]


def alone(counts=COUNTS, missing=None, latent_dim=2, **options):
    data = Observation(counts, missing=missing)
    settings = {"likelihood": "multinomial", "hidden": (32,), "batch_size": 50, "epochs": 2, "lr": 5e-3}
    vae = VAE(latent_dim, **{**settings, **options})
    graph = ModelGraph(words=data, vae=vae)
    graph.connect(data.value, vae.x)
    return graph, vae


def with_mixture(counts=COUNTS, message="expected", **options):
    graph, vae = alone(counts, **options)
    graph.add("gmm", gmm := GMM(3, starts=2, message=message))
    graph.connect(vae.z, gmm.x)
    return graph, vae, gmm


def evidence(counts, log_likelihood):
    """The log evidence log p(x) of each document, (n,), by quadrature over a z of one dimension and N(0, 1)."""
    grid = torch.linspace(-9, 9, 3001, dtype=torch.float64)[:, None]
    log_joint = log_likelihood(grid, counts) + Normal(0.0, 1.0).log_prob(grid)
    return torch.logsumexp(log_joint, 0) + math.log(float(grid[1] - grid[0]))


def under(vae):
    """The log-likelihood of documents (n, V) at each z of a grid (g, 1): (g, n)."""

    def log_likelihood(grid, counts):
        with torch.no_grad():
            log_probs = torch.log_softmax(vae.noise.background + vae.decoder(grid.float()).double(), 1)
        return log_probs @ counts.T + log_coefficient(counts)

    return log_likelihood


def test_probabilities_of_all_documents_of_one_length_sum_to_one():
    log_probs = torch.log_softmax(torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64), 1)
    for length in (0, 1, 5):
        documents = [x for x in itertools.product(range(length + 1), repeat=3) if sum(x) == length]
        counts = torch.tensor(documents, dtype=torch.float32)
        assert float(Counts(log_probs).log_prob(counts).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_documents_of_a_million_words_lose_nothing_to_single_precision():
    log_probs = torch.log_softmax(torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).double(), 1)
    counts = (log_probs.exp() * 1e6).round().float()
    expected = multinomial.logpmf(counts.double().numpy(), counts.double().sum(1).numpy(), log_probs.exp().numpy())
    torch.testing.assert_close(Counts(log_probs).log_prob(counts), torch.from_numpy(expected), rtol=0, atol=1e-6)
    assert float(expected.min()) > -400  # while the terms that cancel in it are millions


def test_long_documents_are_learnt_with_finite_f():
    result = fit(alone(1e5 * COUNTS[:60])[0], rounds=3)
    assert all(math.isfinite(bound) for bound in result.history["F"])
    assert result.history["F"][-1] > result.history["F"][0]


def test_f_is_the_elbo_by_quadrature_and_near_the_evidence_but_never_above():
    counts = corpus(words=3)[0]
    graph, vae = alone(counts, latent_dim=1, epochs=10, lr=1e-2)
    result = fit(graph, rounds=10)
    belief = result.beliefs["vae.z"]
    mean, deviation = belief.mean.double(), belief.variance.double().sqrt()
    nodes = torch.linspace(-7, 7, 401, dtype=torch.float64)
    weights = torch.softmax(Normal(0.0, 1.0).log_prob(nodes), 0)
    at_nodes = torch.stack([under(vae)(mean + node * deviation, counts).diagonal() for node in nodes])
    likelihood = weights @ at_nodes
    kl = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).squeeze(1)
    gap = evidence(counts, under(vae)) - (likelihood - kl)
    assert gap.min() > -1e-5  # z is decoded in single precision
    assert gap.mean() < 0.1 * kl.mean()  # a tenth of what z carries
    terms = [vae.elbo(x=Point(counts.float()), z=belief) for _ in range(100)]
    torch.testing.assert_close(terms[0]["-KL z"].double(), -kl, rtol=1e-4, atol=1e-5)
    drawn = torch.stack([one["log p(x)"].sum() for one in terms])
    assert abs(float(drawn.mean() - likelihood.sum())) < 4 * float(drawn.std()) / 10


def potential(n, dimensions, seed=1):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, dimensions, dimensions, generator=generator)
    precision = root @ root.mT + torch.eye(dimensions)
    return GaussianPotential(torch.randn(n, dimensions, generator=generator), precision, torch.zeros(n))


@pytest.mark.parametrize("above", [None, potential(5, 2)], ids=["alone", "under a parent"])
def test_the_loss_and_its_gradient_are_those_of_the_formula_and_empty_documents_are_no_part_of_them(above):
    counts = COUNTS[:5].float()
    counts[3] = 0.0
    graph, vae = alone(counts)
    fit(graph, rounds=1)
    vae.context.plate_size = 35
    torch.manual_seed(3)
    loss = vae._estimator.differentiable_loss(vae.model, vae.guide, x=Point(counts), z=above)
    torch.manual_seed(3)
    noise = torch.normal(torch.zeros(5, 2), torch.ones(5, 2))
    mean, log_variance = vae.encoder(torch.log1p(counts)).chunk(2, -1)
    deviation = torch.exp(0.5 * log_variance)
    logits = vae.noise.background + vae.decoder(mean + noise * deviation)
    likelihood = (counts * torch.log_softmax(logits, 1)).sum(1) + log_coefficient(counts.double())
    if above is None:
        kl = kl_divergence(Independent(Normal(mean, deviation), 1), Independent(Normal(0 * mean, 1 + 0 * mean), 1))
    else:
        second = deviation.square().diag_embed() + mean[:, :, None] * mean[:, None]
        expected = (above.shift * mean).sum(1) - 0.5 * (above.precision * second).sum((1, 2))
        kl = -Independent(Normal(mean, deviation), 1).entropy() - expected
    kl = torch.where(torch.tensor([True, True, True, False, True]), kl, 0.0)
    by_formula = 35 / 5 * (kl - likelihood).sum()
    assert float(loss.detach()) == pytest.approx(float(by_formula.detach()), rel=1e-6)
    parameters = [*vae.encoder.parameters(), *vae.decoder.parameters()]
    pairs = zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(by_formula, parameters), strict=True)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("message", ["expected", "component", "mean", "mixture"])
def test_every_message_of_a_mixture_is_taken_as_a_prior_and_empty_documents_are_missing_above(message):
    counts = COUNTS.clone()
    empty = torch.zeros(len(counts), dtype=torch.bool)
    empty[::7] = True
    counts[empty] = 0.0
    graph, vae, _ = with_mixture(counts, message)
    result = fit(graph, rounds=4)
    assert all(bound is not None and math.isfinite(bound) for bound in result.history["F"])
    for variable in ("vae.z", "gmm.c"):
        assert torch.equal(result.beliefs[variable].missing, empty)
    terms = vae.elbo(x=Point(counts.float()), z=result.beliefs["vae.z"])
    assert all(not term[empty].any() and term[~empty].all() for term in terms.values())
    again = infer(graph)
    assert torch.equal(again["vae.z"].mean[~empty], result.beliefs["vae.z"].mean[~empty])
    assert torch.equal(again["gmm.c"].probs[~empty], result.beliefs["gmm.c"].probs[~empty])


@pytest.mark.parametrize("scheme", ["mean", "sample"])
def test_older_schemes_leave_empty_documents_out_too(scheme):
    counts = COUNTS.clone()
    counts[0] = 0.0
    graph, _, _ = with_mixture(counts, send=scheme)
    result = fit(graph, rounds=2, strict=True)
    assert math.isfinite(result.history["F"][-1])
    assert result.beliefs["gmm.c"].missing.nonzero().flatten().tolist() == [0]


DOCUMENTS = {
    "one document": COUNTS[:1],
    "none with a word": torch.zeros(20, 6),
    "one word for all": torch.ones(20, 1),
    "always the same": torch.tensor([[3.0, 0.0, 1.0]]).repeat(20, 1),
    "bytes": COUNTS.to(torch.uint8),
    "parts of words": COUNTS / 7,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_f_stays_finite(name):
    graph, _ = alone(DOCUMENTS[name])
    result = fit(graph, rounds=3)
    assert all(math.isfinite(bound) for bound in result.history["F"])
    drawn = generate(graph, n=4)["words"]
    assert drawn.shape == (4, DOCUMENTS[name].shape[1])
    assert drawn.isfinite().all()


def test_missing_rows_are_as_if_they_had_been_left_out():
    missing = torch.zeros(len(COUNTS), dtype=torch.bool)
    missing[::5] = True
    holed = COUNTS.clone()
    holed[missing] = math.nan
    graph, vae = alone(holed, missing)
    short, other = alone(COUNTS[~missing])
    result, expected = fit(graph, rounds=2), fit(short, rounds=2)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-6)
    torch.testing.assert_close(result.beliefs["vae.z"].mean[~missing], expected.beliefs["vae.z"].mean)
    assert torch.equal(vae.noise.background, other.noise.background)
    assert torch.equal(vae.noise.length, other.noise.length)


def test_what_is_fixed_at_first_is_the_frequencies_and_the_length_and_stays_when_other_data_come():
    graph, vae = alone()
    fit(graph, rounds=1)
    assert float(vae.noise.length) == pytest.approx(float(COUNTS.sum(1).mean()))
    frequencies = (COUNTS.sum(0) + 1) / (COUNTS.sum() + COUNTS.shape[1])
    torch.testing.assert_close(vae.noise.background.exp(), frequencies)
    fit(graph, {"words": 5 * COUNTS}, rounds=1)
    assert float(vae.noise.length) == pytest.approx(float(COUNTS.sum(1).mean()))


def test_an_update_that_fails_forgets_what_it_had_fixed(monkeypatch):
    graph, vae = alone()
    nowhere = torch.full((len(COUNTS), 2), math.nan)
    monkeypatch.setattr(vae, "send", lambda x, z: Outbox(z=Gaussian(nowhere, nowhere)))
    with pytest.raises(DivergedError):
        fit(graph, rounds=1)
    assert float(vae.noise.length) == 0.0


def test_expected_and_drawn_documents_have_the_mean_length():
    graph, _ = alone()
    fit(graph, rounds=5)
    predicted = infer(graph, predict=["words"])["words"].value
    torch.testing.assert_close(predicted.sum(1), COUNTS.sum(1).mean().expand(len(COUNTS)).float())
    drawn = generate(graph, n=50)["words"]
    assert torch.equal(drawn.sum(1), torch.full((50,), float(round(float(COUNTS.sum(1).mean())))))
    assert torch.equal(drawn, drawn.round())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_from_the_tempered_probabilities(temperature):
    fitted = Multinomial((4,))
    fitted._words.length.fill_(100.0)
    decoded = torch.tensor([[0.0, 1.0, -1.0, 0.5]]).expand(500, -1)
    torch.manual_seed(0)
    shares = fitted.drawn(decoded, temperature).sum(0) / 50_000
    expected = torch.softmax(decoded[0] / temperature, 0)
    assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / 50_000).sqrt()).all()
    assert torch.equal(fitted.drawn(decoded[:1], 0), torch.tensor([[0.0, 100.0, 0.0, 0.0]]))


def test_it_comes_back_from_its_state_and_learns_on_as_if_it_had_never_stopped():
    (graph, vae), (other_graph, other) = alone(), alone(2 * COUNTS)
    fit(graph, rounds=2)
    file = io.BytesIO()
    torch.save(vae.state_dict(), file)
    file.seek(0)
    fit(other_graph, rounds=2, seed=9)
    other.load_state_dict(torch.load(file, weights_only=True))
    results = [fit(one, {"words": COUNTS}, rounds=2, seed=3) for one in (graph, other_graph)]
    assert results[0].history["F"] == results[1].history["F"]
    assert torch.equal(
        infer(graph, predict=["words"])["words"].value,
        infer(other_graph, {"words": COUNTS}, predict=["words"])["words"].value,
    )


def test_a_graph_from_its_configuration_learns_the_same():
    graph, _ = alone(hidden=(8,))
    again = config.from_config(config.to_config(graph), {"words": COUNTS})
    assert fit(again, rounds=2, seed=4).history["F"] == fit(graph, rounds=2, seed=4).history["F"]


def perplexity(log_probability, counts):
    """Of the words of documents in the order in which they were written: the coefficient is no part of it."""
    return math.exp(-(log_probability - float(log_coefficient(counts).sum())) / float(counts.sum()))


def test_new_documents_surprise_it_hardly_more_than_the_model_that_they_were_drawn_from():
    counts, weights, background = corpus(n=1200, words=30, length=30)
    known, new = counts[:1000], counts[1000:]
    graph, _ = alone(known, latent_dim=1, epochs=5, batch_size=100, lr=1e-2)
    fit(graph, rounds=6)
    bound = fit(graph, {"words": new}, frozen=["vae"]).history["F"][0]

    def log_likelihood(grid, documents):
        log_probs = torch.log_softmax(grid @ weights.T + background, 1)
        return log_probs @ documents.T + log_coefficient(documents)

    best = perplexity(float(evidence(new, log_likelihood).sum()), new)
    unigram = perplexity(float(Counts((known.sum(0) / known.sum()).log()[None]).log_prob(new).sum()), new)
    found = perplexity(bound, new)
    assert best < found < 1.03 * best
    assert best < 0.7 * unigram


def test_its_class_is_a_word_of_a_topic_model_and_f_rises_while_they_learn_together():
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(len(COUNTS)) % 3
    text = torch.poisson(0.3 + 4.0 * nn.functional.one_hot(kinds, 3).repeat(1, 4), generator=generator)
    sound = torch.poisson(0.3 + 2.0 * nn.functional.one_hot(kinds, 3).repeat(1, 2), generator=generator)
    text[0], sound[1] = 0.0, 0.0
    graph, _, gmm = with_mixture(text)
    graph.add("sounds", heard := Observation(sound))
    graph.add("lda", lda := LDA(3))
    graph.connect(heard.value, lda.x["sound"])
    graph.connect(gmm.c, lda.x["text"])
    result = fit(graph, rounds=12)
    bounds = result.history["F"]
    assert sum(bounds[-3:]) > sum(bounds[3:6]) > sum(bounds[:3])
    assert set(result.trace[-1].terms["vae"]) == {"log p(x)", "H[z]"}
    # An empty text says nothing of its class, which is then predicted from the sounds.
    assert result.beliefs["gmm.c"].missing.nonzero().flatten().tolist() == [0]
    told = infer(graph, {"sounds": sound}, predict=["words"])["words"].value
    assert told.shape == text.shape
    assert told.isfinite().all()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_mean_is_that_of_the_distribution(name):
    likelihood = LIKELIHOODS[name]((3,))
    decoded = torch.tensor([[0.2, -1.0, 0.7]])
    if name == "multinomial":
        likelihood._words.length.fill_(4.0)
        documents = [x for x in itertools.product(range(5), repeat=3) if sum(x) == 4]
        every = torch.tensor(documents, dtype=torch.float64)
        expected = likelihood.distribution(decoded).log_prob(every).exp() @ every
        torch.testing.assert_close(likelihood.mean(decoded)[0].double(), expected, rtol=1e-6, atol=0)
    else:
        torch.testing.assert_close(likelihood.mean(decoded), likelihood.distribution(decoded).base_dist.mean)


def test_the_decoder_that_it_makes_is_linear_and_one_of_the_users_own_may_be_anything():
    graph, vae = alone(hidden=(8, 4))
    fit(graph)
    assert [tuple(one.weight.shape) for one in vae.decoder.modules() if isinstance(one, nn.Linear)] == [(6, 2)]
    graph, vae = alone(decoder=nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 6)))
    assert math.isfinite(fit(graph).history["F"][0])


def test_what_is_no_count_of_words_is_refused():
    with refused(ShapeError, "(V,)", "(2, 3)", "Reshape to N x V"):
        alone(COUNTS.reshape(-1, 2, 3))[0].check()
    with refused(DataError, "vae.x", "-1"):
        alone(COUNTS - 1)[0].check()
    with pytest.raises(ValueError, match="architecture='perceptron' for likelihood='multinomial'"):
        VAE(2, architecture="conv", likelihood="multinomial")


def test_a_belief_about_an_empty_document_is_drawn_from_above():
    graph, _, gmm = with_mixture()
    fit(graph, rounds=3)
    drawn = generate(graph, {"words": torch.zeros(6)}, n=1000)["vae.z"].double()
    told = infer(graph, {"words": torch.zeros(2, 6)}, draws=1000)["vae.z"]
    # Row by row: an empty document beside one that says something.
    documents = torch.zeros(2000, 6)
    documents[::2] = COUNTS[3]
    beside = generate(graph, {"words": documents}, n=2000)["vae.z"].double()
    told_of = infer(graph, {"words": documents[:2]})["vae.z"]
    deviation = told_of.variance[0].double().sqrt()
    assert ((beside[::2].mean(0) - told_of.mean[0]).abs() < 4.5 * deviation / math.sqrt(1000)).all()
    torch.testing.assert_close(beside[1::2].var(0), drawn.var(0), rtol=0.3, atol=0)
    expected = gmm.weights @ gmm.means
    for mean, variance in ((drawn.mean(0), drawn.var(0)), (told.mean[0].double(), told.variance[0].double())):
        assert ((mean - expected).abs() < 4.5 * (variance / 1000).sqrt()).all()
        torch.testing.assert_close(variance, drawn.var(0), rtol=0.3, atol=0)
