"""Whether the second model knows the stream: both models' valence of recent posts, compared."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from consumer.analysis.agreement import FOREIGN_BELOW, correlation
from consumer.analysis.model import make_builder
from consumer.analysis.second_opinion import ADVICE
from consumer.settings import ModelServers
from emollm.clients import ServerOptions, detect
from emollm.errors import ModelError
from emollm.readers import Unreadable
from emollm.tasks import V_REG
from emostream.findings import Finding, bad, ok, skipped

POSTS = 100
"""Recent posts that both are asked about, at most: 100 know a correlation of .80 within .04."""
LEAST_POSTS = 30
"""Fewer say nothing that is worth a line: .80 within .07."""
_AT_ONCE = 4


class Agreement(NamedTuple):
    """How well two models agree on recent posts."""

    posts: int
    """That both answered."""
    correlation: float | None
    """None with too few posts, or where a model gives all the same answer."""

    @property
    def foreign(self) -> bool:
        """Whether the second doesn't know this kind of text."""
        return self.correlation is not None and self.correlation < FOREIGN_BELOW


def judged(found: Agreement) -> Finding:
    """What `doctor` says of it."""
    if found.posts < LEAST_POSTS:
        return skipped(
            "agreement",
            f"{found.posts} recent posts were read by both, {LEAST_POSTS} are needed to compare",
        )
    if found.correlation is None:
        return bad(
            "agreement",
            f"of {found.posts} recent posts, a model gives all the same valence: ask both with"
            " `emostream ask`, and see which one is broken",
        )
    words = (
        f"the models' valences of {found.posts} recent posts correlate by {found.correlation:.2f}"
    )
    if found.foreign:
        return bad("agreement", f"{words}, those of tweets by .80 to .90: {ADVICE}")
    return ok("agreement", f"{words}: the second model knows this kind of text")


async def agreement(
    first: tuple[ModelServers, ServerOptions],
    second: tuple[ModelServers, ServerOptions],
    texts: Sequence[str],
) -> Agreement:
    """Ask both models the valence of these texts: one server of each, a few prompts at a time."""
    texts = list(dict.fromkeys(texts))[-POSTS:]
    ours, theirs = await asyncio.gather(_valences(*first, texts), _valences(*second, texts))
    pairs = [
        (one, other)
        for one, other in zip(ours, theirs, strict=True)
        if one is not None and other is not None
    ]
    return Agreement(len(pairs), correlation(pairs) if len(pairs) >= LEAST_POSTS else None)


async def _valences(
    model: ModelServers, server: ServerOptions, texts: Sequence[str]
) -> list[float | None]:
    client = await detect(server, timeout_s=model.timeout_s)
    if isinstance(client, ModelError):
        return [None] * len(texts)
    try:
        info = await client.info(timeout_s=model.timeout_s)
        if isinstance(info, ModelError):
            return [None] * len(texts)
        builder = make_builder(model, info, (V_REG,))
        places = asyncio.Semaphore(_AT_ONCE)

        async def ask(text: str) -> float | None:
            prompt = builder.build(V_REG, builder.prepare(text))
            async with places:
                answer = await client.generate(
                    prompt.text, prompt.params, timeout_s=model.timeout_s
                )
            if isinstance(answer, ModelError):
                return None
            value = V_REG.read(answer.text)
            return None if isinstance(value, Unreadable) else float(str(value))

        return list(await asyncio.gather(*map(ask, texts)))
    finally:
        await client.aclose()
