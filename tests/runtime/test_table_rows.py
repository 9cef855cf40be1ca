"""Rows of CSV and TSV: no lone quote joins two of them in silence."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.table_rows import separator_hint, table_rows, tsv_cells


def rows(content: str, *, tabs: bool = True) -> list[tuple[list[str], bool]]:
    """Cells of each row after the header, and whether there is a problem."""
    lines = io.StringIO(content, newline="\n" if tabs else "")
    _, *found = table_rows(lines, tabs=tabs)
    return [(row.cells, row.problem is not None) for row in found]


def test_a_quote_that_begins_the_text_of_a_tsv_joins_no_rows() -> None:
    content = 'id\ttext\n1\t"Get up\n2\tit\'s late\n3\t"Never mind, he said "no"\n4\tfine"\n'
    assert rows(content) == [
        (["1", '"Get up'], False),
        (["2", "it's late"], False),
        (["3", '"Never mind, he said "no"'], False),
        (["4", 'fine"'], False),
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"say ""hi"", twice"', 'say "hi", twice'),
        ('"a, b"', "a, b"),
        ('""', ""),
        ('"""quoted"""', '"quoted"'),
        ('"one" and "two"', '"one" and "two"'),
        ('""two""', '""two""'),
        ('"', '"'),
        ('"""', '"""'),
    ],
)
def test_quotes_around_a_whole_cell_of_a_tsv_are_taken_off(cell: str, text: str) -> None:
    assert tsv_cells(f"1\t{cell}\t2") == ["1", text, "2"]


def test_a_quoted_cell_may_hold_tabs_where_the_row_has_too_many_cells_without() -> None:
    content = 'text\tid\n"a\tb"\t1\n"a\tb"\n\ta\n"a\tb\t1\n'
    assert rows(content) == [
        (["a\tb", "1"], False),
        (['"a', 'b"'], False),
        (["", "a"], False),
        (['"a', "b", "1"], True),
    ]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0")), min_size=2, max_size=4))
def test_a_tsv_of_pythons_own_writer_is_read_back(cells: list[str]) -> None:
    written = io.StringIO()
    csv.writer(written, "excel-tab").writerow(cells)
    assert tsv_cells(written.getvalue().rstrip("\r\n"), len(cells)) == cells


@pytest.mark.parametrize("line", ['1\t"two', 'lines"\tjoy', 'lines"'])
def test_a_text_of_a_tsv_that_spans_lines_is_told(line: str) -> None:
    lines = iter(["id\ttext\tlabel\n", f"{line}\r\n"])
    _, row = table_rows(lines, tabs=True)
    assert row.line == 2
    assert "a text of a TSV can't span lines; write CSV or JSON lines" in str(row.problem)


def test_cells_that_an_editor_took_off_the_end_of_a_line_are_no_problem() -> None:
    assert rows('id\ttext\tnote\n1\tsay "hi"\n\n2\tb\t\n') == [
        (["1", 'say "hi"'], False),
        (["2", "b", ""], False),
    ]


def test_a_lone_quote_of_a_csv_joins_no_rows_in_silence() -> None:
    content = 'id,text\n1,"Get up\n2,"late\n3,fine\n'
    assert rows(content, tabs=False) == [([], True), (["3", "fine"], False)]
    _, told, _ = table_rows(io.StringIO(content, newline=""), tabs=False)
    assert (told.line, told.problem) == (
        3,
        "lines 2 to 3: text after a closing quote: a quote within a cell in quotes must be doubled",
    )


def test_a_csv_has_texts_of_several_lines() -> None:
    content = 'id,text\r\n1,"two\r\nlines, ""quoted"""\r\n2\r\n'
    assert rows(content, tabs=False) == [
        (["1", 'two\r\nlines, "quoted"'], False),
        (["2"], False),
    ]


def test_nothing_has_no_rows() -> None:
    assert not list(table_rows([], tabs=True))
    assert not list(table_rows([], tabs=False))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (["id;text"], "“;”"),
        (["id\ttext"], "tabs"),
        (["id|text"], "“|”"),
        (["id,text"], "“,”"),
        (["text"], None),
        (["id;x", "text"], None),
        ([], None),
    ],
)
def test_a_header_of_one_cell_tells_the_separator_that_was_meant(
    header: list[str], told: str | None
) -> None:
    hint = separator_hint(header)
    assert hint is None if told is None else f"separated by {told}:" in str(hint)
