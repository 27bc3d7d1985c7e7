"""A run that is killed at any moment goes on as if nothing had happened."""

import pytest

from tests.faults.kills import kill_at_random


def killed(folder, kills, seed):
    hit, alike = kill_at_random(folder, ["bottom_up", ["vae", "gmm", "gmm"]], kills, seed)
    print(f"{hit.total()} kills, {len(alike)} runs: {dict(hit)}")
    assert hit.total() == kills
    assert all(alike)
    return hit


def test_killed_now_and_then_a_run_ends_as_if_undisturbed(tmp_path):
    killed(tmp_path, kills=10, seed=0)


@pytest.mark.slow
def test_killed_fifty_times_runs_end_as_if_undisturbed(tmp_path):
    hit = killed(tmp_path, kills=50, seed=1)
    assert hit["writing a checkpoint"] + hit["removing a checkpoint"] >= 5, "it must be able to fail"
    assert hit["learning"] >= 5
