"""`emostream events` and `emostream alerts`, run as documented against a real Kafka."""

import asyncio
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import pytest
from rich.text import Text

from emostream.command_line import make_app
from emostream.commands.alerts import line as alert_line
from emostream.commands.events import line
from emostream.exits import CommandError
from emostream.listing import Lines
from infra.kafka import TopicNames, create_topics, default_topics
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from runtime.kafka.topic_log import StoredRecord, kafka_topic_log
from schemas.alert import Alert, AlertAction, Mute
from tests import process
from tests.monitor.alerts import make_alert
from tests.monitor.live.made import event
from tests.monitor.live.stage import mood
from tests.process import Process
from tests.topics import topic_names

HOSTILE = "evil \x1b]0;title\x07 \u202egnp.exe\u202c \u2066x\nnew line 👩\u200d🚀"


WRITTEN_MS = (int(time.time()) - 3_600) * 1000
"""Within what the topics keep."""


@dataclass
class Command:
    """Runs `emostream …` with a configuration that names topics of its own."""

    config: Path
    names: TopicNames
    broker: Broker

    def process(self, *words: str) -> Process:
        return process.emostream(*words, "--config", str(self.config))

    async def __call__(self, *words: str, status: int = 0) -> str:
        """Run it in this process, for a new one takes seconds; give its output, or its error."""
        out = io.StringIO()
        run = asyncio.to_thread(make_app(overview=False), [*words, "--config", str(self.config)])
        if status:
            with pytest.raises(CommandError) as refused:
                await run
            assert refused.value.status == status
            return str(refused.value)
        with redirect_stdout(out):
            await run
        return out.getvalue()

    async def write(self, topic: str, *values: msgspec.Struct, key: bytes | None = None) -> None:
        async with kafka_producer(self.broker) as producer:
            for number, value in enumerate(values):
                report = await producer.send(
                    topic,
                    key=key or b"%d" % number,
                    value=msgspec.json.encode(value),
                    timestamp_ms=WRITTEN_MS + number * 1000,
                )
                await report


@pytest.fixture
async def emostream(bootstrap: str, tmp_path: Path) -> Command:
    names = topic_names()
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    config = tmp_path / "emostream.toml"
    config.write_text(
        f'[kafka]\nbootstrap = "{bootstrap}"\n'
        f'[output]\nevents_topic = "{names.events}"\ndlq_topic = "{names.dead_letters}"\n'
        f'[monitor]\nalerts_topic = "{names.alerts}"\nmutes_topic = "{names.mutes}"\n'
        f'windows_topic = "{names.windows}"\nbaselines_topic = "{names.baselines}"\n'
    )
    return Command(config, names, Broker(bootstrap=bootstrap))


def alert(transition: str, number: int = 0) -> Alert:
    return make_alert(transition, f"alert-{number}", observed=0.61, posts=213, authors=90)


async def test_events_are_printed_whole_oldest_first_and_it_ends(emostream: Command) -> None:
    events = [event(n, topic="trains" if n % 2 else "planes") for n in range(40)]
    await emostream.write(emostream.names.events, *events)
    shown = await emostream("events", "--json")
    assert [json.loads(line) for line in shown.splitlines()] == [
        json.loads(msgspec.json.encode(one)) for one in events
    ]
    last = await emostream("events", "--json", "--last", "3", "--track", "Planes")
    assert [json.loads(line)["id"] for line in last.splitlines()] == [
        "event-34",
        "event-36",
        "event-38",
    ]
    since = datetime.fromtimestamp(WRITTEN_MS / 1000 + 38, UTC).isoformat()
    assert len((await emostream("events", "--since", since)).splitlines()) == 2
    assert len((await emostream("events", "--since", "0001-01-01")).splitlines()) == 40


async def test_strangers_move_nothing_on_the_terminal_and_in_a_pipe_lines_are_whole(
    emostream: Command,
) -> None:
    await emostream.write(
        emostream.names.events, event(0, text=HOSTILE), event(1, text="long " * 99)
    )
    hostile, long = (await emostream("events")).splitlines()
    assert "evil \\x1b]0;title\\x07 \\u202e" in hostile
    assert "\x1b" not in hostile
    assert long.count("long") == 99


