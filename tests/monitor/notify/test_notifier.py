"""Each transition is notified once, in one message a track, or counted as undelivered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from msgspec import UNSET

from monitor.detection.alerts import _note
from monitor.notify.message import Notification, compose
from monitor.notify.notifier import Notifier
from monitor.notify.queue import MAX_WAITING
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Rejected, TargetFault, Unavailable
from schemas.alert import Alert, Severity
from tests.monitor.notify.alerts import alert
from tests.runtime.fake_clock import FakeClock, settle


class FakeTarget:
    interval_s = 0.0

    def __init__(self, name: str = "team") -> None:
        self.name = name
        self.faults: list[TargetFault] = []
        self.always: TargetFault | None = None
        self.taken: list[Notification] = []
        self.tries = 0
        self.closed = False

    async def deliver(self, notification: Notification) -> None:
        self.tries += 1
        if self.always is not None:
            raise self.always
        if self.faults:
            raise self.faults.pop(0)
        self.taken.append(notification)

    async def aclose(self) -> None:
        self.closed = True


class Resending(FakeTarget):
    resend_s = 60.0


def options(**values: Any) -> NotifySettings:
    base: dict[str, Any] = {"name": "team", "kind": "webhook", "url": "https://x.example"}
    return NotifySettings(**(base | values))


@asynccontextmanager
async def running(
    *targets: FakeTarget, clock: FakeClock, settings: NotifySettings | None = None, **more: Any
) -> AsyncIterator[Notifier]:
    chosen = settings or options()
    firing: Sequence[Alert] = more.pop("firing", ())
    notifier = Notifier([(target, chosen) for target in targets], clock=clock, **more)
    notifier.start(firing)
    try:
        yield notifier
    finally:
        await notifier.aclose(within_s=1)


def muting(
    muted: set[str], target: FakeTarget, clock: FakeClock
) -> AbstractAsyncContextManager[Notifier]:
    """One that tells at once, of the tracks that aren't muted."""
    return running(
        target,
        clock=clock,
        settings=options(group_s=0),
        is_muted=lambda track, _: track in muted,
    )


async def test_transitions_of_one_track_become_one_message_and_others_their_own() -> None:
    clock, target = FakeClock(), FakeTarget()
    async with running(target, clock=clock) as notifier:
        done = [
            notifier.offer(alert(1)),
            notifier.offer(alert(1, id="transition-2", transition="resolved")),
            notifier.offer(alert(3, track="trains")),
        ]
        await clock.advance(9.9)
        assert target.taken == []
        await clock.advance(0.2)
        assert [one.track for one in target.taken] == ["airline", "trains"]
        assert [a.transition for a in target.taken[0].alerts] == ["resolved"]
        assert target.taken[0].id == "transition-2"
        assert all(one.done() for one in done)
    assert target.closed


async def test_what_is_told_twice_has_one_id() -> None:
    ids = []
    for _ in range(2):
        clock, target = FakeClock(), FakeTarget()
        async with running(target, clock=clock) as notifier:
            notifier.offer(alert(1))
            notifier.offer(alert(2))
            await clock.advance(11)
        ids += [one.id for one in target.taken]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_a_target_that_fails_is_tried_again_with_growing_delays() -> None:
    clock, target = FakeClock(), FakeTarget()
    target.faults = [Unavailable("it answered 503")] * 3
    async with running(target, clock=clock, settings=options(group_s=0)) as notifier:
        done = notifier.offer(alert())
        await settle()
        assert target.tries == 1
        assert notifier.problems() == ["team took no notification at the last try: it answered 503"]
        await clock.advance(1.0)
        assert target.tries == 2
        await clock.advance(6.0)
        assert target.tries == 4
        assert done.done()
        assert notifier.problems() == []
    assert notifier.undelivered == 0


async def test_a_target_that_says_how_long_to_wait_is_not_tried_sooner() -> None:
    clock, target = FakeClock(), FakeTarget()
    target.faults = [Unavailable("it answered 429", retry_after_s=30)]
    async with running(target, clock=clock, settings=options(group_s=0)) as notifier:
        notifier.offer(alert())
        await clock.advance(29.0)
        assert target.tries == 1
        await clock.advance(1.5)
        assert target.tries == 2


