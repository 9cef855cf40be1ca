"""`emostream dlq --since` takes a time, or how long ago."""

from datetime import UTC, datetime, timedelta

import pytest

from emostream.commands.dlq import moment
from emostream.exits import CommandError

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("2026-01-31T07:00:00+00:00", timedelta(hours=1)),
    ],
)
def test_a_duration_or_a_time_is_a_moment(text: str, ago: timedelta) -> None:
    assert moment(text, NOW) == NOW - ago


def test_a_time_without_offset_is_of_the_own_time_zone() -> None:
    assert moment("2026-01-31T07:00:00", NOW).tzinfo is not None


@pytest.mark.parametrize("text", ["yesterday", "2 h", "-2h", "1w", "", "999999d"])
def test_anything_else_is_wrong_usage_with_an_example(text: str) -> None:
    with pytest.raises(CommandError, match="such as 2h") as refused:
        moment(text, NOW)
    assert refused.value.status == 2