def test_a_line_is_cut_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # Rich takes the output for a terminal
    monkeypatch.setenv("COLUMNS", "80")
    Lines(as_json=False).write(b"", lambda: Text("long " * 99))
    shown = capsys.readouterr().out
    assert len(shown) <= 81
    assert shown.endswith("…\n")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_reader_that_has_seen_enough_is_no_error_of_the_listing(
    monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> None:
    """`emostream events | head`: rich would raise SystemExit, in the middle of an event loop."""
    reading, writing = os.pipe()
    os.close(reading)
    raw = io.FileIO(writing, "w")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(cast("BinaryIO", raw), write_through=True))
    try:
        with pytest.raises(BrokenPipeError):
            Lines(as_json=as_json).write(b"{}", lambda: Text("an event"))
    finally:
        raw.close()


async def test_one_broken_record_that_looks_framed_hides_no_event(
    emostream: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    await emostream.write(emostream.names.events, event(0), event(1))
    async with kafka_producer(emostream.broker) as producer:
        await (await producer.send(emostream.names.events, key=b"k", value=b"\0broken record"))
    for words in ((), ("--last", "2")):
        assert len((await emostream("events", "--json", *words)).splitlines()) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert "left out" in told
        assert "registry.urls" in told


def test_an_event_of_a_later_version_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    later = {**msgspec.to_builtins(event(0)), "version": 2, "mood": {"new": 1}}
    value = msgspec.json.encode(later)
    record = StoredRecord(partition=0, offset=0, timestamp_ms=0, key=None, value=value)
    Lines(as_json=False).write(b"", lambda: line(record))
    assert "not an affect event" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "value", [b'{"id":"\xff"}', b'{"x":' + b"[" * 200_000], ids=["no UTF-8", "nested"]
)
def test_a_record_that_nothing_can_read_is_shown_by_its_place(value: bytes) -> None:
    record = StoredRecord(partition=1, offset=7, timestamp_ms=0, key=None, value=value)
    assert line(record).plain == "1/7: not an affect event"
    assert alert_line(record).plain == "1/7: not an alert"


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("America/New_York", "0001-01-01T00:00:00Z"),  # what Go writes for no time
        ("Europe/Vienna", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_that_the_zone_has_no_date_for_has_a_line(
    zone: str, moment: str, in_zone: Callable[[str], None]
) -> None:
    in_zone(zone)
    at = datetime.fromisoformat(moment)
    value = msgspec.json.encode(msgspec.structs.replace(event(0), created_at=at))
    record = StoredRecord(partition=0, offset=0, timestamp_ms=0, key=None, value=value)
    assert f"{at:%m-%d %H:%M:%S}" in line(record).plain
    value = msgspec.json.encode(msgspec.structs.replace(alert("firing"), at=at))
    record = StoredRecord(partition=0, offset=0, timestamp_ms=0, key=None, value=value)
    assert f"{at:%m-%d %H:%M:%S}" in alert_line(record).plain


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes a zone this machine's, for the test."""

    def change(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


def test_a_mute_until_a_time_that_is_no_date_is_refused_in_words(
    in_zone: Callable[[str], None],
) -> None:
    in_zone("America/New_York")
    with pytest.raises(CommandError, match="until is a time such as"):
        make_app(overview=False)(["alerts", "mute", "trains", "--until", "9999-12-31T23:59:59"])
    with pytest.raises(CommandError, match="name of a track"):
        make_app(overview=False)(["alerts", "mute", "", "--until", "8h", "--by", "ann"])


async def test_a_mute_of_an_unknown_track_is_written_and_says_so(
    emostream: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    await emostream.write(emostream.names.baselines, alert("firing"), key=b"trains")
    await emostream("alerts", "mute", "trains", "--until", "8h", "--by", "ann")
    assert not capsys.readouterr().err
    await emostream("alerts", "mute", "Trains", "--until", "8h", "--by", "ann")
    assert "no track Trains is known yet; did you mean trains?" in capsys.readouterr().err
    async with kafka_topic_log(emostream.names.mutes, emostream.broker) as log:
        stored = [record.key async for record in log.in_order(await log.spans())]
    assert sorted(key or b"" for key in stored) == [b"Trains", b"trains"]


async def test_follow_shows_what_comes_from_now_on(emostream: Command) -> None:
    await emostream.write(emostream.names.events, event(0))
    async with emostream.process("events", "--json", "--follow") as following:
        await following.wait_for_line('"id":"event-0"')
        await emostream.write(emostream.names.events, event(1))
        await following.wait_for_line('"id":"event-1"')
        assert len(following.stdout) == 2


async def test_alerts_and_what_people_say_of_them_are_printed_and_written(
    emostream: Command,
) -> None:
    topics = emostream.names
    await emostream.write(topics.alerts, alert("pending"), alert("firing"), alert("firing", 1))
    await emostream("alerts", "ack", "alert-0", "--by", "ann", "--note", "it is the strike")
    await emostream("alerts", "note", "alert-0", "over at noon", "--by", "ann")
    await emostream("alerts", "false", "alert-1", "--by", "ben")
    shown = await emostream("alerts")
    assert "firing   trains warning: negative_share 0.61, expected" in shown
    assert "alert-0  ack by ann: it is the strike" in shown
    rows = [json.loads(line) for line in (await emostream("alerts", "--json")).splitlines()]
    assert [row["transition"] for row in rows[:3]] == ["pending", "firing", "firing"]
    for track, number in (("#Trains", 3), ("planes", 0)):
        of_track = await emostream("alerts", "--json", "--track", track)
        assert len(of_track.splitlines()) == number
    actions = [msgspec.convert(row, AlertAction) for row in rows[3:]]
    assert [(one.action, one.alert_id, one.by) for one in actions] == [
        ("ack", "alert-0", "ann"),
        ("note", "alert-0", "ann"),
        ("false", "alert-1", "ben"),
    ]
    assert "2 alerts begin" in await emostream("alerts", "ack", "alert", status=1)
    assert "no alert nothing" in await emostream("alerts", "ack", "nothing", status=1)
    for nothing in ("", " "):  # a variable that wasn't set: every alert begins so
        refused = await emostream("alerts", "false", nothing, status=2)
        assert "name the alert by its id" in refused


async def test_mutes_are_written_and_refused_in_words(emostream: Command) -> None:
    await emostream("alerts", "mute", "trains", "--until", "8h", "--by", "ann")
    weekly = ("--weekly", "sat,sun 00:00-23:59", "--zone", "Europe/Vienna")
    await emostream("alerts", "mute", "planes", *weekly, "--by", "ann")
    refused = await emostream("alerts", "mute", "planes", "--weekly", "never", status=2)
    assert "mon-fri 22:00-06:00" in refused
    async with kafka_topic_log(emostream.names.mutes, emostream.broker) as log:
        stored = [record async for record in log.in_order(await log.spans())]
    mutes = {record.key: msgspec.json.decode(record.value or b"", type=Mute) for record in stored}
    assert mutes[b"planes"].zone == "Europe/Vienna"
    assert mutes[b"trains"].until is not None


async def test_a_topic_is_backtested_like_the_file_of_its_events(
    emostream: Command, tmp_path: Path
) -> None:
    refused = await emostream("monitor", "backtest", emostream.names.events, status=1)
    assert "holds no affect event" in refused
    hours = 26 * 3_600
    events = [
        *mood(0, hours, every_s=60, negative=0.3),
        *mood(hours, hours + 1_800, every_s=4, negative=0.8),
        *mood(hours + 1_800, hours + 7_200, every_s=60, negative=0.3),
    ]
    await emostream.write(emostream.names.events, *events)
    report = await emostream("monitor", "backtest", emostream.names.events, "--json")
    file = tmp_path / "events.jsonl"
    file.write_text(await emostream("events", "--json"), encoding="utf-8")
    assert report == await emostream("monitor", "backtest", str(file), "--json")
    transitions = [json.loads(line)["transition"] for line in report.splitlines()]
    assert "firing" in transitions
