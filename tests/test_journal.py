"""The journal holds what was written, up to a mark that it can prove."""

import json

import pytest

from pgmgraph.errors import OutputError, RunError
from pgmgraph.journal import Journal, read_journal
from tests.refusals import refused


def journal(path, n=3):
    made = Journal(path)
    marks = [made.mark()]
    for number in range(n):
        made.append({"number": number, "value": 0.1 * number, "none": None})
        marks.append(made.mark())
    return made, marks


def test_records_come_back_to_the_bit(tmp_path):
    journal(tmp_path / "j")
    assert read_journal(tmp_path / "j") == [{"number": n, "value": 0.1 * n, "none": None} for n in range(3)]
    assert read_journal(tmp_path / "none") == []


def test_it_goes_on_where_it_stood(tmp_path):
    _, marks = journal(tmp_path / "j")
    again = Journal(tmp_path / "j")
    assert again.mark() == marks[-1]
    again.append({"number": 3})
    assert len(read_journal(tmp_path / "j")) == 4


@pytest.mark.parametrize("kept", range(4))
def test_what_came_after_a_mark_is_forgotten(tmp_path, kept):
    made, marks = journal(tmp_path / "j")
    assert [record["number"] for record in made.cut(marks[kept])] == list(range(kept))
    assert len(read_journal(tmp_path / "j")) == kept
    assert made.mark() == Journal(tmp_path / "j").mark() == marks[kept]


def test_a_torn_last_line_does_not_count(tmp_path):
    made, marks = journal(tmp_path / "j")
    with (tmp_path / "j").open("a") as file:
        file.write('{"number": 3, "val')
    assert len(read_journal(tmp_path / "j")) == 3
    assert len(made.cut(marks[3])) == 3
    assert (tmp_path / "j").read_text().endswith("}\n")


def test_every_altered_byte_is_noticed(tmp_path):
    _, marks = journal(tmp_path / "j")
    content = (tmp_path / "j").read_bytes()
    for place in range(len(content)):
        (tmp_path / "j").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(RunError, match="altered"):
            Journal(tmp_path / "j").cut(marks[-1])
    (tmp_path / "j").write_bytes(content[:-5])
    with refused(RunError, str(tmp_path / "j"), "truncated or altered", "older checkpoint"):
        Journal(tmp_path / "j").cut(marks[-1])


def test_a_line_that_is_no_record_is_refused(tmp_path):
    for line in ("[1]", "{", "\xff", '"text"'):
        (tmp_path / "j").write_bytes(json.dumps({"a": 1}).encode() + b"\n" + line.encode("latin-1") + b"\n")
        with refused(RunError, str(tmp_path / "j"), "record"):
            read_journal(tmp_path / "j")


@pytest.mark.parametrize("change", [lambda a, b, c: [b, a, c], lambda a, b, c: [a, c], lambda a, b, c: [a, b, b, c]])
def test_lines_in_another_order_are_noticed(tmp_path, change):
    journal(tmp_path / "j")
    (tmp_path / "j").write_text("".join(change(*(tmp_path / "j").read_text().splitlines(keepends=True))))
    with refused(RunError, str(tmp_path / "j"), "line", "altered"):
        read_journal(tmp_path / "j")


def test_a_mark_says_how_much_there_must_be(tmp_path):
    _, marks = journal(tmp_path / "j")
    content = (tmp_path / "j").read_bytes()
    for number, mark in enumerate(marks):
        (tmp_path / "j").write_bytes(content[: mark["bytes"]])
        assert len(read_journal(tmp_path / "j", mark)) == number
        for later in marks[number + 1 :]:
            with refused(RunError, str(tmp_path / "j"), "truncated"):
                read_journal(tmp_path / "j", later)


def test_half_a_line_is_written_over(tmp_path):
    made, _ = journal(tmp_path / "j")
    for number in (3, 4):
        with (tmp_path / "j").open("a") as file:
            file.write('{"number": 7, "val')
        made.append({"number": number})
        made = Journal(tmp_path / "j")
        assert [record["number"] for record in read_journal(tmp_path / "j")] == list(range(number + 1))


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "j").mkdir()
    for read in (Journal, read_journal):
        with refused(RunError, str(tmp_path / "j"), "Is a directory"):
            read(tmp_path / "j")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with refused(OutputError, "j", "No such file"):
        Journal(tmp_path / "none" / "j").append({})
