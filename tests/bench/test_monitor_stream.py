"""A simulated world as a file of events: its traps are in it, and its truth judges alarms."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from bench.monitor import stream, world
from schemas import AffectEvent

KIND = world.KINDS[9]
DAYS = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[stream.Truth], list[AffectEvent]]:
    """Five days of one track of a post every two minutes."""
    file = tmp_path_factory.mktemp("world") / "events.jsonl"
    truths, number = stream.write_events(file, KIND, 3, days=DAYS, posts_per_minute=(0.5,))
    events = [msgspec.json.decode(row, type=AffectEvent) for row in file.read_bytes().splitlines()]
    assert len(events) == number
    return truths, events


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "other", "third")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        stream.write_events(file, KIND, seed, days=3, posts_per_minute=(0.5,))
    one, other, third = (file.read_bytes() for file in files)
    assert one == other != third


def test_events_come_twice_and_late_and_one_author_bursts_where_the_truth_says(
    made: tuple[list[stream.Truth], list[AffectEvent]],
) -> None:
    (truth,), events = made
    assert len({one.id for one in events}) < len(events)
    latest, late = events[0].created_at, 0
    for one in events:
        late += one.created_at < latest - timedelta(seconds=40)
        latest = max(latest, one.created_at)
    assert late > 0
    assert len(truth.storms) == DAYS - 2
    assert truth.bursts
    for begin in truth.bursts:
        begins = stream.START + timedelta(seconds=begin)
        ends = begins + timedelta(minutes=20)
        burst = {
            one.id for one in events if begins <= one.created_at < ends and one.author == "one"
        }
        assert len(burst) == 150


def test_a_storm_has_the_posts_that_the_truth_counts(
    made: tuple[list[stream.Truth], list[AffectEvent]],
) -> None:
    (truth,), events = made
    for storm in truth.storms:
        begins = stream.START + timedelta(seconds=storm.at)
        ends = begins + timedelta(seconds=world.STORM_S)
        posts = {one.id for one in events if begins <= one.created_at < ends}
        assert len(posts) == storm.posts


def fired(truth: stream.Truth, at: float) -> dict[str, object]:
    moment = (stream.START + timedelta(seconds=at)).isoformat()
    return {
        "track": truth.name,
        "transition": "firing",
        "kind": "spike",
        "at": moment,
        "fired_at": moment,
    }


def test_alarms_are_judged_by_the_truth(
    made: tuple[list[stream.Truth], list[AffectEvent]],
) -> None:
    (truth,), _ = made
    burst = next(at for at in truth.bursts if at > 2 * world.DAY_S)
    hit = truth.storms[0].at + 200
    rows = [fired(truth, at) for at in (100.0, hit, burst + 60.0)]  # the first: it still warms
    found, in_bursts = stream.judge([*rows, {**rows[1], "transition": "resolved"}], [truth], DAYS)
    assert (found.false, in_bursts) == (1, 1)
    assert [storm[3] for storm in found.storms] == [200.0, *[None] * (len(truth.storms) - 1)]
    assert found.weeks == (DAYS - 2) / 7


def test_a_world_of_any_number_of_tracks_spans_the_same_rates() -> None:
    twenty = world.rates(20)
    assert len(twenty) == 20
    assert twenty[0] == 0.5
    assert twenty[-1] == pytest.approx(16.0)
    assert world.rates(12) == world.RATES


def test_the_command_writes_a_world_of_so_many_tracks_and_judges_the_backtest_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stream, "rates", lambda tracks: (0.5,) * tracks)
    kept = tmp_path / "events.jsonl"
    words = f"stream --kind 9 --seed 31 --days 3 --tracks 2 --keep {kept}"
    monkeypatch.setattr("sys.argv", words.split())
    stream.main()
    rows = kept.read_bytes().splitlines()
    tracks = {msgspec.json.decode(row, type=AffectEvent).topics for row in rows}
    assert tracks == {("track00",), ("track01",)}
    printed = capsys.readouterr().out
    assert "seed 31, backtest" in printed
    assert f"{len(rows):,} events" in printed
