"""Windows: the same however events come in batches; each post once; nothing lost in silence."""

import random
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import Fate, TrackMatcher, Watch
from monitor.configured import make_watch
from monitor.events import Reading
from monitor.settings import Settings
from monitor.windows.caps import Caps
from monitor.windows.distinct import KEPT, Distinct, hash64
from monitor.windows.known import KnownPosts
from monitor.windows.panes import Entry, Panes
from monitor.windows.text import repost_key
from monitor.windows.valence import BINS, quantile, soft_negative
from schemas.window import Window
from tests.monitor.readings import T0, reading


def watch(**more: object) -> Watch:
    made = Watch(TrackMatcher(by="topics", min_posts=1), **more)  # type: ignore[arg-type]
    made.watermark.assign(0)
    return made


def some_readings(seed: int, number: int = 300) -> list[Reading]:
    draw = random.Random(seed)
    times = sorted(draw.uniform(0, 400) for _ in range(number))
    made = [
        reading(
            i,
            at=time,
            valence=round(draw.random(), 3),
            author=f"a{draw.randrange(40)}",
            text=f"the train of line {draw.randrange(60)} is late once more",
            emotions=("anger",) if draw.random() < 0.3 else (),
        )
        for i, time in enumerate(times)
    ]
    for again in draw.sample(made, 20):
        made.insert(made.index(again) + 1, again)
    return made


READINGS = some_readings(1)


def run(readings: list[Reading], batches: list[int]) -> list[Window]:
    core, windows, ends = watch(), [], set(batches)
    for offset, event in enumerate(readings):
        core.feed(event, 0, offset)
        if offset in ends:
            windows += core.advance().windows
    core.watermark.idle(0)
    windows += core.advance(at_least=T0 + 10_000).windows
    return windows


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, len(READINGS) - 1), max_size=30))
def test_windows_are_the_same_however_events_are_split_in_batches(batches: list[int]) -> None:
    assert run(READINGS, batches) == run(READINGS, [])


@settings(deadline=None, max_examples=15)
@given(st.randoms(use_true_random=False))
def test_posts_of_a_minute_give_the_same_window_in_any_order(draw: random.Random) -> None:
    minute = [event for event in READINGS[:300] if event.created_at.timestamp() < T0 + 25]
    mixed = list(minute)
    draw.shuffle(mixed)
    there, mixed_there = run(minute, []), run(mixed, [])
    for one, other in zip(there, mixed_there, strict=True):
        assert (one.posts, one.panes, one.valence_quantiles) == (
            other.posts,
            other.panes,
            other.valence_quantiles,
        )


def test_a_window_says_what_was_in_it() -> None:
    core = watch()
    for number, valence in enumerate((0.1, 0.2, 0.9, 0.8)):
        core.feed(
            reading(
                number,
                at=number * 5,
                valence=valence,
                author="a" if number < 3 else "b",
                emotions=("anger",) if valence < 0.5 else ("joy",),
                text="the train is late again, says everyone" if number < 2 else None,
            ),
            0,
            number + 10,
        )
    core.feed(reading(9, at=120), 0, 20)
    (window,) = core.advance().windows
    assert (window.posts, window.scored, window.negative, window.authors) == (4, 4, 2, 2)
    assert window.negative_share == 0.5
    assert window.top_author_share == 0.75
    assert window.repost_share == 0.5
    assert window.emotions == {"anger": 0.5, "joy": 0.5}
    assert window.models == {"small": 1.0}
    assert (window.offsets[0].first, window.offsets[0].last) == (10, 13)
    assert sum(sums.posts for sums in window.panes) == 4


def test_names_of_strangers_are_limited_before_they_are_keys_of_a_window() -> None:
    core = watch()
    for number, name in enumerate(("web", "we\u202eb", "x" * 100_000, "")):
        core.feed(reading(number, source=name, lang=name), 0, number)
    core.feed(reading(9, at=200), 0, 9)
    (window,) = core.advance().windows
    assert window.sources == window.langs == {"other": 0.75, "web": 0.25}


def test_what_is_kept_of_a_post_is_limited_and_has_the_same_tracks() -> None:
    matcher = TrackMatcher(by="topics", min_posts=1)
    panes = Panes(matcher.match)
    tags = ("trains", "x" * 100_000, *(f"tag{number}" for number in range(3_000)))
    entry = panes.entry(reading(topics=tags, text="word " * 100_000), 0, 0, T0)
    assert len(msgspec.json.encode(entry.event)) < 10_000
    assert panes.entry(entry.event, 0, 0, T0).tracks == entry.tracks