async def test_a_target_that_asks_for_more_time_than_there_is_is_tried_at_its_end() -> None:
    clock, target = FakeClock(), FakeTarget()
    target.faults = [Unavailable("it answered 503", retry_after_s=3_600)]
    settings = options(group_s=0, give_up_after_s=600)
    async with running(target, clock=clock, settings=settings) as notifier:
        done = notifier.offer(alert())
        await clock.advance(599.0)
        assert not done.done()
        await clock.advance(2.0)
        assert (len(target.taken), notifier.undelivered) == (1, 0)


async def test_what_is_rejected_is_given_up_at_once_and_counted() -> None:
    clock, target = FakeClock(), FakeTarget()
    target.always = Rejected("it answered 404")
    async with running(target, clock=clock, settings=options(group_s=0)) as notifier:
        done = notifier.offer(alert())
        await settle()
        assert done.done()
        assert (target.tries, notifier.undelivered) == (1, 1)


async def test_after_its_time_a_message_is_given_up_and_counted_and_the_next_one_is_tried() -> None:
    clock, target = FakeClock(), FakeTarget()
    target.always = Unavailable("no answer")
    settings = options(group_s=0, give_up_after_s=120)
    async with running(target, clock=clock, settings=settings) as notifier:
        first = notifier.offer(alert())
        await clock.advance(120)
        assert first.done()
        target.always = None
        second = notifier.offer(alert(2))
        await settle()
        assert second.done()
        assert notifier.undelivered == 1
        assert [one.id for one in target.taken] == ["transition-2"]


async def test_one_target_that_is_down_holds_up_no_other() -> None:
    clock, down, up = FakeClock(), FakeTarget("down"), FakeTarget("up")
    down.always = Unavailable("no answer")
    async with running(down, up, clock=clock, settings=options(group_s=0)) as notifier:
        done = notifier.offer(alert())
        await settle()
        assert len(up.taken) == 1
        assert not done.done()


async def test_past_its_rate_messages_wait_and_those_of_a_track_become_one() -> None:
    clock, target = FakeClock(), FakeTarget()
    settings = options(group_s=0, max_per_hour=6)  # a burst of one, then one in ten minutes
    async with running(target, clock=clock, settings=settings) as notifier:
        notifier.offer(alert(0))
        await settle()
        for number in range(1, 6):
            notifier.offer(alert(number))
            await clock.advance(60)
        assert len(target.taken) == 1
        await clock.advance(400)
        assert [len(one.alerts) for one in target.taken] == [1, 5]


async def test_a_queue_is_bounded_and_what_falls_out_is_counted() -> None:
    clock, target = FakeClock(), FakeTarget()
    async with running(target, clock=clock, settings=options(group_s=3600)) as notifier:
        done = [notifier.offer(alert(n, track=f"t{n}")) for n in range(MAX_WAITING + 5)]
        assert notifier.waiting == MAX_WAITING
        assert notifier.undelivered == 5
        assert [one.done() for one in done[:6]] == [True] * 5 + [False]


async def test_a_muted_track_is_told_to_nobody_and_neither_is_the_end_of_its_alert() -> None:
    clock, target = FakeClock(), FakeTarget()
    muted = {"airline"}

    def is_muted(track: str, at: datetime) -> bool:
        assert at.tzinfo is not None
        return track in muted

    async with running(
        target, clock=clock, settings=options(group_s=0), is_muted=is_muted
    ) as notifier:
        assert notifier.offer(alert()).done()
        muted.clear()
        assert notifier.offer(alert(transition="resolved")).done()
        notifier.offer(alert(2))
        await settle()
        assert [one.alerts[0].alert_id for one in target.taken] == ["alert-2"]
        assert notifier.muted == 2


async def test_what_still_fires_when_its_mute_ends_is_told_then_and_its_end_too() -> None:
    clock, target = FakeClock(), FakeTarget()
    muted = {"airline"}
    async with muting(muted, target, clock) as notifier:
        notifier.offer(alert())
        notifier.tell_unmuted()
        await settle()
        assert target.taken == []
        muted.clear()
        notifier.tell_unmuted()
        notifier.tell_unmuted()
        await settle()
        notifier.offer(alert(transition="resolved"))
        await settle()
        told = [one.alerts[0].transition for one in target.taken]
        assert told == ["firing", "resolved"]


