"""What doctor says of two models that are asked about the same posts."""

import re
from collections.abc import Callable

import pytest

from consumer.analysis.agreement import FOREIGN_BELOW
from consumer.assembly import second_server_options, server_options
from consumer.settings import Settings
from emostream.two_models import LEAST_POSTS, POSTS, Agreement, agreement, judged
from tests.tgi import FakeTgi

Say = Callable[[int], str]


def texts(count: int) -> list[str]:
    return [f"Post {number}." for number in range(count)]


def number(prompt: str) -> int:
    found = re.search(r"Post (\d+)", prompt)
    assert found is not None
    return int(found[1])


async def asked(first: Say, second: Say, posts: list[str]) -> tuple[Agreement, list[str]]:
    """How both agree, and what the second was asked."""
    async with (
        FakeTgi(lambda prompt: first(number(prompt))) as big,
        FakeTgi(lambda prompt: second(number(prompt))) as small,
    ):
        model = {"servers": [big.url], "second": {"servers": [small.url]}}
        settings = Settings.model_validate({"model": model})
        found = await agreement(
            (settings.model, server_options(settings)[0]),
            (settings.model.second, second_server_options(settings)[0]),
            posts,
        )
        return found, small.prompts


def level(post: int) -> str:
    """From 0.00 to 0.99, in no order."""
    return f"{post * 37 % 100 / 100:.2f}"


async def test_the_newest_hundred_different_posts_are_compared() -> None:
    posts = texts(POSTS + 20)
    found, prompts = await asked(level, level, [*posts, *posts[-5:]])
    assert found.posts == POSTS
    assert found.correlation == pytest.approx(1.0)
    assert sorted(map(number, prompts)) == list(range(20, POSTS + 20))


async def test_what_a_model_does_not_answer_readably_is_left_out() -> None:
    def hesitant(post: int) -> str:
        return "no idea" if post % 2 else level(post)

    found, _ = await asked(level, hesitant, texts(2 * LEAST_POSTS))
    assert found.posts == LEAST_POSTS
    assert found.correlation == pytest.approx(1.0)
    found, _ = await asked(level, hesitant, texts(2 * LEAST_POSTS - 2))
    assert found == Agreement(LEAST_POSTS - 1, None)
    assert judged(found).state == "skipped"
    assert "29 recent posts were read by both, 30 are needed" in judged(found).message


async def test_a_model_that_does_not_answer_at_all_leaves_nothing_to_compare() -> None:
    settings = Settings.model_validate({"model": {"servers": ["http://127.0.0.1:1"]}})
    gone = (settings.model, server_options(settings)[0])
    assert await agreement(gone, gone, texts(40)) == Agreement(0, None)


async def test_a_model_that_says_the_same_of_every_post_is_told() -> None:
    found, _ = await asked(level, lambda _: "0.5", texts(40))
    assert found == Agreement(40, None)
    assert judged(found).state == "bad"
    assert "a model gives all the same valence" in judged(found).message


async def test_models_that_disagree_are_told_with_the_figure_and_what_to_do() -> None:
    def other(post: int) -> str:
        """Correlates by .5 or so: half of the posts it reads as the first does."""
        return level(post) if post % 2 else level(post + 7)

    found, _ = await asked(level, other, texts(POSTS))
    assert found.correlation is not None
    assert 0.2 < found.correlation < FOREIGN_BELOW
    told = judged(found)
    assert told.state == "bad"
    assert f"of 100 recent posts correlate by {found.correlation:.2f}" in told.message
    assert "those of tweets by .80 to .90" in told.message
    assert "lower model.second.weight" in told.message


@pytest.mark.parametrize(("correlation", "state"), [(0.769, "bad"), (0.77, "ok"), (-0.9, "bad")])
def test_the_bound_is_the_one_of_the_running_consumer(correlation: float, state: str) -> None:
    assert judged(Agreement(LEAST_POSTS, correlation)).state == state
