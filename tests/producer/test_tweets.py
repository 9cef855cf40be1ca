"""The rated tweets: really fetched, verified, whole; and the measure taken with them."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer import (
    HUMAN_VALENCE,
    Broker,
    TweetsSettings,
    TweetsUnavailable,
    fetch_tweets,
    pearson,
    rated_tweets,
    read_tweets,
    sample,
    send_tweets,
    valence_agreement,
)
from schemas import AffectEvent, ModelRef, Sentiment
from tests.producer.fakes import FakeProducer
from tests.schemas.examples import NOON


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


async def test_the_tweets_are_fetched_through_pip_and_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await fetch_tweets(cache)
    posts = read_tweets(path)
    assert len(posts) == len({post.id for post in posts}) == 4_200
    ratings = [post.meta[HUMAN_VALENCE] for post in posts]
    assert min(ratings) == -3.75
    assert max(ratings) == 3.55
    assert sum("&amp;" in post.text for post in posts) > 100
    assert held(cache) == ["vader_tweets_3.3.2.tsv"]
    monkeypatch.setattr(rated_tweets, "pip_commands", no_pip)
    assert await fetch_tweets(cache) == path

    path.write_bytes(path.read_bytes()[:-1])  # a spoiled cache is not believed
    with pytest.raises(TweetsUnavailable):
        await fetch_tweets(cache)


def held(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def no_pip() -> Iterator[list[str]]:
    yield from ()


async def test_without_pip_the_error_says_where_to_put_the_file_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rated_tweets, "pip_commands", no_pip)
    with pytest.raises(TweetsUnavailable, match=r"no pip and no uv .*put it at .*3\.3\.2\.tar\.gz"):
        await fetch_tweets(tmp_path)
    assert held(tmp_path) == []


async def test_pips_own_reason_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "pip"
    script.write_text("#!/bin/sh\necho 'ERROR: no such mirror'\necho done\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(rated_tweets, "pip_commands", lambda: iter([[str(script)]]))
    with pytest.raises(TweetsUnavailable, match="ERROR: no such mirror"):
        await fetch_tweets(tmp_path / "cache")


async def test_another_file_by_that_name_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / rated_tweets.SDIST, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"), io.BytesIO())
    with pytest.raises(TweetsUnavailable, match="SHA-256"):
        await fetch_tweets(tmp_path)


async def test_a_cache_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TweetsUnavailable, match="EMOSTREAM_CACHE_DIR"):
        await fetch_tweets(tmp_path / "file" / "cache")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSTREAM_CACHE_DIR", "/somewhere")
    assert rated_tweets.tweets_cache() == Path("/somewhere/tweets")


def test_a_venv_without_pip_uses_uvs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("")
    uv.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert next(rated_tweets.pip_commands()) == [str(uv), "tool", "run", "--from", "pip", "pip"]


async def test_a_sample_is_sent_the_same_for_the_same_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tweets.tsv"
    file.write_bytes(b"\r\n".join(f"{n}\t{n / 10}\ttext {n}".encode() for n in range(30)))

    async def fetched(_cache: Path | None) -> Path:
        return file

    monkeypatch.setattr("producer.tweets.fetch_tweets", fetched)
    producer = FakeProducer()
    report = await send_tweets(TweetsSettings(count=10, seed=3), Broker(), producer=producer)
    assert report.ok
    keys = [record.key for record in producer.records]
    assert len(set(keys)) == 10
    assert keys == [post.id.encode() for post in sample(read_tweets(file), 10, seed=3)]
    assert keys != [post.id.encode() for post in sample(read_tweets(file), 10, seed=4)]
    assert len(sample(read_tweets(file), None, seed=0)) == 30


def event(post_id: str, valence: float | None, human: object) -> AffectEvent:
    return AffectEvent(
        version=1,
        id=post_id,
        post_id=post_id,
        created_at=NOON,
        processed_at=NOON,
        model=ModelRef(id="m"),
        meta={} if human is None else {HUMAN_VALENCE: human},
        sentiment=Sentiment() if valence is None else Sentiment(valence=valence),
    )


def test_agreement_takes_each_post_once_and_only_with_both_values() -> None:
    agreement = valence_agreement(
        [
            event("a", 0.1, -3.0),
            event("b", 0.9, 2),
            event("a", 0.2, -3.0),
            event("c", 0.5, 0.5),
            event("d", None, 1.0),
            event("e", 0.7, None),
            event("f", 0.7, "high"),
        ]
    )
    assert agreement.pairs == 3
    assert agreement.pearson == pytest.approx(pearson([0.2, 0.9, 0.5], [-3, 2, 0.5]))


def test_pearson_agrees_with_values_worked_out_by_hand() -> None:
    assert pearson([1, 2, 3, 4], [2, 4, 6, 8]) == pytest.approx(1)
    assert pearson([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert pearson([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)


def test_pearson_is_not_defined_without_two_pairs_or_without_variance() -> None:
    assert pearson([], []) is None
    assert pearson([1], [1]) is None
    assert pearson([1, 1, 1], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="1 against 2"):
        pearson([1], [1, 2])


@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.floats(-4, 4))))
def test_pearson_stays_between_minus_one_and_one(pairs: list[tuple[float, float]]) -> None:
    r = pearson([x for x, _ in pairs], [y for _, y in pairs])
    assert r is None or -1 <= r <= 1
