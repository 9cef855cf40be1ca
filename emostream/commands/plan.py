"""`emostream plan`: what a load takes, and what it costs."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from emostream.exits import wrong_usage

if TYPE_CHECKING:
    from emostream.capacity import Plan

Positive = validators.Number(gt=0)


def plan(
    *,
    posts_per_s: Annotated[float, Parameter(validator=Positive)],
    model: str = "Emollama-chat-7b",
    gpu: str = "a100",
    prompts_per_post: Annotated[float, Parameter(validator=Positive)] = 3.27,
    tokens_per_prompt: Annotated[float, Parameter(validator=Positive)] = 100,
    prompts_per_s: Annotated[float | None, Parameter(validator=Positive)] = None,
    usd_per_hour: Annotated[float | None, Parameter(validator=Positive)] = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Estimate GPUs, consumers, partitions and cost of a load, and what is full first.

    Every figure is an estimate and says what it rests on (docs/scale.md). With a measurement of
    your own, `--prompts-per-s`, it is as good as that.

    **Examples**

    ```
    emostream plan --posts-per-s 36
    emostream plan --posts-per-s 36 --prompts-per-post 2.25 --gpu h100 --usd-per-hour 2.8
    emostream plan --posts-per-s 36 --model Emot5-large --gpu mine --prompts-per-s 400 --json
    ```

    Args:
        posts_per_s: Posts a second at the peak. All of Bluesky has 25, at its peak 36.
        model: As `emostream models` names it.
        gpu: h100, l40s, a100, l4; cpu for the small model. Any name, with --prompts-per-s.
        prompts_per_post: 3.27 for the whole profile; 2.25 with a second opinion.
        tokens_per_prompt: Instruction and text; no more than the model takes.
        prompts_per_s: What you measured of one server at its ceiling.
        usd_per_hour: The price of one server.
        json_: One JSON object.
    """
    import msgspec

    from emollm.models import MODELS, UnknownModel, find_model
    from emostream.capacity import Unknown
    from emostream.capacity import plan as make_plan

    with wrong_usage():
        try:
            card = find_model(model)
        except UnknownModel:
            raise Unknown(
                f"--model {model}: none of {', '.join(one.name for one in MODELS)}; take the one of"
                " about its size, with --prompts-per-s as you measured it"
            ) from None
        made = make_plan(
            posts_per_s=posts_per_s,
            card=card,
            gpu=gpu.lower(),
            prompts_per_post=prompts_per_post,
            tokens_per_prompt=tokens_per_prompt,
            prompts_per_s=prompts_per_s,
            usd_per_hour=usd_per_hour,
        )
    if json_:
        sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(made)) + "\n")


def _lines(made: "Plan") -> list[str]:
    from emostream.capacity import IN_FLIGHT, USE, dollars

    first, *others = made.saturates
    lines = [
        (
            f"Estimates for {made.posts_per_s:g} posts/s of {made.prompts_per_post:g} prompts,"
            f" {made.tokens_per_prompt:g} tokens each."
        ),
        "",
        (
            f"model servers  {made.servers} x {made.gpu} with {made.model},"
            f" {_rate(made.posts_per_s_each)} posts/s each"
        ),
        f"               planned at {USE:.0%} of {_rate(made.prompts_per_s_each)} prompts/s",
        f"               {made.basis}: {made.source}",
        f"consumers      {made.consumers}, {made.consumer_cpu_ms_per_post:.2f} ms of CPU a post",
        f"partitions     {made.partitions}",
        f"$ a million    {dollars(made.usd_per_million_here)} at this load,"
        f" {dollars(made.usd_per_million_full)} with busy servers"
        if made.usd_per_million_here
        else "$ a million    unknown: give --usd-per-hour",
        "",
        f"Full first: {first.name}, at {first.posts_per_s:,.0f} posts/s;",
        "then " + ", ".join(f"{one.name} at {one.posts_per_s:,.0f}" for one in others) + ".",
        f"Watch: {first.watch}.",
        f"Then: {first.then}.",
    ]
    if first.posts_per_s < made.posts_per_s:
        lines.append(f"That is below the load: as planned, {first.name} can't keep up with it.")
    if made.tokens_per_prompt > made.longest_prompt:  # a measurement of another model, then
        lines.append(f"{made.model} itself takes {made.longest_prompt:,} tokens a prompt at most.")
    if made.prompts_that_fit is not None and made.prompts_that_fit < IN_FLIGHT:
        lines.append(
            f"Only {made.prompts_that_fit} prompts fit into its memory: set model.max_concurrency."
        )
    if made.servers == 1:
        lines.append("With one model server, posts wait in Kafka while it is restarted.")
    return lines


def _rate(number: float) -> str:
    """Three digits of what is small: 69 servers of "1 posts/s each" don't come to 36 posts/s."""
    return f"{number:.0f}" if number >= 10 else f"{number:.3g}"
