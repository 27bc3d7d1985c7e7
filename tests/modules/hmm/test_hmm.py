"""The hidden Markov model as a module: what it sends, its place in F, time, gaps and forecasts."""

import itertools

import pytest
import torch

from pgmgraph import (
    Beliefs,
    Categorical,
    CategoricalPotential,
    Gaussian,
    ModelGraph,
    Observation,
    Scores,
    accuracy,
    fit,
    generate,
    infer,
)
from pgmgraph.errors import DataError, MessageTypeError, ShapeError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM, ChainBelief
from pgmgraph_modules.vae import VAE
from tests.modules.hmm.paths import all_paths, log_joint
from tests.refusals import refused
from tests.toys import Noisy

torch.set_num_threads(1)


def cycle(lengths=(30, 20), noise=1.0, seed=0):
    """Vectors of a chain that goes round three states, of which neighbours overlap; ids and states too."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    states = torch.cat([torch.arange(n) % 3 for n in lengths])
    centres = torch.tensor([[0.0, 0.0], [2.5, 0.0], [0.0, 2.5]], dtype=torch.float64)
    x = centres[states] + noise * torch.randn(len(states), 2, generator=generator, dtype=torch.float64)
    return x, ids, states


def alone(x, ids, missing=None, **arguments):
    data = Observation(x, sequences=ids, missing=missing)
    graph = ModelGraph(data=data, hmm=HMM(3, **{"starts": 2, **arguments}))
    graph.connect(data.value, graph["hmm"].x)
    return graph


def above_mixture(x, ids, missing=None, **arguments):
    data = Observation(x, sequences=ids, missing=missing)
    graph = ModelGraph(data=data, gmm=GMM(3, starts=2), hmm=HMM(3, **arguments))
    graph.connect(data.value, graph["gmm"].x)
    graph.connect(graph["gmm"].c, graph["hmm"].c)
    return graph


def parameters(graph):
    dynamics = graph["hmm"].dynamics
    return dynamics.start, dynamics.transition


def states_of(beliefs):
    belief = beliefs["hmm.s"]
    assert isinstance(belief, ChainBelief)
    return belief


@pytest.mark.parametrize("build", [alone, above_mixture])
def test_fifty_rounds_never_lower_f(build):
    x, ids, _ = cycle()
    missing = torch.arange(len(x)) % 7 == 3
    bounds = fit(build(x, ids, missing), rounds=50, strict=True).history["F"]
    assert all(after >= before - 1e-9 * abs(before) for before, after in itertools.pairwise(bounds))


def test_a_child_that_holds_vectors_learns_with_it_and_f_never_falls():
    x, ids, _ = cycle(lengths=(20, 15))
    data = Observation(x, sequences=ids)
    graph = ModelGraph(data=data, noisy=(noisy := Noisy(0.3)), hmm=(hmm := HMM(3, covariance="diagonal")))
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, hmm.x)
    bounds = fit(graph, rounds=50, strict=True).history["F"]
    assert bounds[-1] > bounds[1] + 1
    assert all(after >= before - 1e-9 * abs(before) for before, after in itertools.pairwise(bounds))


def test_a_vae_below_it_gets_a_prior_for_each_step_and_raises_f():
    generator = torch.Generator().manual_seed(0)
    states = torch.arange(90) % 3
    images = (torch.rand(3, 12, generator=generator)[states] > torch.rand(90, 12, generator=generator)).float()
    data = Observation(images, sequences=torch.arange(90) // 30)
    graph = ModelGraph(data=data, vae=(vae := VAE(2, hidden=(16,), epochs=5, lr=1e-2)), hmm=(hmm := HMM(3)))
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, hmm.x)
    bounds = fit(graph, rounds=4).history["F"]
    assert bounds[-1] > bounds[0]


def test_time_tells_overlapping_states_apart():
    x, ids, states = cycle(lengths=(60, 60))
    found = {}
    for name, build in (("both", above_mixture), ("alone", alone)):
        beliefs = fit(build(x, ids), rounds=10).beliefs
        found[name] = accuracy(beliefs["hmm.s"].most_probable().numpy(), states.numpy())
    data = Observation(x)
    mixture = ModelGraph(data=data, gmm=GMM(3))
    mixture.connect(data.value, mixture["gmm"].x)
    blind = accuracy(fit(mixture, rounds=10).beliefs["gmm.c"].most_probable().numpy(), states.numpy())
    assert blind < 0.7
    assert found == {"both": 1.0, "alone": 1.0}


def test_its_messages_are_the_marginals_of_all_paths_and_the_derivative_of_their_sum():
    x, ids, _ = cycle(lengths=(5, 3))
    graph = above_mixture(x, ids)
    fit(graph, rounds=2)
    hmm = graph["hmm"]
    log_weights = (3 * torch.randn(8, 3, dtype=torch.float64)).requires_grad_()
    missing = torch.tensor([False, True, False, False, False, True, False, False])
    sequences = torch.tensor([5, 3])
    evidence = torch.where(missing[:, None], 0.0, log_weights)
    log_z = sum(
        log_joint(all_paths(3, len(part)), part, *hmm.dynamics.expected_log()).logsumexp(0)
        for part in evidence.split([5, 3])
    )
    log_z.backward()
    potential = CategoricalPotential(log_weights.detach(), missing=missing)
    outbox = hmm.send(potential, None, None, sequences)
    probs = outbox.messages["c"].probs
    torch.testing.assert_close(probs[~missing], log_weights.grad[~missing], rtol=0, atol=1e-10)
    chain = outbox.beliefs["s"]
    assert torch.equal(chain.probs, probs)
    terms = hmm.elbo(outbox.messages["c"], None, chain, sequences)
    whole = terms["log p(s) + H[s]"].sum() + potential.expectation(Categorical(probs))[~missing].sum()
    assert float(whole) == pytest.approx(float(log_z.detach()), abs=1e-8)


def test_evidence_of_classes_and_of_vectors_adds_up():
    x, ids, _ = cycle(lengths=(6, 4))
    graph = alone(x, ids)
    fit(graph, rounds=2)
    hmm, sequences = graph["hmm"], torch.tensor([6, 4])
    other = CategoricalPotential(torch.randn(10, 3, dtype=torch.float64))
    belief = Gaussian(x, torch.zeros_like(x))
    both = hmm.send(other, belief, None, sequences)
    vectors = hmm.emissions.log_likelihoods(belief)
    summed = hmm.send(CategoricalPotential(other.log_weights + vectors), None, None, sequences)
    torch.testing.assert_close(both.messages["s"].probs, summed.messages["s"].probs)
    assert set(both.messages) == {"s", "c", "x"}
    assert "x" not in summed.messages


def test_sequences_are_inferred_each_by_itself():
    x, ids, _ = cycle(lengths=(9, 1, 14, 5))
    graph = above_mixture(x, ids)
    fit(graph, rounds=3)
    whole = infer(graph)["hmm.s"].probs
    parts = [infer(graph, {"data": x[ids == one]})["hmm.s"].probs for one in range(4)]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-6)


@pytest.mark.parametrize("build", [alone, above_mixture])
def test_the_order_of_sequences_and_how_they_are_cut_into_minibatches_do_not_matter(build):
    x, ids, _ = cycle(lengths=(9, 4, 14, 5))
    expected = fit(graph := build(x, ids), rounds=5)
    order = torch.cat([(ids == one).nonzero().flatten() for one in (2, 0, 3, 1)])
    mixed = fit(other := build(x[order], ids[order]), rounds=5)
    assert mixed.history["F"] == pytest.approx(expected.history["F"], rel=1e-9)
    torch.testing.assert_close(mixed.beliefs["hmm.s"].probs, expected.beliefs["hmm.s"].probs[order])
    torch.testing.assert_close(parameters(other)[1], parameters(graph)[1])
    fit(pieces := build(x, ids), rounds=1)
    pieces["hmm"].at_once = 10
    cut = fit(pieces, rounds=4)
    assert cut.history["F"] == pytest.approx(expected.history["F"][1:], rel=1e-9)
    torch.testing.assert_close(cut.beliefs["hmm.s"].coupling, expected.beliefs["hmm.s"].coupling)


@pytest.mark.parametrize("build", [alone, above_mixture])
def test_rows_missing_at_the_ends_equal_leaving_them_out_and_are_forecast(build):
    x, ids, _ = cycle(lengths=(20, 15))
    missing = torch.zeros(35, dtype=torch.bool)
    missing[16:20] = missing[33:] = True
    holed = x.clone()
    holed[missing] = torch.nan
    result = fit(graph := build(holed, ids, missing), rounds=5)
    short = fit(other := build(x[~missing], ids[~missing]), rounds=5)
    assert result.history["F"] == pytest.approx(short.history["F"], rel=1e-9)
    for one, expected in zip(parameters(graph), parameters(other), strict=True):
        torch.testing.assert_close(one, expected)
    probs = result.beliefs["hmm.s"].probs
    torch.testing.assert_close(probs[~missing], short.beliefs["hmm.s"].probs)
    torch.testing.assert_close(probs[16:20], graph["hmm"].forecast(probs[15], 4))
    torch.testing.assert_close(probs[33:], graph["hmm"].forecast(probs[32], 2))


def test_time_goes_on_through_a_gap():
    x, ids, states = cycle(lengths=(120,), noise=0.3)
    missing = torch.zeros(120, dtype=torch.bool)
    missing[50:54] = True
    graph = alone(x, ids, missing)
    beliefs = fit(graph, rounds=10).beliefs
    found = beliefs["hmm.s"].most_probable()
    assert accuracy(found.numpy(), states.numpy()) == 1.0
    filled = infer(graph, predict=["data"])["data"].value
    nearest = torch.cdist(filled[missing], graph["hmm"].means).argmin(1)
    assert torch.equal(nearest, found[missing])


def test_inference_gives_the_messages_of_the_last_round():
    x, ids, _ = cycle()
    result = fit(graph := above_mixture(x, ids), rounds=4)
    again = infer(graph)
    for name in ChainBelief.per_item:
        torch.testing.assert_close(getattr(again["hmm.s"], name), getattr(result.beliefs["hmm.s"], name))
    assert torch.equal(again["gmm.c"].probs, again["hmm.s"].probs)


def test_the_most_probable_path_is_that_of_the_belief():
    x, ids, _ = cycle(lengths=(5, 4, 1), noise=2.0)
    beliefs = fit(graph := above_mixture(x, ids), rounds=2).beliefs
    belief, hmm = states_of(beliefs), graph["hmm"]
    expected = []
    for part in belief.evidence.split([5, 4, 1]):
        paths = all_paths(3, len(part))
        expected.append(paths[log_joint(paths, part, *hmm.dynamics.expected_log()).argmax()])
    assert torch.equal(hmm.most_probable_path(belief), torch.cat(expected))
    with refused(MessageTypeError, "ChainBelief", "hmm.s", "Categorical", "Infer again"):
        hmm.most_probable_path(beliefs["gmm.c"])


def test_it_draws_one_sequence_and_vectors_of_given_states():
    x, ids, _ = cycle(lengths=(90,), noise=0.2)
    graph = alone(x, ids)
    fit(graph, rounds=5)
    hmm = graph["hmm"]
    drawn = generate(graph, n=60)
    likely = hmm.transitions[drawn["hmm.s"][:-1], drawn["hmm.s"][1:]]
    assert float((likely > 0.5).double().mean()) > 0.8
    given = generate(graph, {"hmm.s": torch.tensor([0, 1, 2])}, n=3)
    assert torch.equal(torch.cdist(given["data"].double(), hmm.means).argmin(1), torch.tensor([0, 1, 2]))
    path = generate(graph, n=9, temperature=0)["hmm.s"]
    assert torch.equal(path[1:], hmm.transitions.argmax(1)[path[:-1]])
    with refused(DataError, "temperature below", "hmm", "got 50"):
        generate(graph, n=2, temperature=50)


def test_a_resumed_run_ends_as_one_that_was_never_broken_off(tmp_path):
    x, ids, _ = cycle()
    expected = fit(above_mixture(x, ids), rounds=4)
    fit(above_mixture(x, ids), rounds=2, run_dir=tmp_path / "run")
    resumed = fit(above_mixture(x, ids), rounds=4, run_dir=tmp_path / "run", resume=True)
    assert resumed.history["F"] == expected.history["F"]
    for name in ChainBelief.per_item:
        assert torch.equal(getattr(resumed.beliefs["hmm.s"], name), getattr(expected.beliefs["hmm.s"], name))


def test_beliefs_are_saved_as_what_every_categorical_belief_is(tmp_path):
    x, ids, _ = cycle()
    beliefs = fit(alone(x, ids), rounds=1).beliefs
    beliefs.save(tmp_path / "beliefs.npz")
    again = Beliefs.load(tmp_path / "beliefs.npz")["hmm.s"]
    assert type(again) is Categorical
    assert torch.equal(again.probs, beliefs["hmm.s"].probs)


@pytest.mark.parametrize("build", [alone, above_mixture])
@pytest.mark.parametrize(
    ("x", "ids", "seen"),
    [
        (torch.zeros(6, 2), [0, 0, 0, 1, 1, 1], 6),
        (torch.ones(1, 2), [0], 1),
        (torch.tensor([[0.0, 1.0], [5.0, 5.0]]), [0, 1], 2),
        (torch.full((5, 2), 3.0), [0, 0, 1, 1, 1], 1),
    ],
    ids=["constant", "a single step", "sequences of one step, fewer than states", "all but one row missing"],
)
def test_nothing_is_nan_where_there_is_next_to_nothing_to_learn(build, x, ids, seen):
    missing = torch.arange(len(x)) >= seen
    result = fit(build(x, torch.tensor(ids), missing), rounds=5, strict=True)
    assert all(torch.isfinite(torch.tensor(bound)) for bound in result.history["F"])
    probs = result.beliefs["hmm.s"].probs
    torch.testing.assert_close(probs.sum(1), torch.ones(len(x), dtype=torch.float64))


def test_scores_see_its_states():
    x, ids, states = cycle(noise=0.2)
    graph = alone(x, ids)
    history = fit(graph, rounds=3, callbacks=[Scores(graph["hmm"].s, states)]).history
    assert history["accuracy"][-1] == 1.0


def test_the_priors_say_what_its_arguments_say():
    x, ids, _ = cycle()
    fit(graph := above_mixture(x, ids, concentration=0.5, start_concentration=2.0, stickiness=3.0))
    prior = graph["hmm"].prior
    assert prior.start.tolist() == [2.0] * 3
    assert prior.transition.tolist() == [[3.5, 0.5, 0.5], [0.5, 3.5, 0.5], [0.5, 0.5, 3.5]]


def test_wrong_wirings_and_arguments_are_refused():
    with refused(WiringError, "hmm", "c or at x", "Wire one"):
        ModelGraph(hmm=HMM(3)).check()
    x, ids, _ = cycle()
    graph = above_mixture(x, ids)
    other = ModelGraph(data=Observation(x), gmm=GMM(4), hmm=HMM(3))
    other.connect(other["data"].value, other["gmm"].x)
    other.connect(other["gmm"].c, other["hmm"].c)
    with refused(ShapeError, "(3,)", "hmm.c", "(4,)", "gmm.c"):
        other.check()
    assert graph.check().remarks == ()
    for wrong in (
        {"states": 0},
        {"starts": 0},
        {"passes": 0},
        {"concentration": 0.0},
        {"start_concentration": -1.0},
        {"stickiness": -0.1},
        {"scale": 0.0},
        {"covariance": "round"},
    ):
        with refused(ValueError, "Expected", *wrong):
            HMM(**{"states": 2, **wrong})
