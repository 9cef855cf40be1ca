"""Tracks: what matches, what is found in a text, and what strangers can't do to names."""

import random
from collections import Counter

import pytest

from monitor.tracks import (
    MAX_NAME,
    OTHER,
    Keywords,
    TrackMatcher,
    TrackRule,
    candidates,
    clean_name,
)
from tests.monitor.readings import reading


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("fail", "what a #fail"),
        ("@apple", "ask @apple."),
        ("c++", "I write C++, mostly"),
        ("地震", "昨日地震がありました"),
        ("Straße", "auf der STRASSE"),
        ("late again", "Late\n  again!"),
        ("ｃａｆé", "the cafe\u0301 is shut"),
    ],
)
def test_a_keyword_is_found(keyword: str, text: str) -> None:
    assert Keywords({"list": [keyword]}).find(text) == {"list"}


@pytest.mark.parametrize(
    ("keyword", "text"),
    [("fail", "a failure"), ("art", "party"), ("c++", "basic++"), ("über", "grüber")],
)
def test_a_part_of_a_word_is_no_keyword(keyword: str, text: str) -> None:
    assert Keywords({"list": [keyword]}).find(text) == set()


def test_a_blank_keyword_is_refused() -> None:
    with pytest.raises(ValueError, match="blank keyword"):
        Keywords({"list": ["  "]})


def test_rules_match_all_that_they_name() -> None:
    matcher = TrackMatcher(
        (
            TrackRule(name="everything", all=True),
            TrackRule(name="english trains", topics=("#Trains",), langs=("en",)),
            TrackRule(name="bluesky", sources=("Bluesky",)),
            TrackRule(name="delays", keywords=("late again",)),
        )
    )
    event = reading(text="Late again...", lang="en-GB")
    assert matcher.match(event) == ("everything", "english trains", "delays")
    assert matcher.match(reading(lang="de", source="bluesky")) == ("everything", "bluesky")
    assert matcher.needs_text


@pytest.mark.parametrize(
    "rules",
    [
        (TrackRule(name="nothing"),),
        (TrackRule(name="a", all=True), TrackRule(name="A", all=True)),
        (TrackRule(name="x" * 65, all=True),),
    ],
)
def test_rules_that_can_not_work_are_refused(rules: tuple[TrackRule, ...]) -> None:
    with pytest.raises(ValueError, match="track"):
        TrackMatcher(rules)


def test_a_tag_is_a_track_once_it_has_posts_enough() -> None:
    matcher = TrackMatcher(by="topics", min_posts=3)
    event = reading(topics=("Trains",))
    assert [matcher.match(event) for _ in range(3)] == [(OTHER,), (OTHER,), ("Trains",)]
    assert matcher.match(reading(topics=("#trains", "trains"))) == ("Trains",)


def test_an_event_that_is_read_once_more_is_of_the_tracks_as_they_are_now() -> None:
    rules = (TrackRule(name="english", langs=("en",)),)
    matcher = TrackMatcher(rules, by="topics", min_posts=2)
    event = reading(topics=("trains", "rare", "Trains"), lang="en")
    assert matcher.known(event) == matcher.known(event) == ("english", OTHER)
    matcher.match(event)
    assert matcher.known(event) == ("english", "Trains", OTHER)
    assert matcher.refused == 2, "what is read once more is not counted"
    assert matcher.known(reading(topics=("trains",) * 65, lang="de")) == ("Trains", OTHER)
    assert TrackMatcher(rules).known(event) == ("english",)


def test_the_number_of_tracks_is_limited_and_a_silent_one_gives_its_place() -> None:
    matcher = TrackMatcher(by="source", min_posts=1, max_tracks=2)
    names = [matcher.match(reading(source=name))[0] for name in ("a", "b", "c")]
    assert names == ["a", "b", OTHER]
    matcher.release("a")
    assert matcher.match(reading(source="c")) == ("c",)


def test_restored_tracks_keep_their_places() -> None:
    matcher = TrackMatcher(by="lang", min_posts=5, max_tracks=1)
    matcher.restore(["de"])
    assert matcher.match(reading(lang="de")) == ("de",)
    assert matcher.automatic == ("de",)


@pytest.mark.parametrize("tag", ["", "x" * (MAX_NAME + 1), "a\u202eb", "tab\x00", "\ufdfa" * 40])
def test_tags_that_make_no_name_count_as_other(tag: str) -> None:
    assert clean_name(tag) is None
    assert TrackMatcher(by="topics", min_posts=1).match(reading(topics=(tag,))) == (OTHER,)


def test_a_flood_of_tags_takes_no_memory() -> None:
    matcher = TrackMatcher(by="topics", min_posts=3, max_tracks=10)
    for number in range(30_000):
        matcher.match(reading(topics=(f"spam{number}",)))
    assert matcher.automatic == ()
    assert matcher.refused == 30_000


def test_a_flood_of_tags_with_one_post_each_does_not_keep_a_real_tag_from_its_track(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row a 64th of the product's: six of the real tag's posts come among so many of others."""
    monkeypatch.setattr(candidates, "_WIDTH", 1 << 15)
    matcher = TrackMatcher(by="topics")
    spam = 0
    for _ in range(20):
        matcher.match(reading(topics=("trains",)))
        for _ in range(5_400 // 60):
            matcher.match(reading(topics=tuple(f"spam{spam + tag}" for tag in range(60))))
            spam += 60
    assert matcher.automatic == ("trains",)


def test_tags_are_counted_as_often_as_they_come_beside_a_flood() -> None:
    counted, came = candidates.Candidates(), Counter[str]()
    draw = random.Random(5)
    for number in range(20_000):
        tag = f"tag{draw.randrange(3_000)}" if number % 2 else f"once{number}"
        came[tag] += 1
        assert counted.count(tag) == came[tag]
    counted.forget("once2")
    assert [counted.count("once2") for _ in range(300)][-1] == 255


def test_counts_are_halved_after_as_many_posts_as_there_are_counters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "_WIDTH", 8)
    counted = candidates.Candidates()
    assert [counted.count("a") for _ in range(9)] == [1, 2, 3, 4, 5, 6, 7, 8, 5]


def test_of_a_post_with_thousands_of_tags_the_first_are_looked_at() -> None:
    """What they would have counted is left to the tags of others."""
    matcher = TrackMatcher(by="topics", min_posts=3)
    for number in range(30):
        spam = tuple(f"spam{number}-{tag}" for tag in range(3_000))
        assert OTHER in matcher.match(reading(topics=("trains", *spam)))
    assert matcher.automatic == ("trains",)
    rule = TrackMatcher((TrackRule(name="trains", topics=("trains",)),))
    assert rule.match(reading(topics=("trains", *spam))) == ("trains",)


@pytest.mark.parametrize("tag", ["Caf\u00e9", "#cafe\u0301", "\uff23\uff21\uff26\u00c9"])
def test_a_named_topic_is_met_however_its_letters_are_written(tag: str) -> None:
    matcher = TrackMatcher((TrackRule(name="t", topics=("cafe\u0301",)),))
    assert matcher.match(reading(topics=(tag,))) == ("t",)
