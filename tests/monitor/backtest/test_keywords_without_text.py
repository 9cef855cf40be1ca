"""Tracks of keywords find nothing in events without text: a backtest says why, and at once."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from emostream.command_line import make_app
from monitor.backtest import backtest
from monitor.detection import DetectionSettings
from monitor.tracks import TrackMatcher, TrackRule
from tests.monitor.readings import reading

KEYWORDS = TrackMatcher((TrackRule(name="rail", keywords=("late train",)),))
TOPICS = TrackMatcher(by="topics")


def lines(*texts: str | None) -> list[bytes]:
    return [
        msgspec.json.encode(reading(number, at=number * 60, text=text)) + b"\n"
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("matcher", "texts", "told"),
    [
        (KEYWORDS, [None] * 200, 1),
        (KEYWORDS, [None] * 3, 1),
        (KEYWORDS, [*[None] * 49, "late train", *[None] * 200], 0),
        (KEYWORDS, [], 0),
        (TOPICS, [None] * 200, 0),
    ],
)
def test_it_is_told_once_where_it_matters(
    matcher: TrackMatcher, texts: list[str | None], told: int
) -> None:
    calls: list[str] = []
    list(
        backtest(
            lines(*texts), matcher, DetectionSettings(), on_no_text=lambda: calls.append("told")
        )
    )
    assert len(calls) == told


def test_it_is_told_before_the_rest_of_the_file_is_read() -> None:
    read: list[int] = []
    calls: list[int] = []

    def slowly() -> Iterator[bytes]:
        for number, line in enumerate(lines(*[None] * 200)):
            read.append(number)
            yield line

    list(
        backtest(
            slowly(), KEYWORDS, DetectionSettings(), on_no_text=lambda: calls.append(len(read))
        )
    )
    assert calls == [50]


def test_the_command_names_the_tracks_and_what_to_set_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = tmp_path / "emostream.toml", tmp_path / "events.jsonl"
    config.write_text(
        '[[monitor.tracks]]\nname = "rail"\nkeywords = ["late train"]\n'
        '[[monitor.tracks]]\nname = "everything"\nall = true\n'
    )
    file.write_bytes(b"".join(lines(*[None] * 60)))
    words = ["monitor", "backtest", str(file), "--json", "--config", str(config)]
    make_app(overview=False)(words)
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.endswith(
        "events carry no text, so tracks of keywords find nothing: rail; let the consumer write"
        " texts (output.include_text)"
    )
