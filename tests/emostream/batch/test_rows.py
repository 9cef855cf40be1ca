"""Rows of an input file, one at a time; what can't be read is a row that says so."""

import gzip
import os
from pathlib import Path

import pytest

from emostream.batch.rows import MAX_LINE_BYTES, Row, Rows
from emostream.exits import CommandError

DAMAGED = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff"
"""Gzip's head, and a block of a kind that doesn't exist."""


def rows(path: Path, content: str | bytes, column: str = "text") -> list[Row]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with Rows(path, column) as file:
        return list(file)


def test_instructions_and_posts_are_told_apart(tmp_path: Path) -> None:
    lines = '{"instruction": "a", "input": "", "output": "1"}\n\n{"message": "b", "n": 2}\n'
    first, second = rows(tmp_path / "a.json", lines, "message")
    assert first.instruction == "a"
    assert first.fields == {"instruction": "a", "input": "", "output": "1"}
    assert (second.number, second.text, second.fields["n"]) == (1, "b", 2)


def test_an_empty_instruction_is_none(tmp_path: Path) -> None:
    """As exports of mixed files have it; a model answers nothing at all with something."""
    lines = (
        '{"instruction": "", "text": "b"}\n{"instruction": null, "text": "c"}\n{"instruction": " "}'
    )
    *posts, neither = rows(tmp_path / "a.jsonl", lines)
    assert [(row.instruction, row.text) for row in posts] == [(None, "b"), (None, "c")]
    assert neither.problem == "neither an instruction nor a text in 'text'"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gz", '{"text": "b"}\n'),
        ("a.csv.gz", "id,text\n1,b\n"),
        ("a.tsv.gz", "id\ttext\n1\tb\n"),
        ("A.CSV.GZ", "id,text\n1,b\n"),
    ],
)
def test_gzipped_files_are_the_same(tmp_path: Path, name: str, content: str) -> None:
    (row,) = rows(tmp_path / name, gzip.compress(content.encode()))
    assert row.text == "b"


def test_a_name_in_capitals_is_the_same(tmp_path: Path) -> None:
    (row,) = rows(tmp_path / "A.CSV", "text\nb\n")
    assert row.text == "b"


@pytest.mark.parametrize(("name", "comma", "break_"), [("a.csv", ",", "\n"), ("a.tsv", "\t", "\t")])
def test_a_table_has_a_text_column(tmp_path: Path, name: str, comma: str, break_: str) -> None:
    content = f'id{comma}text\n1{comma}"two{break_}parts, ""quoted"""\n'
    (row,) = rows(tmp_path / name, content)
    assert row.text == f'two{break_}parts, "quoted"'
    assert row.fields["id"] == "1"


def test_quotes_that_begin_the_texts_of_a_tsv_lose_no_row(tmp_path: Path) -> None:
    """As in dumps of posts, where a quote is a character; the next one would end the text."""
    found = rows(tmp_path / "a.tsv", 'id\ttext\n1\t"Get up\n2\tlate\n3\t"Never\n4\tfine"\n')
    assert [row.text for row in found] == ['"Get up', "late", '"Never', 'fine"']


def test_a_text_of_a_tsv_that_spans_lines_is_told(tmp_path: Path) -> None:
    _, rest = rows(tmp_path / "a.tsv", 'id\ttext\n1\t"two\nlines"\n')
    assert "can't span lines; write CSV or JSON lines" in str(rest.problem)


def test_what_cant_be_read_keeps_its_place(tmp_path: Path) -> None:
    long = b'{"text": "' + b"x" * MAX_LINE_BYTES + b'"}'
    lines = [b"{", b"\xff", b"[1]", b'{"a": 1}', b'{"text": " \\u200b"}', long, b'{"text": "b"}']
    found = rows(tmp_path / "a.jsonl", b"\n".join(lines))
    assert [row.number for row in found] == list(range(7))
    problems = [row.problem for row in found]
    assert all(problems[:6])
    assert "not a JSON object" in str(problems[0])
    assert "neither an instruction nor a text in 'text'" in str(problems[3])
    assert problems[4] == "nothing visible in the text"
    assert "longer than" in str(problems[5])
    assert found[6].text == "b"


