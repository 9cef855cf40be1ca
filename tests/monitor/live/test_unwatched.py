"""What is watched no longer gives up its place, its baseline and its open alerts."""

import dataclasses
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from infra.kafka import create_topics, default_topics
from monitor.configured import digest
from monitor.live.alerts import Alerts
from monitor.live.stored import Stored, load_windows, read_compacted
from monitor.live.unwatched import drop_unwatched, ends_of, with_baseline
from monitor.settings import Settings
from monitor.tracks import TrackRule
from runtime.kafka.producing import kafka_producer
from schemas.alert import Alert
from schemas.baseline import Baseline, MadeBy
from schemas.window import Window
from tests.monitor.alerts import make_alert
from tests.monitor.live.made import T0, event
from tests.monitor.live.rig import TermRig
from tests.monitor.live.stage import Stage, closing, folded, make_stage, mood, posts
from tests.topics import topic_names

HOUR = 3_600.0


def baseline(track: str) -> Baseline:
    return Baseline(version=1, track=track, at=T0, closed_until=0, windows={}, state=b"x")


def stored(**made_by: MadeBy | None) -> Stored:
    """Baselines of these tracks, with what made them where they say so."""
    return Stored(
        tracks=dict.fromkeys(made_by),
        baselines={track: baseline(track) for track in made_by},
        made_by={track: by for track, by in made_by.items() if by is not None},
    )


def by(kind: str) -> Settings:
    monitor = {"tracks": [{"name": "mine", "all": True}]} if kind == "name" else {"by": kind}
    return Settings.model_validate({"monitor": monitor})


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("topics", ["a", "old"]),
        ("lang", ["old"]),
        ("source", ["b", "old"]),
        ("name", ["mine"]),
    ],
)
def test_tracks_that_another_setting_made_are_dropped(kind: str, kept: list[str]) -> None:
    """One whose baseline is older than that note is kept, unless others are named."""
    known = stored(a="topics", b="source", mine="name", old=None)
    dropped = drop_unwatched(by(kind), known)
    assert list(known.tracks) == list(known.baselines) == kept
    assert sorted([*dropped, *kept]) == ["a", "b", "mine", "old"]


def test_windows_alone_bring_a_track_back_only_where_no_baseline_says_what_made_it() -> None:
    known, older = stored(a="topics"), stored(a=None)
    for one in (known, older):
        one.tracks["left"] = None
    assert drop_unwatched(by("topics"), known) == ("left",)
    assert drop_unwatched(by("topics"), older) == ()


def test_an_open_alert_that_no_detector_follows_ends_with_the_same_id() -> None:
    firing = make_alert("firing", track="gone")
    told = [
        firing,
        make_alert("firing", "alert-1", track="followed"),
        make_alert("resolved", "alert-2", track="gone"),
        make_alert("stale", "alert-3", track="learnt again"),
    ]
    kept = Alerts()
    for one in told:
        kept.take(one)
    until = round((firing.at + timedelta(hours=1)).timestamp())

    def ends() -> list[Alert]:
        watched = ["followed", "learnt again"]
        return ends_of(kept.open(), watched=watched, followed=["followed"], closed_until=until)

    end, again = ends()
    assert (end.alert_id, end.transition, end.resolved_at) == (firing.alert_id, "resolved", end.at)
    assert end.at.timestamp() == until
    assert end.note == "its track is watched no longer"
    assert (again.alert_id, again.transition) == ("alert-3", "resolved")
    assert "learnt again" in (again.note or "")
    assert ends() == [end, again]
    assert not {end.id, again.id} & {one.id for one in told}


