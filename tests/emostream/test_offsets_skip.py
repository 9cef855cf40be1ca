"""`emostream offsets skip` reports what it skipped, and ends with 1 where something is left."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from emostream.command_line import make_app
from emostream.commands import offsets
from emostream.exits import CommandError
from runtime.kafka.protocol import Partition
from runtime.kafka.skip import Skipped

SKIPPED = Skipped(
    topic="posts",
    partition=3,
    first=120,
    next=132,
    offsets=12,
    reason="its checksum is wrong",
    state="skipped",
)
LEFT = msgspec.structs.replace(SKIPPED, state="posts before it are not finished", unfinished=1_500)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Kafka is asked; `found` is what it answers."""
    asked: dict[str, Any] = {"found": [SKIPPED]}

    async def skip(_: object, group: str, topics: Sequence[str], **more: Any) -> list[Skipped]:
        asked.update(more, group=group, topics=topics)
        return list(asked["found"])

    monkeypatch.setattr(offsets, "skip_bad_batches", skip)
    return asked


def skip(*words: str) -> Any:
    return make_app(overview=False)(["offsets", "skip", *words])


def test_it_says_which_offsets_were_skipped_why_and_where_reading_goes_on(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert skip("--partition", "posts/3", "--dry-run") == 0
    said = capsys.readouterr().out
    assert said == (
        "posts/3: offsets 120 to 131 skipped (12; its checksum is wrong); reading goes on at 132\n"
    )
    assert (asked["only"], asked["dry_run"]) == ([Partition("posts", 3)], True)


def test_what_is_left_is_told_with_what_to_do_and_ends_with_1(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = [SKIPPED, LEFT]
    assert skip() == 1
    skipped, left = capsys.readouterr().out.splitlines()
    assert skipped.startswith("posts/3: offsets 120 to 131 skipped")
    assert "1,500 posts before the bad batch at 120 are not finished" in left
    assert "start the consumer" in left
    assert asked["dry_run"] is False


def test_as_json_it_is_all_that_was_found(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert skip("--json") == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=list[Skipped])
    assert found == asked["found"]


def test_where_every_batch_can_be_read_it_says_so(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = []
    assert skip() == 0
    assert "nothing to skip" in capsys.readouterr().out


def test_topics_of_a_pattern_have_to_be_named(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSTREAM_INPUT__PATTERN", "posts-.*")
    with pytest.raises(CommandError, match="name the --partition"):
        skip()
    assert "group" not in asked
