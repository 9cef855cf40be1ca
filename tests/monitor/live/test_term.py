"""A term: silence, late and early posts, tracks that fall silent, all in bounded memory."""

import gc
from types import FunctionType, ModuleType

import msgspec
import pytest

from monitor.detection import TrackDetector, recall
from monitor.live import places
from monitor.settings import Settings
from monitor.telemetry import metrics as m
from monitor.windows import caps, distinct, known, reposts
from schemas import AffectEvent
from tests.monitor.live.made import T0, event
from tests.monitor.live.rig import TermRig
from tests.monitor.live.stage import mood

HOUR, MINUTE = 3_600.0, 60.0
CALM = 4 * HOUR
NOW = T0.timestamp()


def settings(**monitor: object) -> Settings:
    return Settings.model_validate({"monitor": {"warm_s": 7_200, **monitor}})


async def in_a_storm() -> TermRig:
    """A term whose track `trains` is in the middle of a storm."""
    rig = TermRig(settings(), NOW + CALM + 1_200)
    await rig.read(*mood(0, CALM, every_s=40, negative=0.3))
    await rig.read(*mood(CALM, CALM + 1_200, every_s=4, negative=0.8))
    assert rig.transitions[-1] == "firing"
    return rig


async def silence(rig: TermRig, seconds: float) -> None:
    """All partitions are read to their ends, and the consumer has nothing either."""
    rig.intake.all_idle = True
    rig.quiet_since = rig.quiet_since or rig.clock.now
    for _ in range(round(seconds / MINUTE)):
        rig.clock.now += MINUTE
        await rig.round()


async def test_total_silence_makes_an_alert_stale_and_never_resolves_it() -> None:
    rig = await in_a_storm()
    await silence(rig, 2 * HOUR)
    assert rig.transitions.count("stale") == 1
    assert rig.transitions[-1] == "stale"
    rig.gauges.put()
    assert rig.counts.value(m.ALERT_STATE, "trains") == 3


async def test_an_alert_is_written_with_its_tracks_baseline_though_its_minute_still_runs() -> None:
    """After a crash nothing else tells that it is open: it was ended as one that nobody follows."""
    rig = TermRig(settings(), NOW + CALM + 1_200)
    states: list[tuple[str, object]] = []
    write = rig.journal.write

    async def noted(windows: object, alerts: object, *more: object, **named: object) -> None:
        before = len(rig.journal.alerts)
        rig.journal.baselines.clear()
        await write(windows, alerts, *more, **named)  # type: ignore[arg-type]
        for alert in rig.journal.alerts[before:]:
            kept = rig.journal.baselines["trains"]
            assert kept is not None
            states.append((alert.transition, TrackDetector.restore(kept.state).alert_state))

    await rig.read(*mood(0, CALM, every_s=40, negative=0.3))
    rig.journal.write = noted  # type: ignore[method-assign]
    storm = mood(CALM, CALM + 600, every_s=4, negative=0.8)
    for pair in zip(storm[::2], storm[1::2], strict=True):
        rig.clock.now += 1.0  # so that it is written before the term's end, which writes all
        await rig.read(*pair)
    assert states == [("pending", "pending"), ("firing", "firing")]


async def test_what_goes_on_into_the_present_is_told_though_a_restart_came_before_it() -> None:
    storm, wall = CALM + 1_200, NOW + CALM + 3 * HOUR
    before = TermRig(settings(), wall)
    await before.read(*mood(0, CALM, every_s=40, negative=0.3))
    await before.read(*mood(CALM, storm, every_s=4, negative=0.8))
    assert before.transitions == []
    assert before.watch.detectors["trains"].alert_state == "firing"
    rig = TermRig(settings(), wall, after=before.watch)
    await rig.read(*mood(storm, storm + HOUR, every_s=4, negative=0.8))
    assert rig.transitions == []  # still history
    await rig.read(*mood(storm + HOUR, CALM + 3 * HOUR, every_s=4, negative=0.8))
    assert rig.transitions == ["firing"]
    await rig.read(*mood(CALM + 3 * HOUR, CALM + 5 * HOUR, every_s=20, negative=0.3))
    assert rig.transitions == ["firing", "resolved"]


async def test_a_stale_alert_comes_back_with_its_posts_under_the_same_id() -> None:
    rig = await in_a_storm()
    await silence(rig, HOUR)
    again = rig.clock.now - NOW
    rig.intake.all_idle, rig.quiet_since = False, None
    await rig.read(*mood(again, again + 600, every_s=4, negative=0.8))
    assert rig.transitions[-2:] == ["stale", "firing"]
    await rig.read(*mood(again + 600, again + 3 * HOUR, every_s=20, negative=0.3))
    assert rig.transitions[-1] == "resolved"
    assert len({one.alert_id for one in rig.journal.alerts}) == 1
    assert len({one.id for one in rig.journal.alerts}) == len(rig.journal.alerts)


