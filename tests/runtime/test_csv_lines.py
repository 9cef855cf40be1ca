"""A quote that is never closed is told, wherever the file's end comes."""

import csv

import pytest

from runtime.csv_lines import CsvLines


def told(content: str) -> list[tuple[list[str], str | None]]:
    lines = CsvLines(content.splitlines(keepends=True))
    return [(row, lines.cut()) for row in csv.reader(lines)]


@pytest.mark.parametrize(
    "content", ["a,b\n1,x\n", "a,b\n1,x", 'a\n"x"', 'a\n"x\ny"\n\n', 'a\nsay "x\n', ""]
)
def test_a_whole_file_has_nothing_cut(content: str) -> None:
    assert not any(cut for _, cut in told(content))


def test_a_quote_that_is_never_closed_is_told_with_its_line() -> None:
    *before, (row, cut) = told('a,b\n"1\n1",x\n2,"y\n3,z\n4,z\n')
    assert not any(cut for _, cut in before)
    assert row == ["2", "y\n3,z\n4,z\n"]
    assert cut is not None
    assert "begins in line 4" in cut
    assert "last 3 lines" in cut
