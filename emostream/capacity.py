"""How many GPUs, consumers and partitions a load takes, and what a million posts cost: estimates.

A model reads a prompt of some hundred tokens and answers with a few, so a GPU's speed at reading
(prefill) is what counts; the answer's tokens aren't counted. Where nobody has published or measured
a speed, none is invented: `prompts_per_s` takes one's own measurement.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from emollm.models import MODELS, ModelCard

PROMPTS_PER_POST: Final = 3.27
"""V-reg, E-c, and EI-reg for the emotions found: 3,461 SemEval tweets, five real EmoLLMs."""
WITH_SECOND_OPINION: Final = 2.25
"""With E-c asked of the small model only; the same tweets."""
TOKENS_PER_PROMPT: Final = 100
"""Instruction and a tweet: about 60 and 40."""
USE: Final = 0.8
"""Of a GPU's ceiling that is planned for; above it, queues grow at each peak."""
CPU_MS_PER_PROMPT: Final = 0.41 / 3
"""Of the consumer: bench/README.md, `peers`, a post of three prompts: the dearest of its runs,
.26 to .41 ms by how fast the machine was."""
CONSUMER_USE: Final = 0.5
"""Of one core that is planned for: a rebalance leaves the others with more."""
MONITOR_EVENTS_PER_S: Final = 6_800
"""bench/README.md: 147 microseconds an event, one core."""
IN_FLIGHT: Final = 128
"""Prompts that a consumer keeps on a server at most: `model.max_concurrency`'s default."""
_GPU_MEMORY_USE: Final = 0.9
"""TGI's and vLLM's default share of a GPU's memory."""
_REPLICAS: Final = 2
"""So that one may be replaced while the other works."""
_PARTITIONS: Final = 4

Basis = Literal["measured", "published", "derived", "guess", "yours"]
"""`derived`: from what is published of LLaMA 7B, by the number of parameters."""
_TRT: Final = "NVIDIA/TensorRT-LLM docs/source/performance.md, LLaMA 7B, 2,048 tokens"


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """What a model runs on."""

    name: str
    memory_gb: float
    tokens_per_s: float
    """That LLaMA 7B reads at most: 2,048 over the published latency of the first token."""
    basis: Basis
    source: str
    usd_per_hour: tuple[float, float] | None
    """On demand, from and to, late 2026, rounded: look yours up."""


GPUS: Final[Mapping[str, Gpu]] = {
    gpu.name: gpu
    for gpu in (
        Gpu(
            name="h100",
            memory_gb=80,
            tokens_per_s=2_048 / 0.036,
            basis="published",
            source=f"{_TRT} in 36 ms, FP8",
            usd_per_hour=(2.5, 3.5),
        ),
        Gpu(
            name="l40s",
            memory_gb=48,
            tokens_per_s=2_048 / 0.073,
            basis="published",
            source=f"{_TRT} in 73 ms, FP8",
            usd_per_hour=None,
        ),
        Gpu(
            name="a100",
            memory_gb=80,
            tokens_per_s=2_048 / 0.133,
            basis="published",
            source=f"{_TRT} in 133 ms, FP16",
            usd_per_hour=(1.1, 1.5),
        ),
        Gpu(
            name="l4",
            memory_gb=24,
            tokens_per_s=4_400,
            basis="guess",
            source="a guess from its memory bandwidth beside the others'",
            usd_per_hour=(1.0, 1.0),
        ),
    )
}
_SPEEDS: Final[Mapping[str, float]] = {
    "Emollama-7b": 1.0,
    "Emollama-chat-7b": 1.0,
    "Emobloom-7b": 1.0,
    "Emollama-chat-13b": 0.5,
    "Emoopt-13b": 0.5,
}
"""Beside LLaMA 7B: reading takes twice the parameters in operations a token, so 13 B is half."""
_PUBLISHED: Final = frozenset({"Emollama-7b", "Emollama-chat-7b"})
"""They are LLaMA 7B."""
_SMALL_PROMPTS_PER_S: Final = 317.0
_SMALL_SOURCE: Final = "bench/README.md: int8 on two cores of an AMD EPYC, offline"


_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "posts_per_s": (1e-6, 1e9),
    "prompts_per_post": (1e-3, 1e4),
    "tokens_per_prompt": (1, 1e6),
    "prompts_per_s": (1e-6, 1e9),
    "usd_per_hour": (1e-6, 1e6),
}
"""What can be meant; outside it a slip of the keyboard would be printed as a plan."""


