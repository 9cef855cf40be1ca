"""`demo --file` takes what people have: columns by name, ids where there are some."""

import json
from pathlib import Path

import pytest

from emostream.demo.own_posts import read_own
from emostream.exits import WRONG_USAGE, CommandError


async def test_a_csv_with_a_text_column_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "my.csv"
    file.write_text("text,author\nfirst,me\nsecond,you\n")
    story = await read_own(file, 10, rate=2.0)
    assert [one.post.text for one in story.planned] == ["first", "second"]
    assert [one.at_s for one in story.planned] == [0.0, 0.5]
    assert len({one.post.id for one in story.planned}) == 2
    assert story.storm_at is None


async def test_json_lines_keep_their_ids_and_no_more_are_read_than_asked_for(
    tmp_path: Path,
) -> None:
    file = tmp_path / "my.jsonl"
    file.write_text("".join(json.dumps({"id": f"x{n}", "text": "t"}) + "\n" for n in range(9)))
    story = await read_own(file, 4, rate=None)
    assert [one.post.id for one in story.planned] == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("my.csv", "id,body\n1,a\n", "no column text; it has: id, body$"),
        ("my.csv", "id;text\n1;a\n", "separated by “;”"),
        ("my.jsonl", "not json\n", "line 1"),
        ("my.jsonl", "", "no post in my.jsonl"),
    ],
)
async def test_a_file_without_posts_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(CommandError, match=says) as error:
        await read_own(file, 4, rate=None)
    assert error.value.status == WRONG_USAGE
