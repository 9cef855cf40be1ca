"""When a track is muted, by the clock on the wall of its zone."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.mutes import check_mute, in_force, is_over, read_weekly, until
from schemas.alert import Mute

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)  # a Friday; Vienna changes its clocks on Sunday


def mute(**more: object) -> Mute:
    return Mute(version=1, id="m", track="t", by="ann", at=NOW, **more)  # type: ignore[arg-type]


def test_a_mute_without_an_end_holds_until_it_is_taken_away() -> None:
    assert in_force(mute(), NOW + timedelta(days=400))


def test_a_mute_ends_at_its_time() -> None:
    one = mute(until=NOW + timedelta(hours=1))
    assert in_force(one, NOW + timedelta(minutes=59))
    assert not in_force(one, NOW + timedelta(minutes=60))
    assert is_over(one, NOW + timedelta(minutes=60))


def test_a_weekly_mute_reaches_past_midnight_into_the_next_day() -> None:
    weekly = read_weekly("fri 22:00-06:00", "Europe/Vienna")
    friday = datetime.fromisoformat("2026-03-27T22:00+01:00")
    assert weekly.covers(friday)
    assert weekly.covers(friday + timedelta(hours=7, minutes=59))
    assert not weekly.covers(friday + timedelta(hours=8))
    assert not weekly.covers(friday - timedelta(minutes=1))
    assert not weekly.covers(friday - timedelta(hours=17))  # Friday morning is Thursday's night


def test_a_weekly_mute_follows_its_zone_through_the_change_of_clocks() -> None:
    weekly = read_weekly("daily 08:00-09:00", "Europe/Vienna")
    assert weekly.covers(datetime(2026, 3, 28, 7, 30, tzinfo=UTC))  # CET
    assert weekly.covers(datetime(2026, 3, 29, 6, 30, tzinfo=UTC))  # CEST
    assert not weekly.covers(datetime(2026, 3, 29, 7, 30, tzinfo=UTC))


def test_ranges_of_days_wrap_around_the_week() -> None:
    assert read_weekly("sat-mon,wed 10:00-11:00", "UTC").days == {5, 6, 0, 2}


@pytest.mark.parametrize(
    ("weekly", "zone", "why"),
    [
        ("mon 25:00-26:00", "UTC", "HH:MM"),
        ("moon 10:00-11:00", "UTC", "a day is one of"),
        ("10:00-11:00", "UTC", "days and times"),
        ("mon 10:00-11:00", None, "needs zone"),
        ("mon 10:00-11:00", "Europe/Nowhere", "no IANA time zone"),
        ("mon 10:00-11:00", "../../etc/passwd", "no IANA time zone"),
    ],
)
def test_what_cannot_be_read_says_what_would_do(weekly: str, zone: str | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_mute(mute(weekly=weekly, zone=zone))
    assert not in_force(mute(weekly=weekly, zone=zone), NOW)


def test_a_mute_that_would_never_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="past"):
        check_mute(mute(until=NOW))
    with pytest.raises(ValueError, match="belongs to weekly"):
        check_mute(mute(zone="UTC"))


def test_until_takes_a_time_or_a_span() -> None:
    assert until("90m", NOW) == NOW + timedelta(minutes=90)
    assert until("2026-04-01T08:00:00Z", NOW) == datetime(2026, 4, 1, 8, tzinfo=UTC)
    with pytest.raises(ValueError, match="8h"):
        until("tomorrow", NOW)