class Unknown(ValueError):  # noqa: N818 - says what it is
    """There is no figure, or it can't be; the message says what to give."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be full."""

    name: str
    posts_per_s: float
    """That it takes, as planned."""
    watch: str
    """What shows that it is full."""
    then: str
    """What to do."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a load takes. All figures are estimates."""

    posts_per_s: float
    model: str
    gpu: str
    prompts_per_post: float
    tokens_per_prompt: float
    longest_prompt: int
    """In tokens, by the model's context."""
    prompts_per_s_each: float
    """Of one server at its ceiling."""
    basis: Basis
    source: str
    posts_per_s_each: float
    """Of one server, as planned (`USE` of its ceiling)."""
    servers: int
    consumers: int
    partitions: int
    consumer_cpu_ms_per_post: float
    prompts_that_fit: int | None
    """In the GPU's memory at a time, beside the weights; None on a CPU."""
    answer_ms_to_keep_busy: float
    """An answer that takes longer leaves a server idle at `IN_FLIGHT` prompts from one consumer."""
    usd_per_million_full: tuple[float, float] | None
    """With servers that are always as busy as planned; None without a price."""
    usd_per_million_here: tuple[float, float] | None
    """With so many servers at this load."""
    saturates: tuple[Stage, ...]
    """The first is full first."""


def plan(
    *,
    posts_per_s: float,
    card: ModelCard,
    gpu: str,
    prompts_per_post: float = PROMPTS_PER_POST,
    tokens_per_prompt: float = TOKENS_PER_PROMPT,
    prompts_per_s: float | None = None,
    usd_per_hour: float | None = None,
) -> Plan:
    """Estimate what a load takes.

    `prompts_per_s` is one's own measurement of one server at its ceiling, in place of the table's;
    `usd_per_hour` the price of one.

    Raises:
        Unknown: no figure for this model on this GPU, the model doesn't fit into it, its context
            doesn't hold the prompts, or a number that can't be meant.
    """
    _check(
        posts_per_s=posts_per_s,
        prompts_per_post=prompts_per_post,
        tokens_per_prompt=tokens_per_prompt,
        prompts_per_s=prompts_per_s,
        usd_per_hour=usd_per_hour,
    )
    if not gpu.strip():
        raise Unknown(f"--gpu is empty: {', '.join((*GPUS, 'cpu'))}, or a name of yours")
    each, basis, source = _ceiling(card, gpu, tokens_per_prompt, prompts_per_s)
    fit = _prompts_that_fit(card, gpu, tokens_per_prompt)
    planned = each * USE / prompts_per_post
    servers = max(1, math.ceil(posts_per_s / planned))
    cpu_ms = CPU_MS_PER_PROMPT * prompts_per_post
    consumer = 1_000 * CONSUMER_USE / cpu_ms
    consumers = max(_REPLICAS, math.ceil(posts_per_s / consumer))
    partitions = max(_PARTITIONS, 2 * consumers)
    prices = GPUS[gpu].usd_per_hour if gpu in GPUS else None
    if usd_per_hour is not None:
        prices = (usd_per_hour, usd_per_hour)
    return Plan(
        posts_per_s=posts_per_s,
        model=card.name,
        gpu=gpu,
        prompts_per_post=prompts_per_post,
        tokens_per_prompt=tokens_per_prompt,
        longest_prompt=card.max_input_tokens,
        prompts_per_s_each=each,
        basis=basis,
        source=source,
        posts_per_s_each=planned,
        servers=servers,
        consumers=consumers,
        partitions=partitions,
        consumer_cpu_ms_per_post=cpu_ms,
        prompts_that_fit=fit,
        answer_ms_to_keep_busy=1_000 * min(IN_FLIGHT, fit or IN_FLIGHT) / each,
        usd_per_million_full=_per_million(prices, planned),
        usd_per_million_here=_per_million(prices, posts_per_s / servers),
        saturates=_stages(servers * planned, consumers * consumer, partitions * consumer),
    )


def _check(**given: float | None) -> None:
    for name, value in given.items():
        least, most = _BOUNDS[name]
        if value is not None and not least <= value <= most:
            option = name.replace("_", "-")
            raise Unknown(f"--{option} {value:g}: from {least:g} to {most:,.0f}")


