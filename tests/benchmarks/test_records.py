"""Records come back as they were written, and a failure leaves the old one in place."""

from dataclasses import replace

import pytest

from benchmarks.records import Outcome, Peer, Records, Scored
from benchmarks.schemes import SETTINGS, plan

SETTING = SETTINGS["digits3000"]
MACHINE = {"cpus": 2}
OUTCOME = Outcome(
    training=Scored(0.75, 0.5),
    test=Scored(0.7, 0.4),
    F=-1234.5,
    standard_error=2.5,
    active=10,
    seconds=3.0,
    cpu_seconds=2.0,
    peer=Peer(Scored(0.6, 0.3), Scored(0.5, 0.2), 1.0),
    beginnings=[-10.0, None],
    history={"F": [None, -1234.5], "accuracy": [0.5, 0.75]},
)


def planned(scheme=0, seed=0):
    return plan(SETTING, SETTING.schemes[scheme], seed, "mnist", 3_000)


@pytest.mark.parametrize("outcome", [OUTCOME, replace(OUTCOME, peer=None, F=None, beginnings=[])])
def test_a_record_comes_back_as_it_was_written(tmp_path, outcome):
    records = Records(tmp_path / "new" / "folder")
    assert records.find(planned()) is None
    assert list(records) == []
    written = records.write(planned(), MACHINE, outcome)
    assert records.find(planned()) == written
    assert written.plan == planned().recorded()
    assert list(records) == [written]


def test_schemes_and_seeds_have_files_of_their_own_and_a_later_record_replaces_an_earlier_one(tmp_path):
    records = Records(tmp_path)
    for scheme, seed in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        records.write(planned(scheme, seed), MACHINE, replace(OUTCOME, seconds=10.0 * scheme + seed))
    assert len(list(records)) == 3
    assert records.find(planned(1, 0)).outcome.seconds == 10.0


def test_a_record_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    records = Records(tmp_path)
    written = records.write(planned(), MACHINE, OUTCOME)
    with pytest.raises(TypeError):
        records.write(planned(), {"cpus": object()}, OUTCOME)
    assert list(records) == [written]
    assert len(list(tmp_path.iterdir())) == 1