def test_a_redelivered_event_and_another_models_reading_count_once() -> None:
    core = watch()
    assert core.feed(reading(1), 0, 0) is Fate.COUNTED
    assert core.feed(reading(1), 0, 1) is Fate.DUPLICATE
    assert core.feed(reading(1, model="large", made_after=50), 0, 2) is Fate.DUPLICATE
    core.feed(reading(2, at=200), 0, 3)
    (window,) = core.advance().windows
    assert window.posts == 1
    assert window.models == {"small": 1.0}


def test_what_is_redelivered_after_its_window_closed_is_a_duplicate_and_not_late() -> None:
    core = watch()
    core.feed(reading(1), 0, 0)
    core.feed(reading(2, at=200), 0, 1)
    core.advance()
    assert core.feed(reading(1), 0, 2) is Fate.DUPLICATE
    assert core.feed(reading(1, model="large"), 0, 3) is Fate.DUPLICATE
    assert core.feed(reading(3), 0, 4) is Fate.LATE
    assert core.feed(reading(3), 0, 5) is Fate.DUPLICATE  # what came late counts once, too
    core.feed(reading(4, at=400), 0, 6)
    assert sum(window.late for window in core.advance().windows) == 1
    assert (core.fates[Fate.DUPLICATE], core.fates[Fate.LATE]) == (3, 1)


def test_what_is_redelivered_after_a_restart_is_a_duplicate_where_it_was_remembered() -> None:
    core = watch()
    core.restore([], [], closed_until=T0 + 180, read_until={0: 1})
    core.remember([(reading(1), 0, 0)])
    assert core.feed(reading(1), 0, 0) is Fate.SEEN
    assert core.feed(reading(1), 0, 2) is Fate.DUPLICATE
    assert core.feed(reading(2), 0, 3) is Fate.LATE


def test_the_last_200_000_posts_are_known_and_no_more_than_twice_as_many() -> None:
    known = KnownPosts()
    for start in range(0, 1_000_000, 1_000):
        known.add((None, str(number)) for number in range(start, start + 1_000))
    assert all((None, str(number)) in known for number in range(800_000, 1_000_000))
    assert sum((None, str(number)) in known for number in range(1_000_000)) <= 400_000


def test_what_comes_late_is_counted_in_the_next_window() -> None:
    core = watch()
    core.feed(reading(1, at=0), 0, 0)
    core.feed(reading(2, at=100), 0, 1)
    core.advance()
    assert core.feed(reading(3, at=5), 0, 2) is Fate.LATE
    core.feed(reading(4, at=300), 0, 3)
    windows = core.advance().windows
    assert sum(window.late for window in windows) == 1
    assert core.fates[Fate.LATE] == 1


def test_a_post_from_the_future_moves_nothing() -> None:
    core = watch()
    core.feed(reading(1, at=0), 0, 0)
    far = reading(2, at=86_400, made_after=-86_000)
    assert core.feed(far, 0, 1) is Fate.FUTURE
    assert core.watermark.value <= T0
    assert core.feed(reading(3, at=1), 0, 2) is Fate.COUNTED


def test_how_far_ahead_a_post_may_lie_is_configured() -> None:
    settings = Settings.model_validate({"monitor": {"future_s": 600}})
    core = make_watch(settings, TrackMatcher(by="topics"))
    assert core.feed(reading(1, at=590), 0, 0, arrived=T0) is Fate.COUNTED
    assert core.feed(reading(2, at=610), 0, 1, arrived=T0) is Fate.FUTURE
    assert core.advance() == ([], [], [])
    assert core.watermark.value == T0 + 560


@pytest.mark.parametrize("year", [1, 1969])
def test_a_post_from_before_1970_counts_as_late_and_moves_nothing(year: int) -> None:
    core = watch()
    old = msgspec.structs.replace(reading(1), created_at=datetime(year, 1, 1, tzinfo=UTC))
    assert core.feed(old, 0, 0) is Fate.LATE
    assert core.advance() == ([], [], [])
    assert core.feed(reading(2, at=0), 0, 1) is Fate.COUNTED
    core.feed(reading(3, at=100), 0, 2)
    assert [window.posts for window in core.advance().windows] == [1]


def test_a_first_post_of_1970_holds_nothing_up() -> None:
    core = watch()
    core.feed(
        msgspec.structs.replace(reading(1), created_at=datetime(1970, 1, 1, tzinfo=UTC)), 0, 0
    )
    for number in range(4):
        core.feed(reading(number, at=number * 50), 0, number + 1)
        core.advance()
    assert not core.detectors["trains"].warm
    assert core.detectors["trains"].next_pane > T0 // 10