def test_a_table_without_the_column_or_not_in_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="has no column 'text' but id, message: name"):
        rows(tmp_path / "a.csv", "id,message\n1,a\n")
    with pytest.raises(CommandError, match="but id;text: its cells are separated by “;”"):
        rows(tmp_path / "a.csv", "id;text\n1;a\n")
    with pytest.raises(CommandError, match="isn't UTF-8"):
        rows(tmp_path / "a.csv", b"text\n\xff\n")
    with pytest.raises(CommandError, match="is UTF-16: save it again as UTF-8"):
        rows(tmp_path / "a.jsonl", '{"text": "a"}\n'.encode("utf-16"))


@pytest.mark.parametrize("header", ["text,id,text", "id,text,id"])
def test_a_table_with_two_columns_of_one_name_is_refused(tmp_path: Path, header: str) -> None:
    """One of them would be lost from the output, and it may be the text that is asked."""
    with pytest.raises(
        CommandError, match=r"has the column '(text|id)' twice: rename one"
    ) as caught:
        rows(tmp_path / "a.csv", f"{header}\na,b,c\n")
    assert caught.value.status == 2
    (row,) = rows(tmp_path / "a.csv", "text,,\na,b,c\n")  # cells without a name are no columns
    assert row.text == "a"


@pytest.mark.parametrize("name", ["a.gz", "a.csv.gz"])
@pytest.mark.parametrize(
    "damage", [gzip.compress(b"text\n")[:-6], DAMAGED], ids=["cut off", "damaged"]
)
def test_a_damaged_archive_is_a_sentence(tmp_path: Path, damage: bytes, name: str) -> None:
    with pytest.raises(CommandError, match="can't be unpacked"):
        rows(tmp_path / name, damage)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", '{"text": "a"}\r\n{"text": "b"}\r\n'), ("a.csv", "text\r\na\r\nb")],
)
def test_a_byte_order_mark_and_windows_line_ends_make_no_difference(
    tmp_path: Path, name: str, content: str
) -> None:
    found = rows(tmp_path / name, content.encode("utf-8-sig"))
    assert [row.text for row in found] == ["a", "b"]


def test_a_text_that_an_unquoted_comma_cut_is_not_asked(tmp_path: Path) -> None:
    cut, whole = rows(tmp_path / "a.csv", "id,text\n1,Not bad, not good\n2,Fine\n")
    assert (cut.text, cut.fields["id"]) == (None, "1")
    assert cut.problem == "3 cells, the header has 2: a text with a comma needs quotes"
    assert whole.text == "Fine"


def test_a_file_of_no_known_format_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"must end in \.jsonl"):
        Rows(tmp_path / "a.parquet", "text")
    with pytest.raises(CommandError, match="No such file"):
        Rows(tmp_path / "a.csv", "text")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(CommandError, match="is a pipe"):
        Rows(tmp_path / "a.jsonl", "text")


def test_another_input_has_another_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    prints = []
    for content in ("text\na\n", "text\nb\n", "text\na\n"):
        file.write_text(content)
        with Rows(file, "text") as found:
            prints.append(found.fingerprint())
    assert prints[0] == prints[2] != prints[1]


def test_a_quote_that_is_never_closed_loses_no_row_in_silence(tmp_path: Path) -> None:
    first, last = rows(tmp_path / "a.csv", 'id,text\n1,a\n2,"b\n3,c\n')
    assert first.text == "a"
    assert last.problem is not None
    assert "never closed in the row that begins in line 3" in last.problem
    with pytest.raises(CommandError, match="never closed"):
        rows(tmp_path / "b.csv", 'id,"text\n1,a\n')


def test_a_lone_quote_of_a_csv_takes_no_rows_in_silence(tmp_path: Path) -> None:
    joined, last = rows(tmp_path / "a.csv", 'id,text\n1,"a\n2,"b\n3,c\n')
    assert "lines 2 to 3: text after a closing quote" in str(joined.problem)
    assert (last.number, last.text) == (1, "c")


def test_a_json_list_is_refused_with_what_makes_lines_of_it(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"one JSON list.*jq -c '\.\[\]'"):
        rows(tmp_path / "a.json", b'\xef\xbb\xbf[\n  {"text": "a"}\n]\n')
    assert rows(tmp_path / "b.json", '{"text": "a"}\n[1]\n')[1].problem is not None
