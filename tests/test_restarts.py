"""Restarts: what beginnings share, how they are compared, and that the best one goes on as if it were alone."""

import math

import pytest
import torch

from pgmgraph import ModelGraph, Observation, Scores, events, fit, infer
from pgmgraph.errors import DivergedError, ScheduleError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp
from tests.refusals import refused
from tests.toys import Centre, Noisy, Regression, blobs, intensities, observed

torch.set_num_threads(1)


def mixture():
    """Twelve clusters for seven components: there are many ways to merge them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(1200) % 12
    centres = 30 * torch.rand(12, 2, generator=generator, dtype=torch.float64)
    x = centres[labels] + torch.randn(1200, 2, generator=generator, dtype=torch.float64)
    data, gmm = Observation(x), GMM(7, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, gmm, labels


def with_vae(**options):
    data = Observation(intensities(100, 8))
    vae, gmm = VAE(2, hidden=(16,), batch_size=20, first_epochs=3, **options), GMM(3, starts=1)
    graph = ModelGraph(data=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph, vae, gmm


def same(one, other):
    return (
        torch.equal(one.beliefs["gmm.c"].probs, other.beliefs["gmm.c"].probs) and one.history["F"] == other.history["F"]
    )


def test_the_best_beginning_is_kept():
    graph, _, _ = mixture()
    result = fit(graph, rounds=10, restarts=8, restart_rounds=4)
    assert len(result.beginnings) == 8
    assert max(result.beginnings) - min(result.beginnings) > 1, "starts must differ for this test to say anything"
    # F of an exact module only rises from there.
    assert result.history["F"][-1] >= max(result.beginnings)
    assert result.rounds == graph.rounds_done == len(result.history["F"]) == 10
    alone = [fit(mixture()[0], rounds=10, seed=seed).history["F"][-1] for seed in range(8)]
    assert result.history["F"][-1] >= sorted(alone)[4], "better than half of single starts"


def test_a_mixture_is_compared_by_its_exact_bound():
    graph, _, _ = mixture()
    result = fit(graph, rounds=4, restarts=5, restart_rounds=4)
    best = sum(result.history["F"][-3:]) / 3
    assert max(result.beginnings) == pytest.approx(best, rel=1e-12)


def test_the_first_beginning_is_the_run_without_restarts():
    graph, _, _ = with_vae()
    seen = []
    result = fit(graph, rounds=6, restarts=3, restart_rounds=3, callbacks=[seen.append])
    begun = [number for number, event in enumerate(seen) if isinstance(event, events.BeginningStarted)]
    first = [event.F for event in seen[: begun[1]] if isinstance(event, events.RoundEnded)]
    plain_graph, _, _ = with_vae()
    assert fit(plain_graph, rounds=3).history["F"] == first
    assert result.rounds == 6


def test_restarts_repeat_themselves():
    results = [fit(with_vae()[0], rounds=5, restarts=3, restart_rounds=3) for _ in range(2)]
    assert same(*results)
    assert results[0].beginnings == results[1].beginnings


def test_what_comes_before_the_first_start_is_learnt_once():
    seen = []
    graph, vae, _ = with_vae()
    result = fit(graph, rounds=4, restarts=3, restart_rounds=2, callbacks=[seen.append])
    updates = [event.module for event in seen if isinstance(event, events.ModuleUpdated)]
    # The VAE: once for all in the first round, once each in the second, twice after; the mixture in every round.
    assert updates.count("vae") == 1 + 3 + 2
    assert updates.count("gmm") == 3 * 2 + 2
    assert graph.calls == {"vae": 4, "gmm": 4}
    assert vae.context.updates == 4
    assert [len(column) for column in result.history.values()] == [4] * len(result.history)
    assert len(result.trace) == 8


def test_beginnings_differ_in_their_noise_and_are_judged_by_the_same():
    graph, _, _ = with_vae()
    result = fit(graph, rounds=3, restarts=3, restart_rounds=3)
    assert len(set(result.beginnings)) == 3
    # Judged anew, the kept one's F is what it was: nothing of the judging depends on which beginning it is.
    kept = max(range(3), key=result.beginnings.__getitem__)
    assert result.beginnings[kept] == pytest.approx(sum(result.history["F"]) / 3, rel=0.05)


def test_learning_goes_on_from_the_best_as_from_any_fit():
    graph, _, _ = mixture()
    fit(graph, rounds=4, restarts=4, restart_rounds=4)
    more = fit(graph, rounds=6)
    whole, _, _ = mixture()
    expected = fit(whole, rounds=10, restarts=4, restart_rounds=4)
    assert more.history["F"] == expected.history["F"][4:]


def test_schedules_see_the_mail_of_their_own_beginning():
    named = [
        fit(with_vae()[0], rounds=4, restarts=3, restart_rounds=3, schedule=name) for name in ("residual", "bottom_up")
    ]
    assert named[0].beginnings == named[1].beginnings


def test_labels_are_not_needed_and_not_looked_at():
    graph, gmm, labels = mixture()
    scored = fit(graph, rounds=3, restarts=3, restart_rounds=2, callbacks=[Scores(gmm.c, labels.numpy())])
    other, gmm, _ = mixture()
    shuffled = fit(other, rounds=3, restarts=3, restart_rounds=2, callbacks=[Scores(gmm.c, labels.flip(0).numpy())])
    assert scored.beginnings == shuffled.beginnings
    assert same(scored, shuffled)


class Bursting(GMM):
    """Its second and third beginnings end in NaN; told apart by how often it was started."""

    begun = 0

    def start(self, batches):
        Bursting.begun += 1
        super().start(batches)
        if Bursting.begun > 1:
            raise DivergedError("The bound of gmm turned nan.", "gmm", 0)


def test_a_beginning_that_diverges_is_out():
    Bursting.begun = 0
    x, _ = blobs(60)
    data, gmm = Observation(x), Bursting(3, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    with pytest.warns(UserWarning, match="Beginning . of 3 is out: The bound of gmm turned nan"):
        result = fit(graph, rounds=3, restarts=3, restart_rounds=2)
    assert math.isfinite(result.beginnings[0])
    assert result.beginnings[1:] == [-math.inf, -math.inf]
    assert torch.isfinite(infer(graph)["gmm.c"].probs).all()


def test_where_all_diverge_the_error_is_raised():
    Bursting.begun = 1
    x, _ = blobs(60)
    data, gmm = Observation(x), Bursting(3, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    with pytest.warns(UserWarning, match="is out"), pytest.raises(DivergedError):
        fit(graph, rounds=3, restarts=3)


def test_an_unfinished_weight_is_warned_of():
    graph, _, _ = with_vae(kl_weight=Ramp(0.1, 1.0, rounds=10))
    with pytest.warns(UserWarning, match="climbed something else"):
        fit(graph, rounds=4, restarts=2, restart_rounds=2)


class TestRefusals:
    def test_no_module_starts_from_data(self):
        data, regression = observed(), Regression()
        graph = ModelGraph(data=data, regression=regression)
        graph.connect(data.value, regression.x)
        with refused(ScheduleError, "no module of this graph starts from data", "Leave restarts out"):
            fit(graph, rounds=2, restarts=2)

    def test_a_graph_that_has_learnt(self):
        graph, _, _ = mixture()
        fit(graph, rounds=1)
        with refused(ScheduleError, "gmm learnt before", "a new graph"):
            fit(graph, rounds=2, restarts=2)

    def test_no_objective(self):
        graph, _, _ = mixture()
        with refused(ScheduleError, "objective=True", "restarts"):
            fit(graph, rounds=2, restarts=2, objective=False)

    @pytest.mark.parametrize("options", [{"restarts": 0}, {"restarts": 2, "restart_rounds": 0}])
    def test_numbers_below_one(self, options):
        with refused(ScheduleError, "of at least 1; got 0"):
            fit(mixture()[0], rounds=2, **options)

    def test_an_objective_that_is_not_known(self):
        data, noisy, centre, gmm = observed(), Noisy(), Centre(), GMM(2, starts=1)
        graph = ModelGraph(data=data, noisy=noisy, centre=centre, gmm=gmm)
        graph.connect(data.value, noisy.y)
        graph.connect(noisy.z, centre.x)
        graph.connect(data.value, gmm.x)
        with refused(ScheduleError, "F is not known after a round"):
            fit(graph, rounds=3, restarts=2, schedule=lambda view, round: ["gmm"])
