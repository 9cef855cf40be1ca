"""The picture of now that the page is made of."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from msgspec import UNSET

from monitor.detection import TrackDetector
from monitor.live.alerts import Raising
from monitor.live.board import Board
from monitor.live.lookup import Lookup
from monitor.live.places import Places
from monitor.page.data import (
    Band,
    Change,
    MinuteClosed,
    MutesChanged,
    MuteTrack,
    MuteView,
    NotFoundError,
    Pipe,
    PipeChanged,
    Say,
    TracksChanged,
    TrackState,
    UnmuteTrack,
)
from monitor.settings import Settings
from runtime.kafka.producing import Outgoing
from schemas.alert import Alert, AlertAction, Mute
from schemas.window import Expected, ExpectedValue, OffsetRange, PaneSums, Window
from tests.monitor.alerts import make_alert
from tests.monitor.live.made import T0

WALL = T0.timestamp() + 7_200


class Calm:
    """A detector that is warm."""

    warm = True
    alert_state = None

    def minute_band(self, start: int, posts: float, *, minutes: int) -> Expected | None:
        if (posts, minutes, start) != (200, 10, T0.timestamp() + 1_200):
            return None
        return Expected(negative_soft=ExpectedValue(expected=0.3, low=0.2, high=0.4))


def window(minute: int, track: str = "trains", **more: Any) -> Window:
    start = T0 + timedelta(minutes=minute)
    fields: dict[str, Any] = {
        "posts": 20,
        "scored": 20,
        "negative": 6,
        "negative_share": 0.3,
        "valence_mean": 0.6,
        "authors": 15,
        "emotions": {"anger": 0.2},
        "expected": Expected(negative_soft=ExpectedValue(expected=0.3, low=0.1, high=0.5)),
        "offsets": (OffsetRange(partition=0, first=minute * 20, last=minute * 20 + 19),),
    }
    fields |= more
    sums = PaneSums(
        at=int(start.timestamp()),
        posts=fields["posts"],
        scored=fields["scored"],
        soft=fields["negative"] + 0.5,  # a probability each: not the number below 0.43
    )
    return Window(
        version=1,
        track=track,
        start=start,
        end=start + timedelta(minutes=1),
        **{"panes": (sums,), **fields},
    )


def alert(transition: str, minute: int = 5, alert_id: str = "alert-0") -> Alert:
    at = T0 + timedelta(minutes=minute)
    return make_alert(transition, alert_id, at=at, severity="critical")


class Written(list[Outgoing]):
    """Where the board writes."""

    async def write(self, record: Outgoing) -> None:
        self.append(record)


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def board(written: Written) -> Board:
    made = Board(
        Settings(),
        places=Places(),
        lookup=cast("Lookup", None),
        write=written.write,
        wall=lambda: WALL,
        configured=("planes",),
    )
    made.detectors = cast("dict[str, TrackDetector]", {"trains": Calm(), "planes": Calm()})
    return made


async def changes_of(board: Board, count: int) -> AsyncIterator[Change]:
    async with asyncio.timeout(10):
        changes = board.changes()
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)  # it listens from its first step on
        yield cast("Change", None)
        yield await waiting
        for _ in range(count - 1):
            yield await anext(changes)


async def test_what_is_published_is_shown_already(board: Board) -> None:
    changes = changes_of(board, 2)
    await anext(changes)
    board.closed([window(0)])
    first, second = [one async for one in changes]
    assert isinstance(first, MinuteClosed)
    assert isinstance(second, TracksChanged)
    assert first.minute.window == window(0)
    (state,) = second.tracks
    assert (state.track, state.posts, state.negative_share) == ("trains", 20, 0.325)


async def test_a_track_that_falls_silent_is_told_until_it_is_shown_without_posts(
    board: Board,
) -> None:
    changes = changes_of(board, 31)
    await anext(changes)
    board.closed([window(0), window(0, "planes")])
    for minute in range(1, 15):
        board.closed([window(minute, "planes")])
    told = [one.tracks async for one in changes if isinstance(one, TracksChanged)]
    silent = [{one.track: one for one in states}.get("trains") for states in told]
    assert [one and one.posts for one in silent] == [*[20] * 10, 0, *[None] * 4]
    assert silent[10] is not None
    assert silent[10].negative_share is None


async def test_a_track_that_is_gone_is_told(board: Board) -> None:
    board.closed([window(0)])
    changes = changes_of(board, 1)
    await anext(changes)
    board.forget("trains")
    assert [one async for one in changes] == [TracksChanged(gone=("trains",))]


def test_tracks_of_the_configuration_come_first_even_without_posts(board: Board) -> None:
    board.closed([window(0, "trains"), window(0, "buses", posts=90)])
    assert [state.track for state in board.tracks()] == ["planes", "buses", "trains"]
    assert board.tracks()[0].at is None
    assert board.windows("planes", T0, T0 + timedelta(hours=1)).posts == ()


def test_now_is_the_last_ten_minutes_of_event_time(board: Board) -> None:
    board.closed([window(minute, negative=minute, posts=10) for minute in range(30)])
    state = next(one for one in board.tracks() if one.track == "trains")
    assert state.posts == 100
    assert state.negative_share == pytest.approx((sum(range(20, 30)) + 5) / 200)
    assert state.at == T0 + timedelta(minutes=30)


def test_the_band_of_the_mood_is_what_the_window_says_and_none_where_it_says_none(
    board: Board,
) -> None:
    board.closed([window(0, expected=UNSET), window(1)])
    columns = board.windows("trains", T0, T0 + timedelta(hours=1))
    assert columns.bands["negative_share"] == ((None, 0.3), (None, 0.1), (None, 0.5))
    assert columns.bands["valence"] == ((None, None),) * 3


def test_the_band_of_now_is_the_detectors_for_the_same_ten_minutes(board: Board) -> None:
    board.closed([window(minute) for minute in range(30)])
    state = next(one for one in board.tracks() if one.track == "trains")
    assert state.expected.negative_share == Band(expected=0.3, low=0.2, high=0.4)


def test_the_usual_number_of_posts_is_shown_once_enough_is_known(board: Board) -> None:
    board.closed([window(minute) for minute in range(60)])
    columns = board.windows("trains", T0, T0 + timedelta(hours=1))
    expected, low, high = columns.bands["posts"]
    assert expected[0] is None
    assert expected[-1] == pytest.approx(20)
    assert low[-1] is not None
    assert high[-1] is not None
    assert low[-1] < 20 < high[-1]
    assert columns.posts == (20,) * 60


def test_an_alert_is_shown_with_its_transitions_and_peoples_actions(board: Board) -> None:
    action = AlertAction(version=1, id="s", alert_id="alert-0", action="ack", by="ann", at=T0)
    for record in (alert("pending", 5), alert("firing", 7), action, action, alert("firing", 7)):
        board.alert_record(record)
    (view,) = board.alerts()
    assert [state for state, _ in view.transitions] == ["pending", "firing"]
    assert view.actions == (action,)
    board.closed([window(0)])
    state = next(one for one in board.tracks() if one.track == "trains")
    assert (state.condition, state.severity) == ("firing", "critical")
    board.alert_record(alert("resolved", 9))
    assert next(one for one in board.tracks() if one.track == "trains").condition == "calm"


def test_open_alerts_come_before_newer_past_ones(board: Board) -> None:
    board.alert_record(alert("firing", 1, "open"))
    board.alert_record(alert("resolved", 50, "past"))
    assert [view.alert.alert_id for view in board.alerts()] == ["open", "past"]


async def test_what_people_say_is_written_to_the_topics(board: Board, written: Written) -> None:
    board.alert_record(alert("firing"))
    board.closed([window(0)])
    await board.act(Say(alert_id="alert-0", action="note", by="ann", note="it rains"))
    await board.act(MuteTrack(track="trains", by="ann", weekly="sat 10:00-11:00", zone="UTC"))
    await board.act(UnmuteTrack(track="trains", by="ann"))
    action, mute, unmute = written
    assert (action.topic, action.key) == ("affect.alerts", b"alert-0")
    assert msgspec.json.decode(action.value or b"", type=AlertAction).note == "it rains"
    assert (mute.topic, mute.key) == ("affect.mutes", b"trains")
    assert msgspec.json.decode(mute.value or b"", type=Mute).weekly == "sat 10:00-11:00"
    assert (unmute.key, unmute.value) == (b"trains", None)


async def test_what_is_unknown_or_unreadable_is_refused(board: Board, written: Written) -> None:
    with pytest.raises(NotFoundError):
        await board.act(Say(alert_id="nothing", action="ack", by="ann"))
    with pytest.raises(NotFoundError):
        await board.act(MuteTrack(track="nothing", by="ann"))
    with pytest.raises(ValueError, match="days and times"):
        await board.act(MuteTrack(track="planes", by="ann", weekly="never", zone="UTC"))
    for_ever = datetime.fromisoformat("9999-12-31T23:59:59-05:00")  # past the last day in UTC
    with pytest.raises(ValueError, match="until"):
        await board.act(MuteTrack(track="planes", by="ann", until=for_ever))
    with pytest.raises(NotFoundError):
        await board.posts("nothing", T0, T0, limit=1, negative=False)
    assert not written


async def test_a_mute_holds_until_it_is_over(board: Board) -> None:
    at = datetime.fromtimestamp(WALL, UTC)
    mute = Mute(version=1, id="m", track="trains", by="ann", at=at)
    changes = changes_of(board, 1)
    await anext(changes)
    board.mute_record("trains", mute)
    (change,) = [one async for one in changes]
    assert change == MutesChanged(mutes=(MuteView(mute=mute, in_force=True),))
    assert board.muted("trains")
    before, then = at - timedelta(seconds=1), at + timedelta(seconds=1)
    assert [board.muted_since("trains", one) for one in (before, at, then)] == [False, True, True]
    assert not board.muted_since("planes", then)
    board.mute_record("trains", msgspec.structs.replace(mute, until=at - timedelta(seconds=1)))
    assert not board.muted("trains")
    assert not board.mutes()


async def test_a_mute_that_ends_is_told_without_any_record(board: Board) -> None:
    now = datetime.fromtimestamp(WALL, UTC)
    mute = Mute(version=1, id="m", track="trains", by="ann", at=now, until=now + timedelta(hours=1))
    board.mute_record("trains", mute)
    changes = changes_of(board, 3)
    await anext(changes)
    board.pipe_is(Pipe(at=now))
    board._wall = lambda: WALL + 3_600
    board.pipe_is(Pipe(at=now))
    told = [one async for one in changes]
    assert told == [PipeChanged(pipe=Pipe(at=now))] * 2 + [MutesChanged(mutes=())]


async def test_a_weekly_mute_is_told_as_in_force_at_its_hours_only(board: Board) -> None:
    at = datetime.fromtimestamp(WALL, UTC)
    hours = f"daily {at + timedelta(hours=1):%H:%M}-{at + timedelta(hours=2):%H:%M}"
    mute = Mute(version=1, id="m", track="trains", by="ann", at=at, weekly=hours, zone="UTC")
    board.mute_record("trains", mute)
    changes = changes_of(board, 5)
    await anext(changes)
    board.pipe_is(Pipe(at=at))
    board._wall = lambda: WALL + 3_600
    board.pipe_is(Pipe(at=at))
    board._wall = lambda: WALL + 7_200
    board.pipe_is(Pipe(at=at))
    told = [one async for one in changes if isinstance(one, MutesChanged)]
    assert told == [
        MutesChanged(mutes=(MuteView(mute=mute, in_force=True),)),
        MutesChanged(mutes=(MuteView(mute=mute, in_force=False),)),
    ]


def test_every_open_alert_is_known_however_many_there_are(board: Board) -> None:
    for number in range(300):
        board.alert_record(make_alert("firing", f"alert-{number}", track=f"track {number}"))
    board.alert_record(make_alert("resolved", "alert-0", track="track 0"))
    assert board.open_alerts == 299
    assert board.alerts_kept.open_of("track 0") is None
    ended = board.alerts_kept.open_of("track 1")
    assert ended is not None
    end = msgspec.structs.replace(ended, id="end", alert_id="learnt again", transition="resolved")
    (told,) = Raising(board.alerts_kept, history_after_s=None).choose([end], WALL)
    assert told.alert_id == "alert-1", "the track's open alert ends"


def test_a_record_of_an_alert_costs_the_state_of_its_track_alone(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A take-over reads tens of thousands, of a hundred tracks."""
    board.closed([window(0)])
    looked: list[str] = []

    def state(track: str) -> TrackState:
        looked.append(track)
        return TrackState(track=track, condition="firing")

    monkeypatch.setattr(board, "_state", state)
    board.alert_record(alert("firing"))
    assert looked == ["trains"]


async def test_memory_is_bounded_whatever_the_number_of_alerts(board: Board) -> None:
    for number in range(3_000):
        board.alert_record(alert("resolved", number, f"alert-{number}"))
    assert len(board.alerts()) == 200
    assert board.alerts_kept.get("alert-0") is None
    assert board.alerts_kept.get("alert-2999") is not None
