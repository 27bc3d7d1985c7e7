"""The topic model: its bound, its messages, its place among other modules."""

import itertools
import math
import time

import pytest
import torch
from sklearn.decomposition import LatentDirichletAllocation
from torch import Tensor

from pgmgraph import Categorical, CategoricalPotential, Gaussian, ModelGraph, Observation, Point, fit, generate, infer
from pgmgraph.errors import DataError, ShapeError, UnknownNameError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.lda import LDA
from tests.refusals import refused
from tests.toys import Symbols, Weights

torch.set_num_threads(1)


def corpus(documents=40, words=12, topics=3, length=30, seed=0):
    """Documents that mix topics with words of their own, (N, V), and each one's main topic."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(documents) % topics
    shares = torch.full((documents, topics), 0.1 / topics).scatter_add(
        1, labels[:, None], torch.full((documents, 1), 0.9)
    )
    own = torch.nn.functional.one_hot(torch.arange(words) % topics, topics).T + 0.02
    probs = shares @ (own / own.sum(1, keepdim=True))
    tokens = torch.multinomial(probs, length, replacement=True, generator=generator)
    return torch.zeros(documents, words).scatter_add_(1, tokens, torch.ones(documents, length)), labels


def alone(missing=None, key="words", **options):
    counts, labels = corpus()
    graph, lda = wired({key: Observation(counts, missing=missing)}, **{"topics": 3, **options})
    return graph, lda, labels


def wired(observations, **options):
    graph = ModelGraph(lda=(lda := LDA(**options)))
    for key, observation in observations.items():
        graph.add(key, observation)
        graph.connect(observation.value, lda.x[key])
    return graph, lda


def between(n=30, k=3, parent=True, missing=None, learning=True, **options):
    """Counts, and symbols below whose class the model holds; a parent above that holds its topic."""
    counts, labels = corpus(n, 6, k, 8)
    symbols = Observation(((labels * 2 + torch.arange(n) % 2) % 5)[:, None], missing=missing)
    child = Symbols(3, 5, learning)
    graph, lda = wired({"words": Observation(counts)}, topics=k, **options)
    graph.add("symbols", symbols)
    graph.add("child", child)
    graph.connect(symbols.value, child.x)
    graph.connect(child.c, lda.x["class"])
    if parent:
        graph.add("weights", weights := Weights())
        graph.connect(lda.z, weights.c)
    return graph, lda, child


def log_dirichlet_multinomial(counts: Tensor, prior: float) -> Tensor:
    total = torch.as_tensor(prior).double() * counts.shape[-1]
    each = torch.lgamma(counts + prior) - torch.lgamma(torch.tensor(prior).double())
    return torch.lgamma(total) - torch.lgamma(counts.sum(-1) + total) + each.sum(-1)


def purity(found, labels):
    """The share of documents that are in a class with most of their cluster."""
    table = torch.zeros(int(found.max()) + 1, int(labels.max()) + 1)
    table.index_put_((found, labels), torch.ones(len(labels)), accumulate=True)
    return float(table.amax(1).sum() / len(labels))


def test_it_finds_the_topics_and_its_belief_is_their_proportions():
    graph, lda, labels = alone()
    result = fit(graph, rounds=30, strict=True)
    belief = result.beliefs["lda.z"]
    assert purity(belief.most_probable(), labels) == 1
    assert belief.probs.amax(1).mean() > 0.8
    torch.testing.assert_close(lda.words("words").sum(1), torch.ones(3).double())


def test_no_update_lowers_f_alone_and_between_a_child_and_a_parent():
    for graph in (alone()[0], alone(concentration=2.0)[0], between()[0], between(parent=False)[0]):
        values = torch.tensor(fit(graph, rounds=50, strict=True).history["F"], dtype=torch.float64)
        assert (values.diff() >= -1e-12 * values[-1].abs()).all()
        assert values[-1] > values[0]


def evidence_by_enumeration(counts: Tensor, log_classes: Tensor, lda: LDA, log_prior: Tensor) -> float:
    """log p(words, data below) of few documents with one class each, over all topics of tokens and of documents."""
    tokens = [[int(v) for v in row.nonzero().flatten() for _ in range(int(row[v]))] for row in counts]
    k, n, classes = lda.topics, len(tokens), log_classes.shape[1]
    hidden = [len(row) for row in tokens]
    logs = []
    for topics in itertools.product(range(k), repeat=sum(hidden) + 2 * n):
        rest = list(topics)
        of_words, of_classes = torch.zeros(k, counts.shape[1]).double(), []
        total = torch.zeros(()).double()
        for row in tokens:
            mine = [rest.pop() for _ in row]
            of_class, of_document = rest.pop(), rest.pop()
            for topic, word in zip(mine, row, strict=True):
                of_words[topic, word] += 1
            of_classes.append(of_class)
            shares = torch.bincount(torch.tensor([*mine, of_class]), minlength=k).double()
            prior = torch.full((k,), lda.concentration).double()
            prior[of_document] += 1
            # theta given z, integrated out
            total += torch.lgamma(prior.sum()) - torch.lgamma(prior.sum() + shares.sum())
            total += (torch.lgamma(prior + shares) - torch.lgamma(prior)).sum() + log_prior[of_document]
        total += log_dirichlet_multinomial(of_words, lda.word_concentration).sum()
        inner = []
        for choice in itertools.product(range(classes), repeat=n):
            table = torch.zeros(k, classes).double()
            for topic, one in zip(of_classes, choice, strict=True):
                table[topic, one] += 1
            weighed = sum(log_classes[d, one] for d, one in enumerate(choice))
            inner.append(weighed + log_dirichlet_multinomial(table, lda.word_concentration).sum())
        logs.append(total + torch.logsumexp(torch.stack(inner), 0))
    return float(torch.logsumexp(torch.stack(logs), 0))


@pytest.mark.parametrize("seed", range(3))
def test_f_is_below_the_evidence_that_enumeration_gives(seed):
    counts = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    symbols, child, parent = Observation(torch.tensor([[0], [3]])), Symbols(2, 4, learning=False), Weights()
    graph, lda = wired({"words": Observation(counts)}, topics=2, word_concentration=0.7)
    for name, node in {"symbols": symbols, "child": child, "weights": parent}.items():
        graph.add(name, node)
    graph.connect(symbols.value, child.x)
    graph.connect(child.c, lda.x["class"])
    graph.connect(lda.z, parent.c)
    for rounds in (1, 1, 20):
        bound = fit(graph, rounds=rounds, seed=seed, strict=True).history["F"][-1]
        evidence = evidence_by_enumeration(counts, child.log_likelihoods(symbols.point), lda, parent.weights.log())
        assert bound < evidence
    assert evidence - bound < 5


def test_unwired_the_documents_own_topic_changes_nothing():
    # z is then summed out: F is that of Blei, Ng and Jordan, whatever q(z) says of the proportions.
    graph, lda, _ = alone()
    result = fit(graph, rounds=4)
    a = result.beliefs["lda.z"].probs * (3 * 0.5 + 30)
    logs = torch.digamma(a) - torch.digamma(a.sum(1, keepdim=True))
    phi = lda.state_dict()["topics"]["words"]
    log_words = torch.digamma(phi) - torch.digamma(phi.sum(1, keepdim=True))
    tokens = (corpus()[0] * torch.logsumexp(logs[:, :, None] + log_words, 1)).sum()
    posterior, prior = torch.distributions.Dirichlet(a), torch.distributions.Dirichlet(torch.full_like(a, 0.5))
    of_topics = torch.distributions.kl_divergence(
        torch.distributions.Dirichlet(phi), torch.distributions.Dirichlet(torch.full_like(phi, 0.1))
    ).sum()
    expected = tokens - torch.distributions.kl_divergence(posterior, prior).sum() - of_topics
    assert result.history["F"][-1] == pytest.approx(float(expected), rel=1e-12)


def own(lda, x, z):
    terms = lda.elbo(x=x, z=z)
    return sum(term.sum() for name, term in terms.items() if name != "-KL topics")


def mail_of(n=4):
    generator = torch.Generator().manual_seed(1)
    counts = torch.poisson(torch.full((n, 6), 1.5, dtype=torch.float64), generator=generator)
    weighed = 2 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    above = torch.softmax(torch.randn(n, 3, generator=generator, dtype=torch.float64), 1)
    return counts, weighed, above


def test_what_goes_up_is_the_derivative_of_the_bound():
    graph, lda, _ = between()
    fit(graph, rounds=3)
    counts, weighed, above = mail_of()
    x = {"words": Point(counts), "class": CategoricalPotential(weighed)}
    sent = lda.send(x=x, z=Categorical(above)).messages
    x["class"] = sent["x"]["class"]
    step = 1e-4
    for one, other in ((0, 1), (1, 2), (2, 0)):
        away = torch.zeros_like(above)
        away[:, one], away[:, other] = step, -step
        slope = (own(lda, x, Categorical(above + away)) - own(lda, x, Categorical(above - away))) / (2 * step)
        expected = (sent["z"].log_weights[:, one] - sent["z"].log_weights[:, other]).sum()
        assert float(slope) == pytest.approx(float(expected), abs=1e-6)


def test_what_goes_down_is_where_the_bound_with_the_childs_term_is_highest():
    graph, lda, _ = between()
    fit(graph, rounds=3)
    counts, weighed, above = mail_of()
    potential = CategoricalPotential(weighed)
    x = {"words": Point(counts), "class": potential}
    best = lda.send(x=x, z=Categorical(above)).messages["x"]["class"]

    def joint(probs):
        belief = Categorical(probs)
        return float(own(lda, {**x, "class": belief}, Categorical(above)) + potential.expectation(belief).sum())

    highest = joint(best.probs)
    for seed in range(20):
        noise = torch.rand(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for share in (1e-3, 1e-1, 1.0):
            other = (1 - share) * best.probs + share * noise / noise.sum(1, keepdim=True)
            assert joint(other) < highest + 1e-9


def test_a_tokens_topic_and_its_class_are_believed_jointly():
    graph, lda, child = between(parent=False)
    result = fit(graph, rounds=3)
    symbols = graph.observations["symbols"].point
    weighed = child.log_likelihoods(symbols)
    sent = infer(graph)
    a = sent["lda.z"].probs * (3 * 0.5 + 9)
    logs = torch.digamma(a) - torch.digamma(a.sum(1, keepdim=True))
    phi = lda.state_dict()["topics"]["class"]
    log_classes = torch.digamma(phi) - torch.digamma(phi.sum(1, keepdim=True))
    table = (logs[:, :, None] + log_classes + weighed[:, None]).flatten(1).softmax(1).unflatten(1, (3, 3))
    torch.testing.assert_close(sent["child.c"].probs, table.sum(1), rtol=0, atol=1e-7)
    assert result.history["F"][-1] is not None


def test_what_a_mixture_and_its_topic_believe_of_one_token_is_what_enumeration_gives():
    values = torch.tensor([[0.0, 0.2], [3.0, 3.1], [-3.0, 2.8], [0.1, -0.1], [1.4, 1.6]])
    words = Observation(torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [4.0, 0.0], [0.0, 0.0]]))
    graph, lda = wired({"words": words}, topics=2)
    graph.add("points", points := Observation(values))
    graph.add("gmm", gmm := GMM(3))
    graph.connect(points.value, gmm.x)
    graph.connect(gmm.c, lda.x["class"])
    fit(graph, rounds=3, strict=True)
    weighed = gmm.send(x=Gaussian(values.double(), torch.zeros(5, 2).double()), c=None).messages["c"].log_weights
    mail = {"words": words.point.to(dtype=torch.float64), "class": CategoricalPotential(weighed)}
    sent = lda.send(x=mail, z=None).messages
    a = sent["z"].probs * (2 * 0.5 + mail["words"].value.sum(1, keepdim=True) + 1)
    phi = {key: torch.digamma(one) - torch.digamma(one.sum(1))[:, None] for key, one in topics_of(lda).items()}
    counts = torch.full_like(a, 0.5)
    for n in range(5):
        log_theta = torch.digamma(a[n]) - torch.digamma(a[n].sum())
        joint = torch.zeros(2, 3).double()
        for topic, label in itertools.product(range(2), range(3)):
            joint[topic, label] = (log_theta[topic] + phi["class"][topic, label] + weighed[n, label]).exp()
        joint /= joint.sum()
        torch.testing.assert_close(sent["x"]["class"].probs[n], joint.sum(0), rtol=0, atol=1e-10)
        counts[n] += joint.sum(1)
        for word in range(2):
            of_word = (log_theta + phi["words"][:, word]).exp()
            counts[n] += mail["words"].value[n, word] * of_word / of_word.sum()
    # The concentration stands still: it is what the tokens, the class among them, make of it.
    torch.testing.assert_close(a, counts, rtol=0, atol=1e-7)


def topics_of(lda):
    return lda.state_dict()["topics"]


def test_more_tokens_of_a_class_temper_the_model_and_say_so():
    graph, lda, _ = between(weights={"class": 5})
    assert lda.guarantee == "none"
    [remark] = graph.check().remarks
    assert "class 5 times" in remark
    plain, _, _ = between()
    assert plain.check().remarks == ()
    with pytest.warns(UserWarning, match="class 5 times"):
        fit(graph, rounds=3)
    fit(plain, rounds=3)
    counts, weighed, above = mail_of()
    x = {"words": Point(0 * counts), "class": CategoricalPotential(weighed)}
    # One potential is one token, which moves the proportions by one part in 1 + 3 / 2, and never by more.
    once = plain.modules["lda"].send(x=x, z=Categorical(above)).messages["z"].log_weights
    assert float((once - math.log(3)).exp().max()) <= 1.5 / 2.5
    often = lda.send(x=x, z=Categorical(above)).messages["z"].log_weights
    assert float((often - math.log(3)).exp().max()) > 1.5 / 2.5


def test_weights_of_counts_are_as_if_words_had_occurred_so_often():
    graph, lda, _ = alone(weights={"words": 2})
    doubled, other = wired({"words": Observation(2 * corpus()[0])}, topics=3)
    with pytest.warns(UserWarning, match="words 2 times"):
        result = fit(graph, rounds=1)
    # They start apart, since weights are no part of the start: the E step is compared at the same topics.
    fit(doubled, rounds=1)
    other.load_state_dict(lda.state_dict())
    torch.testing.assert_close(infer(doubled)["lda.z"].probs, result.beliefs["lda.z"].probs)


def test_documents_without_a_token_are_missing_and_change_nothing():
    counts = corpus()[0].clone()
    counts[::4] = 0
    graph, lda = wired({"words": Observation(counts)}, topics=3)
    result = fit(graph, rounds=5, strict=True)
    empty = counts.sum(1) == 0
    assert torch.equal(result.beliefs["lda.z"].missing, empty)
    short, other = wired({"words": Observation(counts[~empty])}, topics=3)
    expected = fit(short, rounds=5)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-12)
    torch.testing.assert_close(lda.words("words"), other.words("words"))


def test_empty_constant_and_single_data_are_learnt_without_nan():
    for counts in (torch.zeros(3, 4), torch.ones(5, 4), torch.tensor([[3.0, 0.0]]), torch.tensor([[2.0]])):
        result = fit(wired({"words": Observation(counts)}, topics=3)[0], rounds=3, strict=True)
        assert math.isfinite(result.history["F"][-1])
        assert torch.isfinite(result.beliefs["lda.z"].probs).all()


def senses(missing=None):
    """Two senses of the same topics, and the main topic of each document."""
    sight, labels = corpus(60, 12, 3, 30, seed=1)
    sound, _ = corpus(60, 9, 3, 20, seed=2)
    return {"sight": Observation(sight), "sound": Observation(sound, missing=missing)}, labels, sound


def test_one_sense_is_predicted_from_the_other():
    observations, _, sound = senses()
    graph, _ = wired(observations, topics=3)
    fit(graph, rounds=30, strict=True)
    predicted = infer(graph, {"sight": observations["sight"].point.value}, predict=["sound"])["sound"].value
    assert float(predicted.sum(1).mean()) == pytest.approx(20)
    blind = sound.double().mean(0).expand_as(sound)
    assert (predicted - sound).square().sum() < 0.5 * (blind - sound).square().sum()


def test_documents_that_lack_one_sense_are_learnt_from_the_other():
    missing = torch.arange(60) % 3 == 0
    observations, labels, _ = senses(missing)
    graph, _ = wired(observations, topics=3)
    result = fit(graph, rounds=30, strict=True)
    assert result.beliefs["lda.z"].missing is None
    assert purity(result.beliefs["lda.z"].most_probable(), labels) == 1
    # A row that is missing says nothing: any other values there change nothing.
    filled = observations["sound"].point.value.clone()
    filled[missing] = 1e3
    other, _ = wired({"sight": observations["sight"], "sound": Observation(filled, missing=missing)}, topics=3)
    assert fit(other, rounds=30).history["F"] == result.history["F"]


def test_a_class_of_which_nothing_was_observed_is_predicted_and_flagged():
    missing = torch.arange(30) % 5 == 0
    graph, lda, _ = between(missing=missing, parent=False)
    result = fit(graph, rounds=20, strict=True)
    belief = result.beliefs["child.c"]
    assert torch.equal(belief.missing, missing)
    expected = result.beliefs["lda.z"].probs @ lda.words("class")
    torch.testing.assert_close(belief.probs[missing], expected[missing])


def test_generate_draws_documents_of_a_topic_and_senses_from_one_another():
    observations, _, _ = senses()
    graph, lda = wired(observations, topics=3)
    fit(graph, rounds=20)
    drawn = generate(graph, {"lda.z": 1}, n=400)
    assert torch.equal(drawn["sight"].sum(1), torch.full((400,), 30.0).double())
    theta = torch.full((3,), 0.5).double()
    theta[1] += 1
    expected = 30 * (theta / theta.sum()) @ lda.words("sight")
    spread = drawn["sight"].std(0) / 20  # of a mean of 400
    assert ((drawn["sight"].mean(0) - expected).abs() < 4.5 * spread).all()
    seen = generate(graph, {"sight": observations["sight"].point.value[0].double()}, n=200)["sound"].mean(0)
    right, wrong = (corpus(60, 9, 3, 20, seed=2)[0][row].double() for row in (0, 1))
    assert (seen - right).norm() < (seen - wrong).norm()


def test_minibatch_steps_come_to_what_all_documents_say():
    counts, _ = corpus(300, 12, 3, 30)
    whole = fit(wired({"words": Observation(counts)}, topics=3)[0], rounds=30).history["F"][-1]
    graph, lda = wired({"words": Observation(counts)}, topics=3, batch_size=50, passes=5)
    assert lda.guarantee == "stochastic"
    steps = fit(graph, rounds=20).history["F"][-1]
    assert steps == pytest.approx(whole, rel=2e-3)


def test_a_small_concentration_guarantees_nothing():
    assert LDA(3, concentration=0.49).guarantee == "none"
    assert LDA(3).guarantee == "exact"


def perplexity(model, lda, counts):
    """scikit-learn's own measure, of the topics of either."""
    judge = LatentDirichletAllocation(3, doc_topic_prior=0.5, topic_word_prior=0.1, max_doc_update_iter=500)
    judge.partial_fit(counts.numpy())
    judge.components_ = model.components_ if lda is None else lda.state_dict()["topics"]["words"].numpy()
    phi = torch.from_numpy(judge.components_)
    judge.exp_dirichlet_component_ = (torch.digamma(phi) - torch.digamma(phi.sum(1, keepdim=True))).exp().numpy()
    return judge.perplexity(counts.numpy())


