"""The mood per track on /metrics, also while no post comes."""

from datetime import UTC, datetime, timedelta
from typing import cast

from monitor.detection import TrackDetector
from monitor.live.board import Board
from monitor.live.gauges import TrackGauges
from monitor.live.lookup import Lookup
from monitor.live.places import Places
from monitor.settings import Settings
from monitor.telemetry import metrics as m
from monitor.tracks import TrackMatcher
from runtime.kafka.producing import Outgoing
from runtime.telemetry.metric import Counts, Declared
from schemas.alert import Mute
from schemas.window import Expected, ExpectedValue
from tests.monitor.live.made import T0
from tests.monitor.live.test_board import alert, window


class Warm:
    """A detector that is warm."""

    warm = True
    alert_state = None

    def minute_band(self, *_: object, **__: object) -> Expected:
        return Expected(negative_soft=ExpectedValue(expected=0.25, low=0.1, high=0.4))


async def nowhere(_: Outgoing) -> None:
    raise AssertionError


class Stage:
    """A board whose wall clock the test moves, and its gauges."""

    def __init__(self) -> None:
        self.wall = T0.timestamp() + 3_600
        self.board = Board(
            Settings(),
            places=Places(),
            lookup=cast("Lookup", None),
            write=nowhere,
            wall=lambda: self.wall,
            configured=("planes", "trains"),
        )
        self.board.detectors = cast("dict[str, TrackDetector]", {"trains": Warm()})
        self.counts = Counts(m.ALL)
        self.gauges = TrackGauges(self.board, TrackMatcher(by="topics"), self.counts)

    def now(self, metric: Declared, track: str = "trains") -> float | None:
        self.gauges.put()
        text = self.counts.expose()[0].decode()
        found = [
            line for line in text.splitlines() if line.startswith(f'{metric.name}{{track="{track}"')
        ]
        return float(found[0].rpartition(" ")[2]) if found else None


def test_the_mood_of_the_last_ten_minutes_is_shown_per_track() -> None:
    stage = Stage()
    stage.board.closed([window(minute, negative=8) for minute in range(20)])
    assert stage.now(m.NEGATIVE) == 0.425
    assert stage.now(m.VALENCE) == 0.6
    assert stage.now(m.POSTS) == 200
    assert stage.now(m.EXPECTED) == 0.25
    assert stage.now(m.ALERT_STATE) == 0
    assert stage.counts.value(m.TRACKS) == 2


def test_what_isnt_known_is_absent_and_not_zero() -> None:
    stage = Stage()
    for metric in (m.NEGATIVE, m.VALENCE, m.EXPECTED):
        assert stage.now(metric, "planes") is None
    assert stage.now(m.POSTS, "planes") == 0


def test_an_alert_that_is_read_back_is_shown_without_another_window() -> None:
    stage = Stage()
    for transition, value in (("pending", 1), ("firing", 2), ("stale", 3), ("resolved", 0)):
        stage.board.alert_record(alert(transition))
        assert stage.now(m.ALERT_STATE) == value


def test_a_mute_ends_at_its_time_without_any_record() -> None:
    stage = Stage()
    at = datetime.fromtimestamp(stage.wall, UTC)
    until = at + timedelta(minutes=10)
    stage.board.mute_record(
        "trains", Mute(version=1, id="m", track="trains", by="ann", at=at, until=until)
    )
    assert stage.now(m.MUTED) == 1
    stage.wall += 599
    assert stage.now(m.MUTED) == 1
    stage.wall += 1
    assert stage.now(m.MUTED) == 0
    assert not stage.board.mutes()


def test_a_weekly_mute_begins_and_ends_by_its_zones_clock_across_the_change_of_clocks() -> None:
    stage = Stage()
    mute = Mute(
        version=1,
        id="m",
        track="trains",
        by="ann",
        at=T0,
        weekly="daily 22:00-06:00",
        zone="Europe/Vienna",
    )
    stage.board.mute_record("trains", mute)
    # In the night to Sunday, 2026-03-29, clocks go from 02:00 to 03:00: from UTC+1 to UTC+2.
    for utc, muted in (
        ("2026-03-28T20:59:59", 0),
        ("2026-03-28T21:00:00", 1),
        ("2026-03-29T03:59:59", 1),
        ("2026-03-29T04:00:00", 0),  # 06:00 there, seven hours after it began
        ("2026-03-29T19:59:59", 0),
        ("2026-03-29T20:00:00", 1),
        # And back again on 2026-10-25: nine hours.
        ("2026-10-24T20:00:00", 1),
        ("2026-10-25T04:59:59", 1),
        ("2026-10-25T05:00:00", 0),
    ):
        stage.wall = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
        assert stage.now(m.MUTED) == muted, utc
    assert [one.mute for one in stage.board.mutes()] == [mute]  # it never is over


def test_a_track_that_is_gone_has_no_gauge() -> None:
    stage = Stage()
    stage.board.closed([window(0, "buses")])
    assert stage.now(m.POSTS, "buses") == 20
    stage.board.forget("buses")
    for metric in (m.POSTS, m.NEGATIVE, m.VALENCE, m.ALERT_STATE, m.MUTED):
        assert stage.now(metric, "buses") is None