def _ceiling(
    card: ModelCard, gpu: str, tokens: float, measured: float | None
) -> tuple[float, Basis, str]:
    """Prompts a second of one server, where that is from, and the source."""
    if measured is not None:
        return measured, "yours", "your measurement"
    if tokens > card.max_input_tokens:
        raise Unknown(
            f"--tokens-per-prompt {tokens:g}: {card.name} takes prompts of at most"
            f" {card.max_input_tokens:,} tokens; longer posts are shortened to that"
        )
    if card.name == MODELS[-1].name and gpu == "cpu":
        if tokens != TOKENS_PER_PROMPT:  # its tokenizer folds instructions: others don't follow
            raise Unknown(
                f"{card.name} on {gpu} was measured with prompts of {TOKENS_PER_PROMPT:g} tokens"
                f" alone: measure it with {tokens:g} and give --prompts-per-s"
            )
        return _SMALL_PROMPTS_PER_S, "measured", _SMALL_SOURCE
    speed = _SPEEDS.get(card.name)
    if gpu not in GPUS or speed is None:
        runs = "cpu" if card.name == MODELS[-1].name else ", ".join(GPUS)
        hint = f" (known: {runs})" if speed is not None or runs == "cpu" else ""
        raise Unknown(
            f"no figure for {card.name} on {gpu}{hint}: measure one server at its ceiling and give"
            " --prompts-per-s"
        )
    known = GPUS[gpu]
    if card.name in _PUBLISHED or known.basis != "published":
        return known.tokens_per_s * speed / tokens, known.basis, known.source
    source = f"{known.source}; taken as {speed:g} of that for {card.size}"
    return known.tokens_per_s * speed / tokens, "derived", source


def _prompts_that_fit(card: ModelCard, gpu: str, tokens: float) -> int | None:
    if gpu not in GPUS or not card.cache_mb_per_token:
        return None
    room_gb = GPUS[gpu].memory_gb * _GPU_MEMORY_USE - card.weights_gb
    fit = int(1_000 * room_gb / (card.cache_mb_per_token * tokens))
    if fit < 1:
        raise Unknown(
            f"{card.name} takes {card.weights_gb:g} GB at two bytes a parameter, and beside it no"
            f" prompt of {tokens:,.0f} tokens fits into the {GPUS[gpu].memory_gb:g} GB of {gpu}:"
            " take a larger one, or shorter prompts"
        )
    return fit


def _per_million(
    prices: tuple[float, float] | None, posts_per_s: float
) -> tuple[float, float] | None:
    if prices is None:
        return None
    hours = 1e6 / posts_per_s / 3_600
    return prices[0] * hours, prices[1] * hours


def _stages(servers: float, consumers: float, partitions: float) -> tuple[Stage, ...]:
    stages = (
        Stage(
            name="model servers",
            posts_per_s=servers,
            watch="emostream_model_concurrency_limit at its height and the server's own queue"
            " (tgi_queue_size, vllm:num_requests_waiting); then emostream_lag_posts",
            then="add a server to model.servers, or ask less ([tasks])",
        ),
        Stage(
            name="consumers",
            posts_per_s=consumers,
            watch="rate(process_cpu_seconds_total) of a consumer above half a core",
            then="start another: up to one a partition",
        ),
        Stage(
            name="partitions",
            posts_per_s=partitions,
            watch="as many consumers as partitions, each busy",
            then="a topic with more: keys move to other partitions",
        ),
        Stage(
            name="monitor",
            posts_per_s=MONITOR_EVENTS_PER_S,
            watch="emostream_monitor_lag_events",
            then="one is active at a time: a faster core, or fewer tracks",
        ),
    )
    return tuple(sorted(stages, key=lambda stage: stage.posts_per_s))


def to_markdown() -> str:
    """What a million posts cost, for each model and GPU that has a figure; for docs/scale.md."""
    columns = (
        "model",
        "GPU",
        "prompts/s, ceiling",
        "posts/s, planned",
        "$ a million posts",
        "with a second opinion",
        "basis",
    )
    lines = [
        f"| {' | '.join(columns)} |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for card in MODELS:
        for gpu in (*GPUS, "cpu"):
            try:
                now = plan(posts_per_s=1, card=card, gpu=gpu)
                less = plan(posts_per_s=1, card=card, gpu=gpu, prompts_per_post=WITH_SECOND_OPINION)
            except Unknown:
                continue
            lines.append(
                f"| {card.name} | {gpu.upper()} | {now.prompts_per_s_each:.0f}"
                f" | {now.posts_per_s_each:.0f} | {dollars(now.usd_per_million_full)}"
                f" | {dollars(less.usd_per_million_full)} | {now.basis} |"
            )
    sources = [f"- {gpu.name.upper()}: {gpu.basis}: {gpu.source}" for gpu in GPUS.values()]
    return "\n".join((*lines, "", *sources, f"- CPU: measured: {_SMALL_SOURCE}", ""))


def dollars(span: tuple[float, float] | None) -> str:
    """A price from and to; `?` where there is none."""
    if span is None:
        return "?"
    low, high = (f"{one:.1f}" for one in span)
    return low if low == high else f"{low} to {high}"