async def test_what_is_stale_when_its_mute_ends_is_told_once_it_fires_again() -> None:
    clock, target = FakeClock(), FakeTarget()
    muted = {"airline"}
    async with muting(muted, target, clock) as notifier:
        notifier.offer(alert())
        notifier.offer(alert(transition="stale"))
        muted.clear()
        notifier.tell_unmuted()
        await settle()
        assert target.taken == []
        for transition in ("firing", "resolved"):
            notifier.offer(alert(transition=transition))
            await settle()
        assert [one.alerts[0].transition for one in target.taken] == ["firing", "resolved"]


async def test_what_fires_under_a_mute_at_the_start_is_told_when_that_ends() -> None:
    clock, target = FakeClock(), FakeTarget()
    muted = {"airline"}
    async with running(
        target,
        clock=clock,
        settings=options(group_s=0),
        firing=[alert()],
        is_muted=lambda track, _: track in muted,
    ) as notifier:
        muted.clear()
        notifier.tell_unmuted()
        await settle()
        assert [one.alerts[0].alert_id for one in target.taken] == ["alert-1"]


async def test_who_was_told_before_a_mute_is_told_the_end_though_it_fired_again_meanwhile() -> None:
    clock, target, muted = FakeClock(), Resending(), set[str]()
    async with muting(muted, target, clock) as notifier:
        for transition in ("firing", "stale"):
            notifier.offer(alert(transition=transition))
            await settle()
        muted.add("airline")
        for transition in ("firing", "resolved"):
            notifier.offer(alert(transition=transition))
            await settle()
        await clock.advance(600)  # and nothing of it is sent again
    told = [one.alerts[0].transition for one in target.taken]
    assert told == ["firing", "stale", "resolved"]


@pytest.mark.parametrize(
    ("was_muted", "told"), [(False, ["firing", "resolved"]), (True, [])], ids=["before", "since"]
)
async def test_a_restart_under_a_mute_keeps_who_was_told_before_it(
    told: list[str], *, was_muted: bool
) -> None:
    clock, target = FakeClock(), Resending()
    notifier = Notifier(
        [(target, options(group_s=0))], clock=clock, is_muted=lambda _track, _at: True
    )
    notifier.start([alert()], was_muted=lambda _alert: was_muted)
    await clock.advance(61)
    notifier.offer(alert(transition="resolved"))
    await settle()
    await notifier.aclose(within_s=1)
    assert [one.alerts[0].transition for one in target.taken] == told


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"min_severity": "critical"}, {}),
        ({"tracks": ["trains"]}, {}),
        ({"transitions": ["firing"]}, {"transition": "resolved"}),
        ({}, {"transition": "pending"}),
        ({}, {"kind": "instrument"}),
        ({}, {"transition": "resolved", "fired_at": UNSET}),
    ],
)
async def test_only_what_was_asked_for_is_told(
    settings: dict[str, Any], changes: dict[str, Any]
) -> None:
    clock, target = FakeClock(), FakeTarget()
    async with running(target, clock=clock, settings=options(group_s=0, **settings)) as notifier:
        assert notifier.offer(alert(**changes)).done()
    assert target.taken == []


@pytest.mark.parametrize("known", [False, True], ids=["it fires now", "it fired before the start"])
@pytest.mark.parametrize(
    ("fired", "ended", "told"),
    [("warning", "info", ["firing", "stale", "resolved"]), ("info", "warning", [])],
)
async def test_who_is_told_that_it_fires_is_told_how_it_ends_and_nobody_else(
    fired: Severity, ended: Severity, told: list[str], *, known: bool
) -> None:
    """A transition has the severity of the hour before it, which at an alert's end may be less."""
    target = FakeTarget()
    settings = options(group_s=0, min_severity="warning")
    firing = alert(severity=fired)
    before = [firing] if known else []
    async with running(target, clock=FakeClock(), settings=settings, firing=before) as notifier:
        if not known:
            notifier.offer(firing)
            await settle()
        for transition in ("stale", "resolved"):
            notifier.offer(alert(transition=transition, severity=ended))
            await settle()
    assert [one.alerts[0].transition for one in target.taken] == told[known:]


