"""The backtest: what a file's events would have raised; scores of a series; the command."""

import csv
import json
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.monitor.nab import score
from emostream.__main__ import make_app
from emostream.exits import CommandError
from monitor.backtest import EventFileError, backtest
from monitor.backtest.volumes import VolumeFileError, read_series, score_series
from monitor.detection import DetectionSettings
from monitor.tracks import TrackMatcher
from schemas import EMOTIONS, AffectEvent, ModelRef, Sentiment
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


def test_on_a_terminal_there_is_a_table_and_a_picture(
    events_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = command(capsys, str(events_file), "--false-alarms", "0.5")
    assert "1 alert in" in shown
    assert "trains" in shown
    assert "negative share" in shown.replace("_", " ")


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


def test_a_line_that_is_no_event_is_named() -> None:
    with pytest.raises(EventFileError, match="line 2"):
        list(backtest([b"\n", b"{}"], TrackMatcher(by="topics"), DetectionSettings()))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.jsonl", None, ()),
        ("x.jsonl", "{}\n", ()),
        ("x.jsonl", "", ("--scores", "out.csv")),
        ("x.csv", "time,value\n", ()),
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