def test_it_is_as_good_as_scikit_learns_on_one_modality_and_as_fast():
    counts = corpus(600, 300, 3, 40)[0].double()
    train, test = counts[:500], counts[500:]
    graph, lda = wired({"words": Observation(train)}, topics=3, passes=10)
    begin = time.process_time()
    fit(graph, rounds=2, objective=False)
    ours = time.process_time() - begin
    theirs = LatentDirichletAllocation(3, doc_topic_prior=0.5, topic_word_prior=0.1, max_iter=20, random_state=0)
    begin = time.process_time()
    theirs.fit(train.numpy())
    assert ours < time.process_time() - begin
    assert perplexity(theirs, lda, test) == pytest.approx(perplexity(theirs, None, test), rel=0.01)


def test_what_does_not_fit_is_refused():
    with refused(WiringError, "lda", "at least"):
        ModelGraph(lda=LDA(2)).check()
    with refused(ShapeError, "x.image", "(2, 2)"):
        wired({"image": Observation(torch.ones(3, 2, 2))}, topics=2)[0].check()
    with refused(DataError, "within [0, inf]", "-1"):
        wired({"words": Observation(-torch.ones(3, 2))}, topics=2)[0].check()
    with refused(UnknownNameError, "'wrods'", "There are: words"):
        wired({"words": Observation(torch.ones(3, 2))}, topics=2, weights={"wrods": 2})[0].check()
    for wrong in (
        {"topics": 0},
        {"concentration": 0.001},
        {"word_concentration": -1},
        {"passes": 0},
        {"batch_size": 0},
        {"forgetting": 0.5},
        {"delay": 0.5},
        {"weights": {"words": 0}},
    ):
        with refused(ValueError, "Expected", next(iter(wrong))[:6].rstrip("s")):
            LDA(**{"topics": 2, **wrong})
