"""The backtest: what a file's events would have raised; scores of a series; the command."""

import csv
import gzip
import io
import json
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from bench.monitor.nab import score
from emostream.command_line import make_app
from emostream.exits import CommandError
from monitor.backtest import EventFileError, Tally, backtest
from monitor.backtest.picture import Mood, picture
from monitor.backtest.volumes import VolumeFileError, read_series, score_series
from monitor.detection import DetectionSettings
from monitor.tracks import TrackMatcher
from monitor.windows import Fate
from schemas import EMOTIONS, AffectEvent, ModelRef, Sentiment
from schemas.alert import Alert
from tests.monitor.readings import START, T0, reading

DAY = 86_400
STORM = 26 * 3600
BURST = 29 * 3600


def _events() -> list[bytes]:
    """Thirty hours at three posts a minute, a storm of many people, a burst of one."""
    draw = random.Random(5)
    lines = []
    words = [f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]}" for n in range(100)]
    number = 0

    def add(at: float, share: float, author: str, extra: str = "") -> None:
        nonlocal number
        negative = draw.random() < share
        valence = min(1.0, max(0.0, draw.gauss(0.27 if negative else 0.6, 0.1)))
        number += 1
        event = reading(
            number,
            at=at,
            valence=round(valence, 3),
            author=author,
            text=" ".join(draw.sample(words, 8)) + (extra if negative else ""),
            emotions=("anger",) if negative else ("joy",),
        )
        lines.append(msgspec.json.encode(event) + b"\n")

    for second in range(0, 30 * 3600, 20):
        if BURST <= second < BURST + 1200:
            for extra in range(3):
                add(second + extra, 1.0, "bot")
        stormy = STORM <= second < STORM + 2700
        add(
            second,
            0.75 if stormy else 0.2,
            f"author{draw.randrange(500)}",
            " outage" if stormy else "",
        )
    return lines


@pytest.fixture(scope="module")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("events") / "events.jsonl"
    file.write_bytes(b"".join(_events()))
    return file


