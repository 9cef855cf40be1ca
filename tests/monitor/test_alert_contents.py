"""An alert carries what an analyst asks first."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec
import pytest

from monitor.detection import DetectionSettings
from monitor.detection.terms import terms_of
from monitor.events import reading_of
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from schemas import AffectEvent
from schemas.alert import Alert
from tests.monitor.live.made import T0
from tests.monitor.live.stage import mood

HOUR = 3_600.0
CALM = 26 * HOUR
STORM_S = 900.0


def alerts_of(events: Iterable[AffectEvent]) -> list[Alert]:
    watch = Watch(TrackMatcher(by="topics"), DetectionSettings(warm_s=7_200))
    for offset, one in enumerate(events):
        watch.feed(reading_of(one), 0, offset, one.created_at.timestamp())
    return watch.advance().alerts


def story() -> list[AffectEvent]:
    """A calm day, then a storm that one source, one language and many people make."""
    storm = [
        msgspec.structs.replace(
            one,
            source="birdsite" if number % 4 else "made-up",
            lang="de" if number % 2 else "en",
            text=f"@handle{number % 9} broken signal box at https://x.example/{number} {number}"
            if one.emotions == ("anger",)
            else one.text,
        )
        for number, one in enumerate(mood(CALM, CALM + STORM_S, every_s=4, negative=0.8))
    ]
    return [*mood(0, CALM, every_s=60, negative=0.3), *storm]


STORY = story()


@pytest.fixture(scope="module")
def alerts() -> list[Alert]:
    return alerts_of(STORY)


@pytest.fixture(scope="module")
def firing(alerts: Sequence[Alert]) -> Alert:
    return next(one for one in alerts if one.transition == "firing")


def posts_of(alert: Alert) -> list[AffectEvent]:
    until = alert.at - timedelta(seconds=30)  # the lateness that it waited for
    return [one for one in STORY if alert.started_at <= one.created_at < until]


def test_it_says_what_was_observed_and_expected_since_when_and_by_how_many(firing: Alert) -> None:
    posts = posts_of(firing)
    negative = [one for one in posts if one.emotions == ("anger",)]
    assert firing.observed > firing.expected + 0.2 or firing.measure == "valence"
    assert firing.started_at >= T0 + timedelta(seconds=CALM - 300)
    assert firing.posts == len(posts)
    assert firing.negative_posts == len(negative)
    assert firing.authors == len({one.author for one in negative})


def test_it_says_which_emotions_sources_languages_and_authors_are_behind_it(firing: Alert) -> None:
    assert next(iter(firing.emotions)) == "anger"
    assert firing.emotions["anger"] > 0.2
    assert firing.emotions["joy"] < 0
    negative = [one for one in posts_of(firing) if one.emotions == ("anger",)]
    share = sum(one.source == "birdsite" for one in negative) / len(negative)
    assert firing.sources["birdsite"] == pytest.approx(share, abs=1e-4)
    assert set(firing.langs) == {"de", "en"}
    assert len(firing.top_authors) <= 5
    assert all(name.startswith("person-") for name in firing.top_authors)


def test_terms_hold_no_handle_no_address_and_no_number_and_three_people_used_them(
    alerts: Sequence[Alert],
) -> None:
    terms = alerts[-1].terms
    assert terms
    assert {word for one in terms for word in one.term.split()} <= {"broken", "signal", "box", "at"}
    assert all(one.authors >= 3 for one in terms)


@pytest.mark.parametrize(
    "hidden",
    [
        "@anna_b",
        "@anna@social.example",
        "\uff20anna_b",
        "anna_b.c@example.org",
        "HTTPS://Example.org/Secret",
        "www.example.org/secret",
        "short.example/secret",
        "example.org",
        "(example.org)",
        "Example.org:8080/secret",
        "xn--e1afmkfd.xn--p1ai",
        "\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
        "\u0909\u0926\u093e\u0939\u0930\u0923.\u092d\u093e\u0930\u0924/secret",
        "m\u00fcnchen.example",
        "example\uff0eorg",
        "anna.social.example",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.example.org",
        "ftp://localhost/secret",
        "m\u00fcller@example.org",
        "anna.b@example.org",
        "u/anna_b",
        "/u/anna-b",
        "&amp;",
        "1234",
        "3rd-2026",
    ],
)
def test_no_handle_address_or_number_is_a_term_however_it_is_written(hidden: str) -> None:
    assert terms_of(f"broken {hidden} signals") == ["broken", "signals", "broken signals"]


@pytest.mark.parametrize(
    "text", ["broken, signals", "broken...signals", "(broken/signals)", "broken \u2026 signals."]
)
def test_words_between_punctuation_are_terms(text: str) -> None:
    assert terms_of(text) == ["broken", "signals", "broken signals"]


def test_sources_and_languages_of_strangers_are_limited() -> None:
    alerts = alerts_of(
        msgspec.structs.replace(one, source="x" * 10_000, lang="a\u202eb") for one in STORY
    )
    assert [(one.sources, one.langs) for one in alerts] == [({"other": 1.0}, {"other": 1.0})] * len(
        alerts
    )
    assert alerts


def test_examples_are_five_negative_posts_of_different_people(firing: Alert) -> None:
    by_id = {one.id: one for one in STORY}
    examples = [by_id[id_] for id_ in firing.examples]
    assert len(examples) == 5
    assert all(one.emotions == ("anger",) for one in examples)
    assert len({one.author for one in examples}) == 5


def test_the_same_hour_yesterday_is_there_and_a_week_that_is_not_known_is_not(
    firing: Alert,
) -> None:
    assert firing.same_hour_yesterday == pytest.approx(0.3, abs=0.12)
    assert firing.same_hour_last_week is msgspec.UNSET


def test_without_authors_the_alert_says_that_only_texts_are_capped() -> None:
    alerts = alerts_of(msgspec.structs.replace(one, author=None) for one in STORY)
    spikes = [one for one in alerts if one.kind == "spike"]
    assert spikes
    for one in spikes:
        assert one.authors is msgspec.UNSET
        assert one.note is not None
        assert "events carry no author: only identical texts are capped" in one.note


def test_a_track_has_one_alert_at_a_time_and_ids_are_the_same_on_every_run(
    alerts: Sequence[Alert],
) -> None:
    spikes = [one for one in alerts if one.kind == "spike"]
    assert len({one.alert_id for one in spikes}) == 1
    assert [one.id for one in alerts_of(STORY)] == [one.id for one in alerts]


def test_further_measures_join_the_open_alert(alerts: Sequence[Alert]) -> None:
    """A storm of many negative posts, at lower valence: one alert, which names all of it."""
    assert len({one.alert_id for one in alerts}) == 1
    for one in alerts:
        measures = [part.measure for part in one.evidence]
        assert measures[0] == one.measure
        assert len(measures) == len(set(measures))
    assert {part.measure for part in alerts[-1].evidence} >= {"negative_share", "valence"}