@pytest.mark.parametrize(
    ("fired", "told"), [("warning", ["stale", "resolved"]), ("info", [])], ids=["told", "not told"]
)
async def test_a_restart_while_it_is_stale_changes_nothing_of_who_is_told_how_it_ends(
    fired: Severity, told: list[str]
) -> None:
    """What is newest then has the severity of the hour before it, not of its firing."""
    target, clock = Resending(), FakeClock()
    settings = options(group_s=0, min_severity="warning")
    newest = alert(transition="stale", severity="info" if fired == "warning" else "warning")
    before = [alert(severity=fired), newest]
    async with running(target, clock=clock, settings=settings, firing=before) as notifier:
        await clock.advance(61)
        notifier.offer(alert(transition="resolved", severity=newest.severity))
        await settle()
    assert [one.alerts[0].transition for one in target.taken] == told


async def test_an_alert_that_ends_though_the_mood_stays_is_not_called_normal() -> None:
    lasts = alert(transition="resolved", note="it lasts: from here on this is the usual level")
    assert compose([lasts]).title == "[warning] airline fires no more"
    assert "it lasts" in compose([lasts]).text
    back = "[warning] airline is back to normal"
    assert compose([alert(transition="resolved")]).title == back
    for has_texts in (False, True):  # what events lack is said of each alert
        note = _note(None, has_authors=False, has_texts=has_texts)
        assert compose([alert(transition="resolved", note=note)]).title == back


async def test_posts_are_quoted_only_where_asked_for_and_their_absence_stops_nothing() -> None:
    async def examples(_: Alert) -> Sequence[str]:
        return ["I am @done\nwith it"]

    async def broken(_: Alert) -> Sequence[str]:
        raise OSError

    delivered = []
    for wanted, source in ((False, examples), (True, examples), (True, broken)):
        clock, target = FakeClock(), FakeTarget()
        settings = options(group_s=0, include_text=wanted)
        async with running(target, clock=clock, settings=settings, examples=source) as notifier:
            notifier.offer(alert())
            await settle()
        delivered.append(target.taken[0].examples)
    assert delivered == [(), ("I am @\u2060done with it",), ()]


async def test_what_fires_is_sent_again_until_it_resolves_also_after_a_restart() -> None:
    clock, target = FakeClock(), Resending()
    settings = options(group_s=0)
    async with running(target, clock=clock, settings=settings, firing=[alert()]) as notifier:
        await clock.advance(121)
        assert [one.alerts[0].transition for one in target.taken] == ["firing"] * 2
        notifier.offer(alert(id="transition-2", transition="resolved"))
        await clock.advance(200)
        assert [one.alerts[0].transition for one in target.taken] == ["firing"] * 2 + ["resolved"]


@pytest.mark.parametrize("fault", [Unavailable("no answer"), Rejected("it answered 400")])
async def test_what_fires_is_not_sent_again_once_it_ended_though_its_end_was_given_up(
    fault: TargetFault,
) -> None:
    clock, target = FakeClock(), Resending()
    settings = options(group_s=0, give_up_after_s=30)
    async with running(target, clock=clock, settings=settings, firing=[alert()]) as notifier:
        target.always = fault
        ended = notifier.offer(alert(id="transition-2", transition="resolved"))
        await clock.advance(31)
        assert ended.done()
        target.always = None
        await clock.advance(300)
        assert target.taken == []


async def test_what_is_stale_is_sent_again_too_for_silence_resolves_nothing() -> None:
    clock, target = FakeClock(), Resending()
    settings = options(group_s=0)
    async with running(target, clock=clock, settings=settings, firing=[alert()]) as notifier:
        notifier.offer(alert(id="transition-2", transition="stale"))
        await clock.advance(121)
        assert [one.alerts[0].transition for one in target.taken] == ["stale"] * 3
        notifier.offer(alert(id="transition-3", transition="resolved"))
        await clock.advance(200)
        assert [one.alerts[0].transition for one in target.taken] == ["stale"] * 3 + ["resolved"]


async def test_closing_tries_what_waits_once_more_and_leaves_the_rest_pending() -> None:
    clock, up, down = FakeClock(), FakeTarget("up"), FakeTarget("down")
    down.always = Unavailable("no answer")
    notifier = Notifier([(up, options()), (down, options())], clock=clock)
    notifier.start()
    done = notifier.offer(alert())
    await asyncio.wait_for(notifier.aclose(within_s=0.05), 5)
    assert len(up.taken) == 1
    assert not done.done()
    assert up.closed
    assert down.closed
