"""A machine that refuses to write ends a run with a clear error, and the last checkpoint is whole."""

import os
import subprocess
import time

import pytest

from pgmgraph import Run, checkpoints
from tests.faults.learner import SECONDS, Answer, answer_of, child, learn
from tests.faults.troubles import ROUND, FewFiles, FullDisk, ReadOnly, SmallFiles

SCHEDULE = "bottom_up"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    answer = answer_of(learn, tmp_path_factory.mktemp("undisturbed") / "run", SCHEDULE)
    assert answer.kind == "finished"
    return answer


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def read_only(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    trouble = ReadOnly(folder)
    if not os.geteuid():
        try:
            trouble.begin()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted here: {error}")
        trouble.end()
    yield trouble
    trouble.end()


def told(answer, path, *parts):
    assert answer.kind == "OutputError", answer
    for part in ("Expected to write", str(path), *parts):
        assert part in answer.text


def whole(path):
    """All checkpoints that are left, of which there must be some."""
    kept = [checkpoints.read(one).rounds for one in Run(path).checkpoints]
    assert kept
    # The checkpoint after so many rounds may have been on its way when the trouble came; the one before it was not.
    assert kept[-1] >= ROUND - 1, "what was written before the trouble came must be there"
    assert len(Run(path).trace) >= 2 * kept[-1]
    return kept


def test_a_full_disk(small_disk, undisturbed):
    path = small_disk / "run"
    told(answer_of(learn, path, SCHEDULE, FullDisk(small_disk / "ballast")), path, "No space left", "Make room")
    whole(path)
    status = Run(path).status
    assert (status["state"], status["reason"][:12]) == ("failed", "OutputError:"), "there is room for so much"
    assert answer_of(learn, path, SCHEDULE).kind == "OutputError", "still full"
    whole(path)
    (small_disk / "ballast").unlink()
    assert answer_of(learn, path, SCHEDULE) == undisturbed


@pytest.mark.parametrize("limit", [0, 10_000])
def test_a_limit_to_the_size_of_files(tmp_path, undisturbed, limit):
    told(answer_of(learn, tmp_path, SCHEDULE, SmallFiles(limit)), tmp_path, "File too large", "ulimit -f")
    whole(tmp_path)
    assert answer_of(learn, tmp_path, SCHEDULE) == undisturbed


def test_a_folder_that_becomes_read_only(read_only, undisturbed):
    path = read_only.folder
    told(answer_of(learn, path, SCHEDULE, read_only), path, "can be written" if not os.geteuid() else "may write")
    whole(path)
    assert answer_of(learn, path, SCHEDULE).kind == "OutputError"
    read_only.end()
    assert answer_of(learn, path, SCHEDULE) == undisturbed


def test_no_run_begins_in_a_read_only_folder(read_only):
    read_only.begin()
    told(answer_of(learn, read_only.folder, SCHEDULE), read_only.folder)
    told(answer_of(learn, read_only.folder / "deeper" / "run", SCHEDULE), read_only.folder)
    assert list(read_only.folder.iterdir()) == []


def test_too_many_open_files(tmp_path, undisturbed):
    told(answer_of(learn, tmp_path, SCHEDULE, FewFiles(0)), tmp_path, "Too many open files", "ulimit -n")
    whole(tmp_path)
    assert answer_of(learn, tmp_path, SCHEDULE) == undisturbed


def cramped(path, left):
    FewFiles(left).limit()
    return learn(path, SCHEDULE)


def test_too_few_files_to_begin_with(tmp_path, undisturbed):
    for left in (0, 1, 2, 3, 50):  # in between, it depends on what is written at the same time
        path = tmp_path / str(left)
        answer = answer_of(cramped, path, left)
        if answer != undisturbed:
            assert answer.kind in ("OutputError", "RunError"), answer
            assert "Too many open files" in answer.text
        assert answer_of(learn, path, SCHEDULE) == undisturbed
    assert answer == undisturbed, "with fifty it can be done"


def test_a_request_to_terminate_is_an_interrupt(tmp_path, undisturbed):
    with child(learn, tmp_path, SCHEDULE) as (process, answers):
        history, latest = tmp_path / "history.jsonl", time.monotonic() + SECONDS
        while not (history.exists() and history.read_text().count("\n") >= ROUND):
            assert time.monotonic() < latest
            time.sleep(0.005)
        process.terminate()
        assert answers.poll(SECONDS)
        answer: Answer = answers.recv()
    assert answer.kind == "Interrupted"
    assert f"pgmgraph resume {tmp_path}" in answer.text
    assert Run(tmp_path).status["state"] == "interrupted"
    assert whole(tmp_path)[-1] == len(Run(tmp_path).history["F"])
    assert answer_of(learn, tmp_path, SCHEDULE) == undisturbed
