"""The backtest says what the live monitor says of the same events, and shows how far it is."""

from pathlib import Path

import msgspec
import pytest

from emostream.command_line import make_app
from monitor.backtest import backtest
from monitor.configured import detection, make_matcher
from monitor.events import Reading
from monitor.settings import Settings
from monitor.tracks import TrackMatcher
from tests.monitor.live.made import T0, event
from tests.monitor.live.rig import TermRig
from tests.monitor.live.stage import mood

HOUR = 3_600.0
CALM = 26 * HOUR


async def test_the_live_monitor_writes_the_transitions_that_the_backtest_gives() -> None:
    events = [
        *mood(0, CALM, every_s=60, negative=0.3),
        *mood(CALM, CALM + HOUR / 2, every_s=4, negative=0.8),
        *mood(CALM + HOUR / 2, CALM + 4 * HOUR, every_s=30, negative=0.3),
    ]
    settings = Settings()
    lines = [msgspec.json.encode(one) for one in events]
    said = list(backtest(lines, TrackMatcher(by="topics"), detection(settings)))
    assert [one.transition for one in said][-2:] == ["firing", "resolved"]
    rig = TermRig(settings, T0.timestamp() + CALM + 1_200)
    for start in range(0, len(events), 301):
        await rig.read(*events[start : start + 301])
    assert rig.journal.alerts == said


async def test_a_tag_that_fell_silent_gives_its_place_to_another_in_a_backtest_as_live() -> None:
    settings = Settings.model_validate({"monitor": {"max_tracks": 1, "warm_s": 7_200}})
    again, calm = 9 * 86_400.0, 4 * HOUR
    dead = [event(number, at_s=number * 60.0, topic="dead") for number in range(60)]
    events = [
        *dead,
        *mood(again, again + calm, every_s=60, negative=0.3),
        *mood(again + calm, again + calm + HOUR / 2, every_s=4, negative=0.8),
    ]
    lines = [msgspec.json.encode(one) for one in events]
    matcher = make_matcher(settings)
    said = list(backtest(lines, matcher, detection(settings)))
    assert matcher.automatic == ("trains",)
    assert [(one.track, one.transition) for one in said][-1] == ("trains", "firing")
    rig = TermRig(settings, T0.timestamp() + again + calm + 1_200)
    for start in range(0, len(events), 2):
        await rig.read(*events[start : start + 2])
    # Two partitions: the place is free a post later.
    live = [(one.id, one.transition, one.at) for one in rig.journal.alerts]
    assert live == [(one.id, one.transition, one.at) for one in said]


def test_tracks_of_their_own_are_as_many_in_a_backtest_as_live() -> None:
    live, file = make_matcher(Settings()), TrackMatcher(by="topics")
    many = mood(0, 1_300, every_s=1, negative=0.3)
    for number, one in enumerate(many):
        event = msgspec.convert(
            {**msgspec.to_builtins(one), "topics": [f"tag{number // 10}"]}, type=Reading
        )
        assert live.match(event) == file.match(event)
    assert len(live.automatic) == 100


def test_progress_is_on_stderr_and_json_alone_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # Rich takes the output for a terminal
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    file = tmp_path / "events.jsonl"
    events = mood(0, 3_000, every_s=1, negative=0.3)
    file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in events))
    make_app(overview=False)(["monitor", "backtest", str(file), "--json"])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "3,000 events" in printed.err
