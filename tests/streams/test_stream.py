"""Learning chunk after chunk: what adds up to the batch, what is forgotten, what is taken up again."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch

from pgmgraph import (
    Categorical,
    FitEnded,
    FitStarted,
    Gaussian,
    ModelGraph,
    Observation,
    ProgressDisplay,
    RoundEnded,
    Run,
    fit,
    infer,
)
from pgmgraph.errors import CapabilityError, DataError, Interrupted, RunError, ScheduleError
from pgmgraph.events import Event
from pgmgraph.streams import FolderSource, fit_stream
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.linear_gaussian import PPCA
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Noisy, blobs, intensities

ROWS = torch.randn(230, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 3


def over(module, values=None, columns=2):
    """A module over values, or over those that a stream brings."""
    seen = Observation.placeholder((columns,), torch.float64) if values is None else Observation(values)
    graph = ModelGraph(seen=seen, module=module)
    [port] = [name for name, _ in module.ins()]
    graph.connect(seen.value, getattr(module, port))
    return graph


def chain(values=None):
    """Noisy vectors whose latents have a common centre: every step is exact."""
    noisy, centre = Noisy(0.5, learn_shift=False), Centre()
    graph = over(noisy, values)
    graph.add("centre", centre)
    graph.connect(noisy.z, centre.x)
    return graph, noisy, centre


def one_normal():
    return GMM(1, mean=[0.0, 0.0], scale=1.0, freedom=3.0)


def drained(stream):
    return list(stream)


@pytest.mark.parametrize(("block", "chunk"), [(1, 7), (10, 100), (230, 50), (33, 230), (33, None)])
def test_one_pass_is_the_batch_where_sums_need_no_belief(block, chunk):
    batch, streamed = one_normal(), one_normal()
    fit(over(batch, ROWS), rounds=1)
    drained(fit_stream(over(streamed), iter(ROWS.split(block)), chunk=chunk))
    torch.testing.assert_close(streamed.means, batch.means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(streamed.covariances, batch.covariances, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(streamed.posterior.concentration, batch.posterior.concentration)


def test_rounds_on_a_chunk_count_it_once():
    module = Centre()
    drained(fit_stream(over(module), [ROWS], chunk=100, rounds=5))
    assert module.variance == pytest.approx(1 / (1 / 100 + len(ROWS)), rel=1e-14)
    torch.testing.assert_close(module.mean, module.variance * ROWS.sum(0))


def test_fit_chunk_by_chunk_forgets_and_a_stream_does_not():
    naive = Centre()
    graph = over(naive, ROWS[:100])
    fit(graph)
    fit(graph, {"seen": ROWS[100:200]})
    torch.testing.assert_close(naive.mean, ROWS[100:200].sum(0) / (100 + 1 / 100))


def test_forgetting_weighs_each_chunk_by_its_age():
    module = Centre()
    drained(fit_stream(over(module), [ROWS[:200]], chunk=50, forgetting=0.5))
    weights = torch.tensor([1 / 8, 1 / 4, 1 / 2, 1], dtype=torch.float64)
    sums = torch.stack([chunk.sum(0) for chunk in ROWS[:200].split(50)])
    assert module.variance == pytest.approx(1 / (1 / 100 + 50 * float(weights.sum())), rel=1e-14)
    torch.testing.assert_close(module.mean, module.variance * (weights @ sums))


class Watched(GMM):
    """Keeps the responsibilities that it last learnt from."""

    def statistics(self, x, c):
        assert self.posterior is not None
        self.learnt_from = self.posterior.responsibilities(self.layout.moments(x), self.layout).T
        return super().statistics(x, c)


def test_the_bound_of_past_and_present_never_falls():
    """With what is believed of the past held fixed, every step climbs the bound of all items: incremental EM."""
    values, _ = blobs(200, k=4, seed=3)
    module = Watched(4, starts=1, passes=1)
    past: list[tuple[Gaussian, Categorical]] = []
    bounds: list[float] = []

    def watch(event):
        if not (isinstance(event, RoundEnded) and past):
            return
        terms = [module.elbo(x, c) for x, c in past]
        present = Gaussian(values[100:], torch.zeros(100, 2, dtype=torch.float64))
        found = Categorical(module.posterior.responsibilities(module.layout.moments(present), module.layout).T)
        terms.append(module.elbo(present, found))
        of_items = sum(float(term.sum()) for one in terms for term in one.values() if term.ndim)
        bounds.append(of_items + sum(float(term) for term in terms[0].values() if not term.ndim))

    for learnt in fit_stream(over(module), [values], chunk=100, rounds=12, callbacks=[watch]):
        if learnt.number == 0:
            first = Gaussian(values[:100], torch.zeros(100, 2, dtype=torch.float64))
            past.append((first, Categorical(module.learnt_from)))
    assert len(bounds) == 12
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(bounds))


def test_with_all_items_kept_a_stream_ends_where_the_batch_does():
    graph, _, centre = chain(ROWS[:60])
    fit(graph, rounds=60, objective=False)
    streamed, _, other = chain()
    drained(fit_stream(streamed, [ROWS[:60]], chunk=20, rounds=60, keep=60, objective=False))
    torch.testing.assert_close(other.mean, centre.mean, rtol=1e-10, atol=1e-10)


def test_kept_items_stand_for_all_that_were_let_go():
    module = Centre()
    drained(fit_stream(over(module), [ROWS], chunk=30, keep=10))
    assert module.variance == pytest.approx(1 / (1 / 100 + len(ROWS)), rel=1e-12)


def test_networks_see_kept_items_and_new_ones():
    values = intensities(60)
    seen: list[int] = []

    class Counting(VAE):
        def learn_batches(self, batches):
            seen.append(batches.size)
            super().learn_batches(batches)

    vae = Counting(2, hidden=(8,), batch_size=20)
    graph = over(vae, columns=8)
    learnt = drained(fit_stream(graph, [values], chunk=20, keep=15))
    assert seen == [20, 35, 35]
    assert [len(one.beliefs["module.z"]) for one in learnt] == [20, 20, 20]


def test_what_a_chunk_is_told_of():
    heard: list[Event] = []
    learnt = drained(fit_stream(over(Centre()), [ROWS], chunk=100, rounds=2, callbacks=[heard.append]))
    assert [(one.number, one.items, one.total) for one in learnt] == [(0, 100, 100), (1, 100, 200), (2, 30, 230)]
    assert learnt[0].foretold is None
    assert heard[0] == FitStarted(("module",), 0, 0, 0)
    assert heard[-1] == FitEnded(6, "ended")


def test_what_was_foretold_is_the_bound_before_learning():
    module = Centre()
    stream = fit_stream(over(module), [ROWS], chunk=100)
    next(stream)
    mean, variance = module.mean, module.variance
    expected = torch.distributions.Normal(mean, 1.0).log_prob(ROWS[100:200]).sum(1).mean() - 2 * variance / 2
    assert next(stream).foretold == pytest.approx(float(expected), rel=1e-12)


def test_what_was_foretold_falls_when_the_world_changes():
    moved = [*ROWS[:200].split(50), ROWS[200:] + 20]
    learnt = drained(fit_stream(over(one_normal()), moved, chunk=None))
    foretold = [one.foretold for one in learnt[1:]]
    assert foretold[-1] < min(foretold[:-1]) - 10


def test_with_forgetting_a_stream_follows_a_world_that_changes():
    firm, soft = Centre(), Centre()
    chunks = [*ROWS[:200].split(20), *(ROWS[:200] + 10).split(20)]
    for module, forgetting in ((firm, 1.0), (soft, 0.5)):
        drained(fit_stream(over(module), chunks, chunk=None, forgetting=forgetting))
    assert abs(float(firm.mean.mean()) - 8) < 0.5
    assert abs(float(soft.mean.mean()) - 13) < 0.5


def test_max_items_ends_an_endless_source():
    def endless():
        while True:
            yield ROWS[:7]

    module = Centre()
    learnt = drained(fit_stream(over(module), endless(), chunk=10, max_items=25))
    assert [one.items for one in learnt] == [10, 10, 5]
    assert module.variance == pytest.approx(1 / (1 / 100 + 25), rel=1e-14)


def test_a_larger_first_chunk():
    learnt = drained(fit_stream(over(Centre()), [ROWS], first=120, chunk=50))
    assert [one.items for one in learnt] == [120, 50, 50, 10]


def test_what_the_graph_holds_is_the_first_chunk_and_a_second_stream_goes_on():
    batch, module = one_normal(), one_normal()
    fit(over(batch, ROWS))
    graph = over(module, ROWS[:50])
    drained(fit_stream(graph, [ROWS[50:120]], chunk=40))
    drained(fit_stream(graph, [ROWS[120:]], chunk=40))
    torch.testing.assert_close(module.means, batch.means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.covariances, batch.covariances, rtol=1e-12, atol=1e-12)


def test_rows_that_were_read_and_not_learnt_are_not_lost():
    batch, module = one_normal(), one_normal()
    fit(over(batch, ROWS))
    graph, blocks = over(module), iter(ROWS.split(30))
    next(fit_stream(graph, blocks, chunk=50))
    drained(fit_stream(graph, blocks, chunk=50))
    torch.testing.assert_close(module.means, batch.means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.covariances, batch.covariances, rtol=1e-12, atol=1e-12)


def test_a_graph_from_a_run_remembers(tmp_path):
    batch = one_normal()
    fit(over(batch, ROWS))
    drained(fit_stream(over(one_normal()), [ROWS[:130]], chunk=50, run_dir=tmp_path / "run"))
    graph = Run(tmp_path / "run").graph()
    drained(fit_stream(graph, [ROWS[130:]], chunk=50, run_dir=tmp_path / "next"))
    torch.testing.assert_close(graph.modules["module"].means, batch.means, rtol=1e-12, atol=1e-12)
    assert Run(tmp_path / "next").history["items"] == [50.0, 100.0]


def test_a_run_that_ended_before_its_first_chunk_is_resumed(tmp_path):
    drained(fit_stream(over(one_normal()), [ROWS[:130]], run_dir=tmp_path / "run"))

    def interrupt(event):
        if isinstance(event, RoundEnded):
            raise KeyboardInterrupt

    def again():
        return Run(tmp_path / "run").graph()

    with pytest.raises(Interrupted):
        drained(fit_stream(again(), [ROWS[130:]], run_dir=tmp_path / "next", callbacks=[interrupt]))
    graph = over(one_normal())
    drained(fit_stream(graph, [ROWS[130:]], run_dir=tmp_path / "next", resume=True))
    batch = one_normal()
    fit(over(batch, ROWS))
    torch.testing.assert_close(graph.modules["module"].means, batch.means, rtol=1e-12, atol=1e-12)


def test_a_graph_whose_past_nobody_knows_is_warned_of():
    graph = over(Centre())
    fit(graph, {"seen": ROWS[:50]})
    with pytest.warns(UserWarning, match="data that it does not hold"):
        drained(fit_stream(graph, [ROWS[50:]]))


def test_steps_on_minibatches_take_the_past_in():
    """Stochastic steps whose share is 1 each end at the estimate of past and present."""
    words = torch.poisson(torch.full((80, 6), 2.0), generator=torch.Generator().manual_seed(0)).double()
    stepped = LDA(2, batch_size=20, delay=1.0, forgetting=0.51)
    drained(fit_stream(wordy(stepped), [words], chunk=40))
    expected = float(words.sum() + 0.1 * 6 * 2)
    whole = LDA(2)
    drained(fit_stream(wordy(whole), [words], chunk=40))
    assert float(whole._topics.concentration["a"].sum()) == pytest.approx(expected, rel=1e-9)
    assert float(stepped._topics.concentration["a"].sum()) == pytest.approx(expected, rel=0.35)


def wordy(lda):
    words = Observation.placeholder((6,), torch.float64)
    graph = ModelGraph(words=words, lda=lda)
    graph.connect(words.value, lda.x["a"])
    return graph


def test_whole_sequences_are_chunks_of_their_own():
    hmm = HMM(2, starts=1)
    seen = Observation.placeholder((2,), torch.float64)
    graph = ModelGraph(seen=seen, hmm=hmm)
    graph.connect(seen.value, hmm.x)
    blocks = [{"seen": Observation(part, sequences=[0] * 20 + [1] * 30)} for part in ROWS[:200].split(50)]
    drained(fit_stream(graph, blocks, chunk=None))
    steps = float(hmm.dynamics.transition.sum() - hmm.prior.transition.sum())
    assert steps == pytest.approx(4 * (19 + 29), rel=1e-9)
    with refused(DataError, "sequences", "chunk=None"):
        drained(fit_stream(over(Centre()), blocks, chunk=10))


def test_several_observations_come_side_by_side_and_rows_may_be_missing():
    module, other = Centre(), Centre()
    graph = over(module)
    twin = Observation.placeholder((2,), torch.float64)
    graph.add("twin", twin)
    graph.add("other", other)
    graph.connect(twin.value, other.x)
    mask = torch.arange(230) % 3 == 0
    blocks = [
        {"seen": ROWS[rows], "twin": Observation(ROWS[rows], missing=mask[rows])}
        for rows in (slice(0, 90), slice(90, 230))
    ]
    drained(fit_stream(graph, blocks, chunk=64))
    assert other.variance == pytest.approx(1 / (1 / 100 + int((~mask).sum())), rel=1e-12)
    torch.testing.assert_close(other.mean, other.variance * ROWS[~mask].sum(0))
    graph = over(Centre())
    graph.add("twin", Observation.placeholder((2,), torch.float64))
    graph.add("other", Centre())
    graph.connect(graph.observations["twin"].value, graph.modules["other"].x)
    sides = {"seen": ROWS.split(23), "twin": ROWS.split(23)}
    assert drained(fit_stream(graph, sides, chunk=100))[-1].total == 230


@pytest.mark.parametrize("gmm", [GMM(5, moves=2, starts=1), GMM(2, inference="gibbs", sweeps=4)])
def test_ways_to_learn_whose_sums_do_not_add_up_are_refused(gmm):
    with refused(CapabilityError, "module.statistics", "inference='vb'"):
        drained(fit_stream(over(gmm), [blobs(200)[0]], chunk=100, rounds=2))


def test_arguments_that_no_stream_can_have():
    graph = over(Centre())
    for wrong, word in (
        ({"chunk": 0}, "chunk"),
        ({"rounds": 0}, "rounds"),
        ({"forgetting": 0.0}, "forgetting"),
        ({"forgetting": 1.1}, "forgetting"),
        ({"keep": -1}, "keep"),
        ({"resume": True}, "run_dir"),
    ):
        with refused(ScheduleError, word):
            fit_stream(graph, [ROWS], **wrong)
    hmm = HMM(2)
    timed = ModelGraph(seen=Observation(ROWS), hmm=hmm)
    timed.connect(timed.observations["seen"].value, hmm.x)
    with refused(ScheduleError, "hmm", "sequences"):
        fit_stream(timed, [ROWS], keep=10)


def test_a_source_without_rows_and_rows_that_do_not_fit():
    with refused(DataError, "before it gave any"):
        drained(fit_stream(over(Centre()), []))
    with refused(DataError, "'seen'", "NaN", "1 of 3 rows: 1"):
        drained(fit_stream(over(Centre()), [[[1.0, 2.0], [np.nan, 1.0], [0.0, 0.0]]]))


def test_sums_and_kept_items_are_not_mixed():
    graph = over(Centre())
    drained(fit_stream(graph, [ROWS]))
    with refused(ScheduleError, "keep"):
        drained(fit_stream(graph, [ROWS], keep=10))


def test_a_source_that_fails_leaves_what_was_learnt(tmp_path):
    def failing():
        yield ROWS[:100]
        raise OSError("the camera is gone")

    module = Centre()
    with pytest.raises(OSError, match="camera"):
        drained(fit_stream(over(module), failing(), chunk=50, run_dir=tmp_path / "run"))
    run = Run(tmp_path / "run")
    assert run.status["state"] == "failed"
    assert run.graph().modules["module"].variance == module.variance == pytest.approx(1 / (1 / 100 + 100))


def test_who_stops_iterating_ends_the_stream_in_good_order(tmp_path):
    for learnt in fit_stream(over(Centre()), [ROWS], chunk=50, run_dir=tmp_path / "run"):
        if learnt.number == 1:
            break
    run = Run(tmp_path / "run")
    assert (run.status["state"], run.status["reason"]) == ("finished", "left")
    assert run.history["items"] == [50.0, 100.0]
    assert len(infer(run.graph(), {"seen": ROWS})) == 0


def filled(folder):
    for number, rows in enumerate(ROWS.split(23)):
        np.save(folder / f"{number:02d}.npy", rows.numpy())
    return folder


@pytest.mark.parametrize("keep", [0, 20])
def test_an_interrupted_stream_goes_on_as_if_nothing_had_been(tmp_path, keep):
    (tmp_path / "in").mkdir()
    folder = filled(tmp_path / "in")

    def source():
        return FolderSource(folder, "*.npy", poll=0.01, until=lambda: True)

    whole, first, second = (chain() for _ in range(3))
    drained(fit_stream(whole[0], source(), chunk=50, rounds=2, keep=keep))

    def interrupt(event):
        if isinstance(event, RoundEnded) and event.round == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="4 rounds"):
        drained(
            fit_stream(
                first[0], source(), chunk=50, rounds=2, keep=keep, run_dir=tmp_path / "run", callbacks=[interrupt]
            )
        )
    learnt = drained(
        fit_stream(second[0], source(), chunk=50, rounds=2, keep=keep, run_dir=tmp_path / "run", resume=True)
    )
    assert [(one.number, one.total) for one in learnt] == [(2, 150), (3, 200), (4, 230)]
    assert torch.equal(second[2].mean, whole[2].mean)
    run = Run(tmp_path / "run")
    assert run.history["items"] == [50.0] * 2 + [100.0] * 2 + [150.0] * 2 + [200.0] * 2 + [230.0] * 2
    assert run.status["reason"] == "ended"


def test_ctrl_c_is_heard_while_nothing_comes(tmp_path):
    def waiting():
        yield ROWS[:50]
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            yield None

    with pytest.raises(Interrupted, match=r"1 rounds.*fit_stream\(\.\.\., resume=True\)\."):
        drained(fit_stream(over(Centre()), waiting(), chunk=50, run_dir=tmp_path / "run"))
    assert Run(tmp_path / "run").status["state"] == "interrupted"


def test_a_run_is_resumed_with_what_it_was_begun_with(tmp_path):
    drained(fit_stream(over(Centre()), [ROWS], run_dir=tmp_path / "run"))
    with refused(RunError, "forgetting"):
        drained(fit_stream(over(Centre()), [ROWS], run_dir=tmp_path / "run", resume=True, forgetting=0.9))


def test_a_stream_of_unknown_length_is_shown_without_an_end(capsys):
    drained(fit_stream(over(Centre()), [ROWS], chunk=100, callbacks=[ProgressDisplay("stream")]))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("round 1  " in line or "round 2  " in line or "round 3  " in line for line in lines)
    assert not any("left" in line for line in lines)


def test_ppca_over_a_stream_finds_the_subspace():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(600, 2, generator=generator, dtype=torch.float64)
    loadings = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    values = z @ loadings + 0.1 * torch.randn(600, 6, generator=generator, dtype=torch.float64)
    streamed = PPCA(2)
    drained(fit_stream(over(streamed, columns=6), [values], chunk=100, rounds=3))
    axes = torch.linalg.qr(streamed.loadings).Q
    true = torch.linalg.qr(loadings.T).Q
    sines = torch.linalg.svdvals(true - axes @ (axes.T @ true))
    assert float(sines.max()) < 0.02