def command(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    make_app(overview=False)(["monitor", "backtest", *words])
    return capsys.readouterr().out


def test_json_has_one_object_a_transition_with_all_that_is_asked(
    events_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in command(capsys, str(events_file), "--json").splitlines()
    ]
    (alarm,) = [row for row in rows if row["transition"] == "firing"]
    asked = "id track transition measure severity observed expected posts authors started_at"
    assert {*asked.split(), "fired_at", "resolved_at", "emotions", "terms", "examples"} <= set(
        alarm
    )
    assert alarm["track"] == "trains"
    assert alarm["terms"][0]["term"] == "outage"
    assert next(iter(alarm["emotions"])) == "anger"
    assert len(alarm["examples"]) == 5
    fired = datetime.fromisoformat(alarm["fired_at"]).timestamp() - T0
    assert STORM < fired < STORM + 900
    (end,) = [row for row in rows if row["transition"] == "resolved" and row["fired_at"]]
    assert end["id"] == alarm["id"] != end["transition_id"]
    assert end["resolved_at"] > alarm["fired_at"]


@pytest.mark.parametrize(
    ("configured", "words", "track", "late_s"),
    [
        ("[monitor]\nwarm_s = 864000\n", "", None, 30),
        ("[monitor]\nlateness_s = 95.0\nfalse_alarms = 0.1\n", "", "trains", 95),
        ('[monitor]\nby = "lang"\n', "", "en", 30),
        ('[monitor]\nby = "lang"\n', "--by topics", "trains", 30),
        ('[[monitor.tracks]]\nname = "rail"\ntopics = ["trains"]\n', "", "rail", 30),
        ('[[monitor.tracks]]\nname = "x"\nall = true\n', "--by source", "mastodon", 30),
    ],
)
def test_it_judges_by_the_configuration_as_the_live_monitor_does(
    *,
    events_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    configured: str,
    words: str,
    track: str | None,
    late_s: int,
) -> None:
    file = tmp_path / "emostream.toml"
    file.write_text(configured)
    printed = command(capsys, str(events_file), "--json", "--config", str(file), *words.split())
    rows: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    fired = [row for row in rows if row["transition"] == "firing"]
    assert [row["track"] for row in fired] == ([] if track is None else [track])
    for row in fired:
        # Panes of ten seconds close so long after their end.
        assert datetime.fromisoformat(row["fired_at"]).timestamp() % 10 == late_s % 10


def test_a_reader_that_has_seen_enough_ends_the_backtest(
    events_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    closed = Closed()
    monkeypatch.setattr("sys.stdout", closed)
    with pytest.raises(BrokenPipeError):
        make_app(overview=False)(["monitor", "backtest", str(events_file), "--json"])
    assert closed.getvalue().count("\n") == 1


def test_on_a_terminal_there_is_a_table_and_a_picture(
    events_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = command(capsys, str(events_file), "--false-alarms", "0.5")
    assert "1 alert in" in shown
    assert "trains" in shown
    assert "negative share" in shown.replace("_", " ")


def test_a_picture_has_every_hour_also_of_a_track_with_posts_in_the_last_one_only() -> None:
    for hours in range(1, 80):
        long, short = Mood(), Mood()
        for hour in range(hours):
            long.add(3600 * hour, 10, 3)
        short.add(3600 * (hours - 1), 10, 6)
        console = Console(width=64, record=True, file=io.StringIO())
        console.print(picture({"long": long, "short": short}, [], width=64))
        line = console.export_text().splitlines()[1]
        assert any(block in line for block in "▁▂▃▄▅▆▇█"), hours


def test_another_run_gives_the_same_ids(events_file: Path) -> None:
    def run() -> list[str]:
        with events_file.open("rb") as lines:
            return [a.id for a in backtest(lines, TrackMatcher(by="topics"), DetectionSettings())]

    assert run() == run()


def test_events_as_the_consumer_writes_them_are_read() -> None:
    event = AffectEvent(
        version=1,
        id="e",
        post_id="p",
        created_at=START,
        processed_at=START,
        model=ModelRef(id="m"),
        sentiment=Sentiment(valence=0.2, class_=-1),
        emotions=EMOTIONS[:2],
        custom={"irony": "no"},
    )
    lines = [msgspec.json.encode(event), b"\n"]
    assert list(backtest(lines, TrackMatcher(by="topics"), DetectionSettings())) == []


def test_a_file_without_any_event_is_refused_by_its_first_line() -> None:
    with pytest.raises(EventFileError, match="line 2"):
        list(backtest([b"\n", b"{}"], TrackMatcher(by="topics"), DetectionSettings()))


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\n \n", b'{"half of an event\n'])
def test_what_lies_between_the_events_changes_nothing(events_file: Path, between: bytes) -> None:
    def run(lines: list[bytes], tally: Tally) -> list[Alert]:
        matcher = TrackMatcher(by="topics")
        return list(backtest(lines, matcher, DetectionSettings(), tally=tally))

    lines = events_file.read_bytes().splitlines(keepends=True)
    apart = [b"\xef\xbb\xbf" + lines[0], *(between + line for line in lines[1:])]
    apart = b"".join(apart).splitlines(keepends=True)
    plain, other = Tally(), Tally()
    assert run(lines, plain) == run(apart, other) != []
    assert other.fates == plain.fates
    assert other.unreadable == (len(lines) - 1 if between.startswith(b"{") else 0)


def test_an_event_is_late_once_the_watermark_passed_its_pane_however_few_events_there_are() -> None:
    def at(number: int, second: float) -> bytes:
        return msgspec.json.encode(reading(number, at=second, valence=0.5))

    tally = Tally()
    lines = [at(1, 0), at(2, 39), at(3, 5), at(4, 41), at(5, 6)]
    list(backtest(lines, TrackMatcher(by="topics"), DetectionSettings(), tally=tally))
    assert tally.fates[Fate.LATE] == 1
    assert tally.fates[Fate.COUNTED] == 4


def test_lines_left_out_and_late_events_are_told(
    events_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = events_file.read_bytes().splitlines(keepends=True)
    file = tmp_path / "events.jsonl"
    unheard = msgspec.json.encode({**msgspec.json.decode(first), "post_id": "unheard"}) + b"\n"
    file.write_bytes(b"".join([first, *others, unheard, first, others[-1], b'{"id": "cut']))
    make_app(overview=False)(["monitor", "backtest", str(file)])
    printed = capsys.readouterr()
    assert "counted nowhere: 2 twice, 1 late" in printed.out
    assert f"1 left out: line {len(others) + 5} is no affect event" in printed.err


@pytest.mark.parametrize(
    ("ahead_s", "backwards", "told"),
    [
        (0, False, ""),
        (0, True, "of 200 events count nowhere, as they came late: lines have to be in order"),
        (600, False, "200 of 200 events count nowhere, as they lie ahead of the time"),
    ],
)
def test_where_a_large_part_counts_nowhere_it_is_told_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ahead_s: int, told: str, *, backwards: bool
) -> None:
    file = tmp_path / "events.jsonl"
    posts = [reading(number, at=number * 30, made_after=-ahead_s) for number in range(200)]
    lines = [msgspec.json.encode(post) + b"\n" for post in posts]
    file.write_bytes(b"".join(reversed(lines) if backwards else lines))
    make_app(overview=False)(["monitor", "backtest", str(file), "--json"])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert bool(printed.err) == bool(told)


def test_a_compressed_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(msgspec.json.encode(reading(1))))
    with pytest.raises(
        CommandError, match=r"is compressed: gunzip -c .*events\.jsonl\.gz"
    ) as refused:
        make_app(overview=False)(["monitor", "backtest", str(file)])
    assert refused.value.status == 2


def test_days_of_two_years_are_shown_with_their_year(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    posts = [reading(number, at=number * 200 * DAY) for number in range(4)]
    file.write_bytes(b"".join(msgspec.json.encode(post) + b"\n" for post in posts))
    assert "02 Mar 2026 00:00 to 23 Oct 2027 00:00 UTC" in command(capsys, str(file))


@pytest.mark.parametrize(("valence", "shown"), [(None, "no posts with a valence"), (0.5, "trains")])
def test_a_few_posts_of_one_moment_are_shown_with_and_without_a_valence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], valence: float | None, shown: str
) -> None:
    file = tmp_path / "events.jsonl"
    posts = [reading(number, at=0, valence=valence) for number in range(12)]
    file.write_bytes(b"".join(msgspec.json.encode(post) + b"\n" for post in posts))
    assert shown in command(capsys, str(file))


def test_a_tag_that_looks_like_markup_is_printed_as_it_is(
    events_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(events_file.read_bytes().replace(b'"trains"', b'"[/b]:smile:"'))
    assert command(capsys, str(file)).count("[/b]:smile:") == 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.jsonl", None, ()),
        ("x.jsonl", "{}\n", ()),
        ("x.jsonl", "", ("--scores", "out.csv")),
        ("x.csv", "time,value\n", ()),
        ("X.CSV", "time,value\n", ()),
        ("X.CSV", None, ()),
        ("x.ndjson", None, ()),
        ("x.csv", "timestamp,value\n", ("--scores", "no/such/folder/out.csv")),
        (".", None, ()),
    ],
)
def test_what_can_not_be_read_is_wrong_usage(
    tmp_path: Path, name: str, text: str | None, words: tuple[str, ...]
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(CommandError) as caught:
        make_app(overview=False)(["monitor", "backtest", str(file), *words])
    assert caught.value.status == 2


def series(seed: int = 1, rows: int = 3000) -> list[tuple[str, float]]:
    draw = random.Random(seed)
    values = [float(max(0, round(draw.gauss(40, 8)))) for _ in range(rows)]
    for row in range(2000, 2012):
        values[row] *= 9
    return [(f"2026-03-02 {row:05d}", value) for row, value in enumerate(values)]


def test_a_volume_storm_scores_and_the_calm_does_not() -> None:
    scored = score_series(series())
    high = [row for row, one in enumerate(scored) if one.anomaly_score > 0.5]
    assert high
    assert all(2000 <= row < 2015 for row in high)
    assert all(0 <= one.anomaly_score <= 1 for one in scored)


def test_scores_do_not_look_ahead() -> None:
    rows = series()
    assert score_series(rows)[:2005] == score_series(rows[:2005])


def test_a_csv_is_scored_row_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "volumes.csv", tmp_path / "scored.csv"
    rows = series()
    file.write_text("timestamp,value\n" + "".join(f"{t},{v:g}\n" for t, v in rows))
    shown = command(capsys, str(file), "--scores", str(out))
    assert "alarms in 3,000 rows" in shown
    with out.open() as lines:
        written = list(csv.DictReader(lines))
    assert len(written) == 3000
    assert list(written[0]) == ["timestamp", "value", "anomaly_score"]
    assert written[7]["timestamp"] == rows[7][0]


def test_scores_do_not_overwrite_the_series(tmp_path: Path) -> None:
    file = tmp_path / "volumes.csv"
    file.write_text("timestamp,value\n1,2\n")
    with pytest.raises(CommandError, match="overwrite"):
        make_app(overview=False)(["monitor", "backtest", str(file), "--scores", str(file)])
    assert file.read_text() == "timestamp,value\n1,2\n"


def test_a_spreadsheets_csv_is_read(tmp_path: Path) -> None:
    file = tmp_path / "volumes.csv"
    file.write_bytes(b'\xef\xbb\xbf"Timestamp","Value"\r\n\r\n1,2\r\n , \r\n3,4.5\r\n')
    assert read_series(file) == [("1", 2.0), ("3", 4.5)]


@pytest.mark.parametrize("value", [0.0, 5.0, 1e9, 1e308])
def test_a_constant_series_scores_nothing_however_high(value: float) -> None:
    scored = score_series([(str(row), value) for row in range(500)])
    assert {one.anomaly_score for one in scored} == {0.0}


@pytest.mark.parametrize(
    "data", [b"timestamp,value\n\xe9,1\n", b"timestamp,value\n" + b"x" * 200_000]
)
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(data)
    with pytest.raises(VolumeFileError):
        read_series(file)


@pytest.mark.parametrize(
    "text", ["timestamp,value\n1,x\n", "timestamp,value\n1\n", "timestamp,value\n1,nan\n"]
)
def test_a_row_that_is_no_number_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(VolumeFileError, match="line 2"):
        read_series(file)


def test_nabs_score_is_one_for_an_alarm_at_a_windows_start_and_less_for_others() -> None:
    windows, rows = [(400, 500)], 1000
    first, last, none, early = ([0.0] * rows for _ in range(4))
    first[400] = last[500] = early[300] = 1.0
    assert score([(first, windows)], 0.5) == pytest.approx(100, abs=0.1)
    assert 50 < score([(last, windows)], 0.5) < 60
    assert score([(none, windows)], 0.5) == 0
    assert score([(early, windows)], 0.5) == pytest.approx(-5.5)
