"""Files of instructions and answers."""

import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.errors import DataError
from training.finetune.records import Record, read, write

TURNS = [{"from": "human", "value": "Task: a"}, {"from": "assistant", "value": "0.734"}]
CONVERSATION = {"id": "1", "conversations": TURNS}
LINE = {"instruction": "Task: a", "input": "", "output": "0.734"}
RECORD = Record("Task: a", "0.734")
DAMAGED = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff"
"""Gzip's head, and a block of a kind that doesn't exist."""
words = st.text(min_size=1, max_size=40).filter(lambda text: bool(text.strip()))


@pytest.mark.parametrize("entry", [CONVERSATION, {"conversations": TURNS}, LINE])
@pytest.mark.parametrize("form", ["lines", "list", "gzipped"])
def test_each_of_the_authors_forms_is_read(entry: Any, form: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    lines = "\n".join([json.dumps(entry), "", json.dumps(entry)])
    whole = json.dumps([entry, entry], indent=2) if form == "list" else lines
    path.write_bytes(gzip.compress(whole.encode()) if form == "gzipped" else whole.encode())
    assert read(path) == [RECORD, RECORD]


@settings(max_examples=25)
@given(st.lists(st.builds(Record, words, words), min_size=1, max_size=5))
def test_what_is_written_is_read_as_it_was(records: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "train.json"
        assert write(records, path) == len(records)
        assert read(path) == records
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no records"),
        ("{", "line 1: no JSON"),
        ("[1, 2", "can't be read"),
        ("[" * 100_000, "can't be read"),
        ('{"a": ' + "[" * 100_000, "line 1: no JSON"),
        ("3", "line 1: no JSON object"),
        ('{"text": "a"}', "neither `conversations` nor `instruction`"),
        (json.dumps({"conversations": TURNS[:1]}), "two turns"),
        (json.dumps({"conversations": TURNS * 2}), "two turns"),
        (json.dumps({"conversations": TURNS[::-1]}), "two turns"),
        (json.dumps(LINE | {"output": 3}), "an answer that is no text"),
        (json.dumps(LINE | {"output": " "}), "an answer that is no text"),
        (json.dumps(LINE | {"instruction": ""}), "an instruction that is no text"),
        (json.dumps(LINE | {"input": "more"}), "`input` isn't empty"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(
    text: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(DataError, match=reason):
        read(path)


@pytest.mark.parametrize("entries", [[LINE], LINE])
def test_a_byte_order_mark_makes_no_difference(entries: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(entries), encoding="utf-8-sig")
    assert read(path) == [RECORD]


@pytest.mark.parametrize(
    "content", [gzip.compress(b"{}" * 99)[:-9], DAMAGED], ids=["cut off", "damaged"]
)
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "train.json.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="it can't be read"):
        read(path)


def test_records_that_end_in_an_error_leave_no_file(tmp_path: Path) -> None:
    def some() -> Iterator[Record]:
        yield RECORD
        raise DataError(tmp_path, "a label can't be read")

    with pytest.raises(DataError, match="a label can't be read"):
        write(some(), tmp_path / "train.json")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cant_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(DataError, match="it can't be written: File exists"):
        write([RECORD], tmp_path / "file" / "train.json")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: there is no such file"):
        read(tmp_path / "none.json")
