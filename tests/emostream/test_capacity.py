"""Estimates: they follow from their figures, and where there is none, none is made up."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.settings import Settings
from consumer.telemetry import metrics
from emollm.models import MODELS, find_model
from emollm.pool import PoolOptions
from emostream.capacity import (
    GPUS,
    IN_FLIGHT,
    PROMPTS_PER_POST,
    USE,
    WITH_SECOND_OPINION,
    Unknown,
    plan,
)
from emostream.command_line import make_app
from emostream.exits import CommandError
from monitor.telemetry import metrics as monitor_metrics

CHAT = find_model("Emollama-chat-7b")
BIG = find_model("Emollama-chat-13b")


def test_all_of_bluesky_is_one_a100() -> None:
    made = plan(posts_per_s=36, card=CHAT, gpu="a100")
    assert (made.servers, made.consumers, made.partitions) == (1, 2, 4)
    assert made.prompts_per_s_each == pytest.approx(154, abs=1)
    assert made.usd_per_million_full == pytest.approx((8.1, 11.1), abs=0.1)
    assert made.saturates[0].name == "model servers"


def test_a_second_opinion_is_nearly_half_as_many_prompts_again() -> None:
    now = plan(posts_per_s=1, card=CHAT, gpu="h100")
    less = plan(posts_per_s=1, card=CHAT, gpu="h100", prompts_per_post=WITH_SECOND_OPINION)
    assert less.posts_per_s_each / now.posts_per_s_each == pytest.approx(
        PROMPTS_PER_POST / WITH_SECOND_OPINION
    )


def test_twice_the_parameters_are_half_as_fast_and_named_as_derived() -> None:
    small, big = (plan(posts_per_s=1, card=card, gpu="h100") for card in (CHAT, BIG))
    assert big.prompts_per_s_each == pytest.approx(small.prompts_per_s_each / 2)
    assert (small.basis, big.basis) == ("published", "derived")
    assert plan(posts_per_s=1, card=CHAT, gpu="l4").basis == "guess"


@pytest.mark.parametrize("name", ["Emot5-large", "Emobart-large"])
def test_without_a_figure_it_asks_for_a_measurement(name: str) -> None:
    card = find_model(name)
    with pytest.raises(Unknown, match="--prompts-per-s"):
        plan(posts_per_s=1, card=card, gpu="a100")
    assert plan(posts_per_s=1, card=card, gpu="a100", prompts_per_s=400).basis == "yours"


def test_the_small_models_figure_is_of_short_prompts_alone() -> None:
    small = find_model("emostream-small")
    assert plan(posts_per_s=1, card=small, gpu="cpu").basis == "measured"
    with pytest.raises(Unknown, match="measure it with 400 and give --prompts-per-s"):
        plan(posts_per_s=1, card=small, gpu="cpu", tokens_per_prompt=400)


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Unknown, match="into the 24 GB of l4: take a larger one"):
        plan(posts_per_s=1, card=BIG, gpu="l4")


def test_prompts_longer_than_the_models_context_are_refused_or_told() -> None:
    assert plan(posts_per_s=1, card=CHAT, gpu="h100", tokens_per_prompt=2_000).servers == 1
    with pytest.raises(Unknown, match="Emollama-chat-7b takes prompts of at most 2,000 tokens"):
        plan(posts_per_s=1, card=CHAT, gpu="h100", tokens_per_prompt=2_001)
    # What somebody measured there was another model, of about its size.
    made = plan(posts_per_s=1, card=CHAT, gpu="h100", tokens_per_prompt=4_000, prompts_per_s=5)
    assert made.tokens_per_prompt > made.longest_prompt == 2_000


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "posts_per_s",
                "prompts_per_post",
                "tokens_per_prompt",
                "prompts_per_s",
                "usd_per_hour",
            ]
        ),
        st.floats(),
    ),
    st.sampled_from(sorted(GPUS)),
)
@example({"posts_per_s": math.inf}, "a100")
@example({"prompts_per_post": math.inf}, "a100")
@example({"tokens_per_prompt": 1e-310}, "a100")
@example({"prompts_per_s": 1e-320}, "a100")
@example({"posts_per_s": 1e-6, "usd_per_hour": 1e6, "prompts_per_s": 1e-6}, "a100")
def test_any_number_gives_a_finite_plan_or_a_sentence(given_: dict[str, float], gpu: str) -> None:
    try:
        made = plan(**{"posts_per_s": 36.0, **given_}, card=CHAT, gpu=gpu)
    except Unknown:
        return
    figures = [stage.posts_per_s for stage in made.saturates]
    figures += [*(made.usd_per_million_here or ()), *(made.usd_per_million_full or ())]
    assert all(map(math.isfinite, figures))
    assert made.servers >= 1


@given(
    st.floats(0.1, 1e5),
    st.sampled_from(sorted(GPUS)),
    st.floats(0.1, 20),
    st.floats(10, 2_000),
)
def test_what_is_planned_carries_the_load(
    posts: float, gpu: str, prompts: float, tokens: float
) -> None:
    made = plan(
        posts_per_s=posts, card=CHAT, gpu=gpu, prompts_per_post=prompts, tokens_per_prompt=tokens
    )
    assert made.servers * made.posts_per_s_each >= posts * (1 - 1e-9)
    assert (made.servers - 1) * made.posts_per_s_each < posts
    assert made.partitions >= 2 * made.consumers
    assert made.posts_per_s_each * prompts == pytest.approx(made.prompts_per_s_each * USE)
    full = {stage.name: stage.posts_per_s for stage in made.saturates}
    assert list(full.values()) == sorted(full.values())
    assert min(full["model servers"], full["consumers"], full["partitions"]) >= posts * (1 - 1e-9)
    if (here := made.usd_per_million_here) and (busy := made.usd_per_million_full):
        assert here[0] >= busy[0] * (1 - 1e-9)


def test_its_defaults_are_the_programs() -> None:
    assert IN_FLIGHT == PoolOptions().max_concurrency == Settings().model.max_concurrency
    known = {one.name for one in metrics.ALL} | {one.name for one in monitor_metrics.ALL}
    words = " ".join(stage.watch for stage in plan(posts_per_s=1, card=CHAT, gpu="a100").saturates)
    named = {word.strip(";") for word in words.split() if word.startswith("emostream_")}
    assert len(named) == 3
    assert named <= known
    assert {card.name for card in MODELS} >= {CHAT.name, BIG.name}


def test_the_command_prints_it_and_refuses_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = make_app(overview=False)
    app(["plan", "--posts-per-s", "36"])
    said = capsys.readouterr().out
    assert "1 x a100 with Emollama-chat-7b, 38 posts/s each" in said
    assert "Full first: model servers" in said
    app(["plan", "--posts-per-s", "36", "--json"])
    assert math.isclose(json.loads(capsys.readouterr().out)["posts_per_s"], 36)
    app(["plan", "--posts-per-s", "7000"])
    assert "below the load: as planned, monitor can't keep up" in capsys.readouterr().out
    app(["plan", "--posts-per-s", "36", "--gpu", "l4", "--tokens-per-prompt", "2000"])
    said = capsys.readouterr().out
    assert "67 x l4 with Emollama-chat-7b, 0.538 posts/s each" in said
    assert "80% of 2.2 prompts/s" in said
    longer = ["--tokens-per-prompt", "4000", "--prompts-per-s", "5"]
    app(["plan", "--posts-per-s", "36", *longer])
    assert "Emollama-chat-7b itself takes 2,000 tokens a prompt" in capsys.readouterr().out
    for words in (
        ["--gpu", "tpu"],
        ["--tokens-per-prompt", "4000"],
        ["--gpu=", "--prompts-per-s", "400"],
        ["--model", "gpt"],
        ["--usd-per-hour", "inf"],
    ):
        with pytest.raises(CommandError) as refused:
            app(["plan", "--posts-per-s", "36", *words])
        assert refused.value.status == 2


def test_a_model_that_is_not_in_the_table_is_planned_by_one_of_its_size() -> None:
    """Nothing is configured here, so no key of the configuration is advised."""
    app = make_app(overview=False)
    with pytest.raises(CommandError) as refused:
        app(["plan", "--posts-per-s", "36", "--model", "gpt", "--prompts-per-s", "600"])
    assert "--prompts-per-s" in str(refused.value)
    assert "model.wrapper" not in str(refused.value)