async def away(rig: TermRig, seconds: float) -> None:
    """Nothing comes, and posts wait for the consumer."""
    rig.intake.all_idle = True
    for _ in range(round(seconds / MINUTE)):
        rig.clock.now += MINUTE
        await rig.round()


async def test_no_time_passes_while_posts_wait_for_the_consumer() -> None:
    """Silence on the events' topic is no silence of people where the consumer is away."""
    rig = await in_a_storm()
    before, windows = rig.term.watermark, len(rig.journal.windows)
    await away(rig, 2 * HOUR)
    assert rig.term.watermark <= before + 30
    assert len(rig.journal.windows) <= windows + 1


async def test_an_alert_is_stale_when_no_event_comes_by_the_clock_and_is_never_resolved() -> None:
    rig = await in_a_storm()
    said = len(rig.transitions)
    await away(rig, 14 * MINUTE)
    assert rig.transitions[said:] == []
    await away(rig, 2 * HOUR)
    assert rig.transitions[said:] == ["stale"]
    stale = rig.journal.alerts[-1]
    assert stale.at.timestamp() <= rig.term.watermark + 30  # where event time stopped


async def test_what_waited_for_the_consumer_goes_on_with_the_stale_alert() -> None:
    rig = await in_a_storm()
    await away(rig, HOUR)
    rig.intake.all_idle = False
    storm, calm = CALM + 1_200, CALM + 3_000
    await rig.read(*mood(storm, calm, every_s=4, negative=0.8))
    await rig.read(*mood(calm, calm + HOUR, every_s=20, negative=0.3))
    assert rig.transitions[-3:] == ["stale", "firing", "resolved"]
    assert len({one.alert_id for one in rig.journal.alerts}) == 1


async def test_staleness_by_the_clock_has_the_same_id_whenever_it_is_said() -> None:
    sooner, later = await in_a_storm(), await in_a_storm()
    await away(sooner, 20 * MINUTE)
    later.clock.now += HOUR  # it hung, then looks at the clock
    await away(later, 20 * MINUTE)
    assert sooner.journal.alerts[-1].transition == "stale"
    assert [one.id for one in later.journal.alerts] == [one.id for one in sooner.journal.alerts]


async def test_who_takes_over_knows_that_an_alert_is_stale_by_the_clock() -> None:
    rig = await in_a_storm()
    await away(rig, HOUR)
    kept = rig.journal.baselines["trains"]
    assert kept is not None
    assert TrackDetector.restore(kept.state).alert_state == "stale"


async def test_silence_in_one_track_beside_others_makes_its_alert_stale() -> None:
    rig = await in_a_storm()
    for minute in range(60):
        at_s = CALM + 1_200 + minute * MINUTE
        await rig.read(*(event(minute * 2 + n, at_s=at_s, topic="planes") for n in range(2)))
    assert rig.transitions[-1] == "stale"


async def test_late_early_and_repeated_events_are_counted_by_what_became_of_them() -> None:
    rig = TermRig(settings(), NOW + 600)
    posts = [event(number) for number in range(600)]
    await rig.read(*posts)
    again = msgspec.structs.replace(
        posts[-1],
        id="another-reading",
        model=msgspec.structs.replace(posts[-1].model, revision="b"),
    )
    ahead = event(1_000, at_s=86_400.0)
    await rig.read(posts[-1], again, event(1_001, at_s=5), ahead, arrived=NOW + 600)
    assert rig.term.watermark == NOW + 599 - 30
    await rig.read(*(event(number) for number in range(600, 800)))
    fates = {
        fate: rig.counts.value(m.EVENTS, fate)
        for fate in ("counted", "duplicate", "late", "future")
    }
    assert fates == {"counted": 800, "duplicate": 2, "late": 1, "future": 1}
    assert sum(window.late for window in rig.journal.windows if window.track == "trains") == 1
    (last,) = (one for one in rig.journal.windows if one.track == "trains" and one.start == AT_9)
    assert last.posts == 60


AT_9 = msgspec.convert("2026-03-02T08:09:00Z", type(T0))


async def caught_up(*, consumer_is_done: bool) -> TermRig:
    """Ten minutes of old posts have come at once, one a second; then nothing comes."""
    rig = TermRig(settings(), NOW + HOUR)
    await rig.read(*(event(number) for number in range(600)), arrived=NOW + HOUR)
    rig.intake.all_idle = True
    rig.quiet_since = rig.clock.now if consumer_is_done else None
    return rig