def test_the_offset_to_commit_is_the_lowest_that_feeds_an_open_window() -> None:
    core = watch()
    core.feed(reading(1, at=5), 0, 100)
    core.feed(reading(2, at=65), 0, 101)
    core.feed(reading(3, at=70), 0, 102)
    assert core.safe_offsets() == {0: 100}
    core.feed(reading(4, at=115), 0, 103)
    assert len(core.advance().windows) == 1
    assert core.safe_offsets() == {0: 101}


def test_a_restart_closes_the_same_windows_again() -> None:
    whole = run(READINGS[:300], [])
    first = watch()
    published = []
    for offset, event in enumerate(READINGS[:200]):
        first.feed(event, 0, offset)
    published += first.advance().windows
    commit, closed_until = first.safe_offsets()[0], first.closed_until
    assert closed_until is not None
    second = watch()
    read_until = max(window.offsets[0].last for window in published)
    second.restore([], published, closed_until=closed_until, read_until={0: read_until})
    early = {event.id: (event, 0, i) for i, event in enumerate(READINGS[:commit])}
    second.remember(early.values())
    for offset in range(commit, 300):
        assert second.feed(READINGS[offset], 0, offset) is not Fate.LATE
    second.watermark.idle(0)
    published += second.advance(at_least=T0 + 10_000).windows
    assert published == whole


def test_authors_past_the_cap_count_as_posts_only() -> None:
    core = watch()
    for number in range(50):
        core.feed(reading(number, at=number / 10, valence=0.1, author="bot"), 0, number)
    core.feed(reading(99, at=200, author="b"), 0, 99)
    (window,) = core.advance().windows
    assert window.posts == 50
    assert sum(sums.scored for sums in window.panes) == 3
    assert 1 <= sum(sums.people for sums in window.panes) < 2


def test_people_who_are_known_are_people_but_one_author_alone_never_is_two() -> None:
    def people(authors: int, posts: int) -> float:
        """Of so many authors' posts within half an hour, when all of them posted before."""
        caps = Caps()
        caps.advance(0)
        caps.counts("trains", [by(number) for number in range(authors)])
        counted = caps.counts("trains", [by(number % authors) for number in range(posts)])
        return sum(stands_for for within, stands_for in counted if within)

    def by(author: int) -> Entry:
        event = reading(0, author=f"author {author}")
        return Entry(0.0, event.id, 0, 0, event, ("trains",), None)

    assert 3 <= people(40, 60) <= 40
    for authors in range(1, 6):
        assert people(authors, 2000) <= authors


def test_without_authors_one_text_is_capped() -> None:
    core = watch()
    for number in range(50):
        text = f"RT @someone: This is an outrage!! https://x.example/{number}"
        core.feed(reading(number, at=number / 10, valence=0.1, text=text), 0, number)
    core.feed(reading(99, at=200), 0, 99)
    (window,) = core.advance().windows
    assert sum(sums.scored for sums in window.panes) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RT @a: The trains are late!", "the trains are late"),
        ("Ärger am Bahnhof, schon wieder https://t.co/1", "ärger am bahnhof schon wieder"),
    ],
)
def test_a_repost_has_the_key_of_its_original(one: str, other: str) -> None:
    assert repost_key(one) == repost_key(other) is not None


def test_short_texts_are_alike_by_chance() -> None:
    assert repost_key("so sad") is None


def test_distinct_authors_are_exact_to_thousands_then_near() -> None:
    few, many = Distinct(), Distinct()
    for number in range(KEPT):
        few.add(hash64(str(number % 700)))
    assert few.count() == 700
    for number in range(100_000):
        many.add(hash64(str(number)))
    assert abs(many.count() - 100_000) < 4 * 0.022 * 100_000


@given(st.lists(st.integers(0, 100), min_size=1))
def test_quantiles_are_exact_to_a_hundredth(values: list[int]) -> None:
    histogram = [0] * BINS
    for value in values:
        histogram[value] += 1
    ranked = sorted(values)
    assert quantile(histogram, 0.5) == ranked[(len(ranked) - 1) // 2] / 100


def test_the_soft_count_is_a_half_at_the_border() -> None:
    assert soft_negative(0.43) == pytest.approx(0.5)
    assert soft_negative(0.1) > 0.99
    assert soft_negative(0.9) < 0.01