@pytest.mark.parametrize(
    ("conditions", "dropped"),
    [
        ({"keywords": ["late train", "#Delayed"]}, ()),
        ({"keywords": ["#delayed", "Late  Train", "late train"]}, ()),
        ({"keywords": ["late train"]}, ("rail",)),
        ({"keywords": ["late train", "#Delayed"], "lang": ["en"]}, ("rail",)),
        ({"all": True}, ("rail",)),
    ],
)
def test_a_name_with_other_conditions_is_another_track_however_they_are_spelt(
    conditions: dict[str, object], dropped: tuple[str, ...]
) -> None:
    was = digest(TrackRule(name="rail", keywords=("late train", "#Delayed")))
    known = stored(rail="name", other="name", older="name")
    known.rules = {"rail": was, "other": digest(TrackRule(name="other", langs=("de",)))}
    tracks = [
        {"name": "rail", **conditions},
        {"name": "other", "lang": ["de"]},
        {"name": "older", "topics": ["x"]},
    ]
    settings = Settings.model_validate({"monitor": {"tracks": tracks}})
    assert drop_unwatched(settings, known) == dropped


async def test_a_track_that_is_given_other_conditions_is_warmed_by_them(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    await stage.write([*posts(0, 300), *closing(10_000, 1_200)])
    trains = {"name": "mine", "topics": ["trains"]}
    async with stage.running(tracks=[trains]):
        await stage.windows_until([b"mine|2026-03-02T08:09:00Z"])
    for warmed in ([["mine"]], []):
        with capture_logs() as logs:
            async with stage.running(tracks=[{**trains, "topics": ["trains", "planes"]}]):
                await stage.windows_until([b"mine|2026-03-02T08:09:00Z"])
        assert [one["tracks"] for one in logs if one["event"] == "tracks_warmed"] == warmed
    windows = folded(await stage.everything(stage.names.windows)).values()
    assert sum(window.posts for window in windows) == 200


async def test_minutes_that_a_name_had_by_other_conditions_are_shown_no_more(
    bootstrap: str, tmp_path: Path
) -> None:
    """The windows' topic still holds them, at each start."""
    stage = await make_stage(bootstrap, tmp_path)
    minute = b"mine|2026-03-02T08:%02d:00Z"
    await stage.write([*posts(0, 300), *closing(10_000, 1_200)])
    async with stage.running(tracks=[{"name": "mine", "topics": ["trains"]}]):
        await stage.windows_until([minute % 9])
    planes = [{"name": "mine", "topics": ["planes"]}]
    for _ in range(2):
        async with stage.running(tracks=planes):
            pass
        assert await posts_shown(stage) == 100
    # Made again it holds nothing of the time before, whatever its offsets are.
    (again,) = [one for one in default_topics(topic_names()) if "windows" in one.name]
    await create_topics({"bootstrap_servers": bootstrap}, [again])
    stage.names = dataclasses.replace(stage.names, windows=again.name)
    async with stage.running(tracks=planes, windows_topic=again.name):
        await stage.write([*posts(600, 900), *closing(20_000, 2_400)])
        await stage.windows_until([minute % 29])
    assert await posts_shown(stage) == 100


async def posts_shown(stage: Stage) -> int:
    """The posts of all minutes that a monitor which starts now would show."""
    shown: list[Window] = []
    names = {**stage.settings.monitor.model_dump(), "windows_topic": stage.names.windows}
    settings = Settings.model_validate({"monitor": names})
    await load_windows(settings, stage.broker, time.time(), shown.append)
    return sum(window.posts for window in shown)


@pytest.mark.parametrize("kind", ["usable", "blank", "refused", "older"])
def test_a_track_whose_name_is_taken_out_is_dropped_whatever_its_baseline_is(kind: str) -> None:
    known = stored(mine="name", was=None if kind == "older" else "name")
    if kind in {"blank", "refused"}:
        del known.baselines["was"]
    if kind == "refused":
        del known.tracks["was"]
        known.refused.append("was")
    assert "was" in with_baseline(known)
    assert drop_unwatched(by("name"), known) == ("was",)
    assert [list(known.tracks), list(known.baselines)] == [["mine"], ["mine"]]


async def test_a_tracks_first_window_comes_with_its_baseline() -> None:
    rig = TermRig(Settings(), T0.timestamp())
    await rig.read(*(event(number, at_s=number * 60) for number in range(700)))
    windows, baselines = rig.journal.writes[0]
    assert windows == baselines == {"trains", "other"}


async def test_when_by_changes_the_tracks_made_before_lose_their_places(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)

    async def kinds() -> dict[str, object]:
        kept = await read_compacted(stage.names.baselines, stage.broker)
        found = [msgspec.json.decode(value, type=Baseline) for value in kept.values()]
        return {one.track: one.by for one in found}

    def made(track: str, at_s: float) -> bytes:
        start = T0 + timedelta(seconds=at_s // 60 * 60)
        return f"{track}|{start:%Y-%m-%dT%H:%M:%SZ}".encode()

    await stage.write([*posts(0, 300), *closing(10_000, 1_200)])
    async with stage.running(tracks=[], by="topics"):
        await stage.windows_until([made("trains", 540)])
    assert await kinds() == dict.fromkeys(("trains", "planes", "buses", "other"), "topics")
    await stage.write([*posts(600, 900), *closing(20_000, 2_400)])
    for _ in range(2):  # windows of the last day don't bring them back
        async with stage.running(tracks=[], by="source", max_tracks=1):
            await stage.windows_until([made("made-up", 1_740)])
        assert set((await kinds()).values()) == {"source"}
        assert set(await kinds()) <= {"made-up", "other"}


async def test_a_track_that_is_taken_out_and_put_back_is_warmed_from_what_came_meanwhile(
    bootstrap: str, tmp_path: Path
) -> None:
    """Windows of the time before are there; what is between them and now would be missing."""
    stage = await make_stage(bootstrap, tmp_path)
    planes = [{"name": "planes", "topics": ["planes"]}]
    await stage.write([*posts(0, 300), *closing(10_000, 1_200)])
    expected = await stage.oracle()
    async with stage.running():
        await stage.windows_until(expected)
    await stage.write([*posts(600, 900), *closing(20_000, 2_400)])
    first = set(expected)
    expected = await stage.oracle()
    with capture_logs() as logs:
        async with stage.running(tracks=planes):
            await stage.windows_until(key for key in expected if key.startswith(b"planes"))
    assert [one["tracks"] for one in logs if one["event"] == "tracks_dropped"] == [2]
    kept = await read_compacted(stage.names.baselines, stage.broker)
    assert set(kept) == {b"planes"}
    with capture_logs() as logs:
        async with stage.running():
            records = await stage.windows_until(set(expected) - first)
    (warmed,) = [one["tracks"] for one in logs if one["event"] == "tracks_warmed"]
    assert sorted(warmed) == ["buses", "trains"]
    assert folded(records) == expected


async def test_an_open_alert_whose_track_is_learnt_anew_gets_its_end(
    bootstrap: str, tmp_path: Path
) -> None:
    """The baseline is of another version, and the windows are gone."""
    stage = await make_stage(bootstrap, tmp_path, 'history = "alert"\nwarm_s = 7200')
    storm = 4 * HOUR
    await stage.write(
        [
            *mood(0, storm, every_s=40, negative=0.3),
            *mood(storm, storm + 900, every_s=4, negative=0.8),
        ]
    )
    async with stage.running(tracks=[], by="topics"):
        fired = (await stage.alerts_until("firing"))[-1]
    async with kafka_producer(stage.broker) as producer:
        value = msgspec.json.encode(baseline("trains"))
        await (await producer.send(stage.names.baselines, key=b"trains", value=value))
    (again,) = [one for one in default_topics(topic_names()) if "windows" in one.name]
    await create_topics({"bootstrap_servers": bootstrap}, [again])
    for _ in range(2):
        async with stage.running(tracks=[], by="topics", windows_topic=again.name):
            end = (await stage.alerts_until("resolved"))[-1]
        assert (end.alert_id, end.track) == (fired.alert_id, "trains")
        assert "learnt again" in (end.note or "")
    written = [one.key for one in await stage.everything(stage.names.alerts)]
    assert written.count(end.alert_id.encode()) == 3  # pending, firing, resolved: once
