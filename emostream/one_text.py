"""One text through the consumer's own analysis, without Kafka."""

import time
from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from consumer.analysis.plan import make_plan
from consumer.assembly import make_analyzer, open_model
from consumer.records import Emit, Outcome, Record
from consumer.settings import Settings
from emostream.exits import CommandError
from schemas import AffectEvent, DeadLetter, Post

_WAIT_S = 15.0
"""For a model server: whoever asks by hand would rather be told that there is none."""


async def read_one(settings: Settings, text: str) -> AffectEvent:
    """Ask the configured model about a text.

    Raises:
        emollm.errors.ModelError: no server can be asked.
        CommandError: the model answered nothing that can be read.
    """
    if not settings.model.wait_s:
        model = settings.model.model_copy(update={"wait_s": _WAIT_S})
        settings = settings.model_copy(update={"model": model})
    plan = make_plan(settings.tasks, settings.tasks.custom_tasks())
    pool = await open_model(settings, plan)
    found: list[Outcome] = []
    now = time.time()
    record = Record(
        topic="ask",
        partition=0,
        offset=0,
        epoch=0,
        timestamp_ms=int(now * 1000),
        received_at=now,
        key=None,
        value=msgspec.json.encode(Post(id="ask", text=text)),
    )
    try:
        # As a post of our own shape: `input` is about what others write into Kafka.
        plain = settings.model_copy(update={"input": type(settings.input)()})
        analyzer = make_analyzer(plain, plan, pool)
        await analyzer.process([record], lambda _record, outcome: found.append(outcome))
    finally:
        await pool.aclose()
    (outcome,) = found
    if isinstance(outcome, DeadLetter):
        raise CommandError(f"no event came of it ({outcome.class_name}): {outcome.message}")
    assert isinstance(outcome, Emit)
    return msgspec.json.decode(outcome.value, type=AffectEvent)


def report_lines(event: AffectEvent) -> Iterator[str]:
    """Say what was read, a line for each thing."""
    sentiment = event.sentiment
    if sentiment is not UNSET:
        if sentiment.valence is not UNSET:
            yield f"valence    {sentiment.valence:.2f}  (0 most negative, 1 most positive)"
        if sentiment.class_ is not UNSET:
            yield f"class      {sentiment.class_:+d}  (-3 to 3)"
    if event.emotions is not UNSET:
        yield f"emotions   {', '.join(event.emotions) or 'neutral or none'}"
    if event.intensity is not UNSET:
        yield "intensity  " + ", ".join(f"{n} {v:.2f}" for n, v in event.intensity.items())
    if event.custom is not UNSET:
        yield from (f"{name}  {value}" for name, value in event.custom.items())
    yield from (f"unanswered {name}: {reason}" for name, reason in event.unanswered.items())
    if event.text_truncated:
        yield "truncated  the text is too long for the model, which read its beginning"
    yield f"model      {event.model.id}, {event.prompts} prompts"