async def wait(rig: TermRig, seconds: float) -> None:
    rig.clock.now += seconds
    await rig.round()


async def test_what_was_caught_up_with_closes_half_a_minute_after_the_last_of_it() -> None:
    """By the clock on the wall, with all partitions idle."""
    rig = await caught_up(consumer_is_done=True)
    await wait(rig, 29)
    assert rig.journal.windows == []
    await wait(rig, 2)
    assert rig.term.watermark == NOW + 599 - 30
    assert sum(one.posts for one in rig.journal.windows) == 540  # of nine minutes


async def test_what_a_consumer_had_under_way_when_it_died_counts_when_it_is_back() -> None:
    """Which takes less than a quarter of an hour: then what is there is told without it."""
    rig = await caught_up(consumer_is_done=False)
    await wait(rig, 14 * MINUTE)
    rig.intake.all_idle = False
    under_way = [event(1_000 + number, at_s=number) for number in range(400, 500)]
    await rig.read(*under_way, arrived=rig.clock.now)
    assert rig.term.late == 0
    rig.intake.all_idle = True
    await wait(rig, 15 * MINUTE + 31)
    assert rig.term.watermark == NOW + 599 - 30
    assert sum(one.posts for one in rig.journal.windows) == 640


async def test_records_that_all_have_one_time_hold_nothing_up_while_they_come() -> None:
    """A tool that copied them set it; half a minute by the clock on the wall has to do."""
    rig = TermRig(settings(), NOW + HOUR)
    for number in range(120):
        rig.clock.now += 1
        await rig.read(*(event(number * 2 + n, at_s=number) for n in range(2)), arrived=NOW + HOUR)
    assert rig.term.watermark == NOW + 119 - 30


async def test_a_track_by_tag_that_falls_silent_gives_its_place_to_another() -> None:
    rig = TermRig(settings(max_tracks=1), NOW)
    await rig.read(*(event(number, topic="dead") for number in range(300)))
    assert set(rig.watch.detectors) == {"dead", "other"}
    days = 9 * 86_400
    rig.clock.now += days
    await rig.read(*(event(9_000 + n, at_s=days + n, topic="new") for n in range(300)))
    assert rig.journal.baselines["dead"] is None  # deleted from its topic
    assert set(rig.watch.detectors) == {"other"}
    await rig.read(*(event(9_500 + n, at_s=days + 500 + n, topic="new") for n in range(300)))
    assert set(rig.watch.detectors) == {"new", "other"}
    assert "dead" not in {one.track for one in rig.board.tracks()}


async def test_memory_is_bounded_whatever_the_number_of_tags_authors_and_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bounds made small, so that all of them are reached; then nothing grows any more."""
    for module, bound, small in (
        (reposts, "_LIMIT", 500),
        (known, "_LIMIT", 500),
        (caps, "_KEYS", 500),
        (recall, "_ALL_POSTS", 500),
        (recall, "_ALL_USUAL_TEXTS", 200),
        (places, "_MINUTES", 60),
        (distinct, "KEPT", 64),
    ):
        monkeypatch.setattr(module, bound, small)
    rig = TermRig(settings(max_tracks=10), NOW)
    counts: list[int] = []
    number = 0
    for hour in range(8):
        for minute in range(0, 60, 5):
            at_s = hour * HOUR + minute * MINUTE
            rig.clock.now = NOW + at_s
            number += 120
            await rig.read(*(stranger(number + n, at_s + n / 2) for n in range(120)))
        rig.journal.windows.clear()
        counts.append(reachable(rig.term))
    assert len(rig.watch.detectors) == 11
    # One object kept of each post would be 5,760 more in the second half.
    assert max(counts[4:]) < 1.1 * max(counts[:4]), counts


def reachable(root: object) -> int:
    """How many objects hang on this one, modules and classes aside."""
    seen: dict[int, object] = {}
    todo = [root]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen[id(one)] = one
        todo += gc.get_referents(one)
    return len(seen)


def stranger(number: int, at_s: float) -> AffectEvent:
    """Another author, tag, source, language, model and text each time."""
    return event(
        number,
        at_s=at_s,
        topic=f"tag {number // 24 if number % 2 else number}",
        author=f"author {number}",
        source=f"source {number}",
        lang=f"l{number}",
        text=f"never written before {number} " + "x" * (number % 300),
        emotions=(f"emotion {number}",),
        model={"id": f"model {number}"},
    )
