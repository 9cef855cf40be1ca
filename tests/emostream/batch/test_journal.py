"""What was answered is kept, wherever the process ended."""

import errno
from pathlib import Path
from typing import IO

import pytest

from emostream.batch.journal import Answer, Journal
from emostream.exits import CommandError

JOB = {"input": "a", "model": "m"}


def begin(out: Path) -> None:
    """A run that wrote row 0, had answers to rows 0, 1 and 3, and was killed."""
    with Journal(out, JOB) as journal:
        for row in (0, 3, 1):
            journal.note(Answer(row, "V-reg", f"0.{row}"))
        journal.write(b'{"row": 0}')


def test_a_run_goes_on_with_the_rows_and_answers_of_the_one_before(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begin(out)
    with Journal(out, JOB) as journal:
        assert journal.rows == 1
        assert {key: answer.text for key, answer in journal.known.items()} == {
            (1, "V-reg"): "0.1",
            (3, "V-reg"): "0.3",
        }
        journal.write(b'{"row": 1}')
        journal.finish()
    assert out.read_bytes() == b'{"row": 0}\n{"row": 1}\n'
    assert list(tmp_path.iterdir()) == [out]


def test_rows_with_an_error_of_the_run_before_are_counted(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Journal(out, JOB) as journal:
        for line in (b'{"text": "an error"}', b'{"error": null}', b'{"error": {"E-c": "no"}}'):
            journal.write(line)
        assert journal.errors_before == 0
    with Journal(out, JOB) as journal:
        assert (journal.rows, journal.errors_before) == (3, 2)


@pytest.mark.parametrize("torn", [b'{"row"', b'[1, "V-r', b""])
def test_a_line_that_was_being_written_is_dropped(tmp_path: Path, torn: bytes) -> None:
    out = tmp_path / "out.jsonl"
    begin(out)
    for file in (out, tmp_path / "out.jsonl.journal"):
        with file.open("ab") as lines:
            lines.write(torn)
    with Journal(out, JOB) as journal:
        assert journal.rows == 1
        assert len(journal.known) == 2
        journal.write(b"{}")
    assert out.read_bytes() == b'{"row": 0}\n{}\n'


def test_killed_before_the_first_line_it_begins_again(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.journal").write_bytes(b'{"inp')
    with Journal(tmp_path / "out.jsonl", JOB) as journal:
        assert (journal.rows, journal.known) == (0, {})


def test_a_run_that_had_nothing_leaves_nothing(tmp_path: Path) -> None:
    """Its input is corrected: another input, which a journal would refuse."""
    out = tmp_path / "out.jsonl"
    with pytest.raises(CommandError, match="no column"), Journal(out, JOB):
        raise CommandError("no column")
    assert list(tmp_path.iterdir()) == []
    begin(out)
    with pytest.raises(KeyboardInterrupt), Journal(out, JOB):
        raise KeyboardInterrupt
    assert len(list(tmp_path.iterdir())) == 2


def test_an_input_without_rows_has_an_output_without_lines(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.jsonl", JOB) as journal:
        journal.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_another_job_is_refused_with_what_differs(tmp_path: Path) -> None:
    begin(tmp_path / "out.jsonl")
    with pytest.raises(CommandError, match="begun with another model: go on with the same"):
        Journal(tmp_path / "out.jsonl", {**JOB, "model": "other"})


@pytest.mark.parametrize("damage", [b"no JSON\n", b'["a"]\n', None])
def test_a_damaged_journal_is_a_sentence_and_the_output_stays(
    tmp_path: Path, damage: bytes | None
) -> None:
    out, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    begin(out)
    journal.write_bytes(damage or journal.read_bytes() + b"[1]\n")
    with pytest.raises(CommandError, match="is damaged"):
        Journal(out, JOB)
    assert out.read_bytes() == b'{"row": 0}\n'


def test_an_output_that_no_run_left_open_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("precious")
    with pytest.raises(CommandError, match="exists already"):
        Journal(out, JOB)
    assert out.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [out]


def test_two_runs_dont_write_one_output(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.jsonl", JOB), pytest.raises(CommandError, match="another run"):
        Journal(tmp_path / "out.jsonl", JOB)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be written"):
        Journal(tmp_path / "no" / "out.jsonl", JOB)


@pytest.mark.parametrize("short", [False, True])
def test_a_full_disk_is_a_sentence_and_what_was_kept_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, short: bool
) -> None:
    """A disk that fills up may take a part of a line, without an error, and then be emptied."""
    out = tmp_path / "out.jsonl"
    begin(out)

    class Full:
        def __init__(self, file: IO[bytes]) -> None:
            self._file = file
            self.seek, self.truncate = file.seek, file.truncate

        def write(self, line: bytes) -> int:
            if not short:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._file.write(line[:3])

    with Journal(out, JOB) as journal:
        with monkeypatch.context() as filled:
            for name in ("_out", "_journal"):
                filled.setattr(journal, name, Full(getattr(journal, name)))
            with pytest.raises(CommandError, match="No space left on device; what was answered is"):
                journal.write(b'{"row": 1}')
            with pytest.raises(CommandError, match="No space left on device; what was answered is"):
                journal.note(Answer(4, "V-reg", "0.4"))
        assert journal.rows == 1
        journal.note(Answer(5, "V-reg", "0.5"))  # of a row that was in flight
    with Journal(out, JOB) as journal:
        assert journal.rows == 1
        assert journal.known.keys() == {(1, "V-reg"), (3, "V-reg"), (5, "V-reg")}
        journal.write(b'{"row": 1}')
    assert out.read_bytes() == b'{"row": 0}\n{"row": 1}\n'
