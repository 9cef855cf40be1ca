"""The newest records of the input topics, read as the consumer would: what would become of them."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from consumer.analysis.decoder import Decoder
from consumer.dead_letters import Reason
from consumer.records import Record, Skip
from consumer.settings import Settings
from emostream.plain import visible
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import Span, kafka_topic_log
from runtime.registry.reading import SchemaReader
from schemas import DeadLetter, Post

RECENT = 20
"""Records looked at: a screenful of reasons, and enough for a share that means something."""
_TOPICS = 10
"""Of a pattern's topics, the first so many: each costs a connection."""
_KEYS = 12
"""Keys of a record that are shown, where the text isn't found."""
_KEY_CHARS = 40
_OF_THE_MAPPING = frozenset({Reason.MISSING_FIELD, Reason.WRONG_TYPE})
"""What another mapping may turn into posts."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the records that were looked at."""

    records: int
    posts: tuple[Post, ...]
    skipped: Mapping[str, int]
    """By rule."""
    dead: Mapping[str, int]
    """By class and reason, most frequent first."""
    keys: tuple[str, ...]
    """Of the first record without a post, at the deepest place that its text's path leads to."""


async def recent_records(
    broker: Broker, topics: Sequence[str], *, count: int = RECENT
) -> list[Record]:
    """Give the newest records of these topics, `count` in all, oldest first.

    Joins no group and commits nothing.

    Raises:
        KafkaFault: no broker answers, or one stops giving records.
    """
    found: list[Record] = []
    for topic in topics[:_TOPICS]:
        async with kafka_topic_log(topic, broker) as log:
            spans = {
                number: Span(max(span.start, span.end - count), span.end)
                for number, span in (await log.spans()).items()
            }
            found += [
                Record(
                    topic=topic,
                    partition=record.partition,
                    offset=record.offset,
                    epoch=0,
                    timestamp_ms=record.timestamp_ms,
                    received_at=time.time(),
                    key=record.key,
                    value=record.value,
                    headers=tuple(record.headers),
                )
                async for record in log.read(spans)
            ]
    return sorted(found, key=lambda record: record.timestamp_ms)[-count:]


def sample(
    records: Iterable[Record], settings: Settings, schemas: SchemaReader | None = None
) -> Sample:
    """Read each record as the consumer would; `schemas` reads what a registry frames."""
    decoder = Decoder(settings.input, schemas=schemas)
    posts: list[Post] = []
    skipped: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    keys: tuple[str, ...] = ()
    count = 0
    for record in records:
        count += 1
        outcome = decoder.decode(record)
        if isinstance(outcome, Skip):
            skipped[outcome.rule] += 1
        elif isinstance(outcome, DeadLetter):
            dead[f"{outcome.class_name}, {outcome.message}"] += 1
            if outcome.class_name in _OF_THE_MAPPING:
                keys = keys or _keys(record.value, settings)
        else:
            posts.append(outcome.post)
    return Sample(
        records=count,
        posts=tuple(posts),
        skipped=skipped,
        dead=dict(dead.most_common()),
        keys=keys,
    )


def healthy(found: Sample) -> bool:
    """Whether most of what isn't skipped are posts."""
    return sum(found.dead.values()) * 2 <= found.records - sum(found.skipped.values())


def describe(found: Sample, settings: Settings) -> str:
    """Say what became of them in a few sentences; nothing of a post's words, nobody's name."""
    return ". ".join(_sentences(found, settings))


def _sentences(found: Sample, settings: Settings) -> Iterator[str]:
    posts = len(found.posts)
    yield f"{posts} of {found.records} recent records are posts"
    if found.skipped:
        rules = _counts(found.skipped)
        if not posts and not found.dead:
            yield (
                f"All were skipped ({rules}): right for a feed of other things, too; else see"
                " input.where, input.ignore and input.langs"
            )
        else:
            yield f"Skipped: {rules}"
    for reason, count in list(found.dead.items())[:3]:
        yield f"{count} would be dead letters: {reason}"
    if found.keys:
        yield (
            f"The keys there are {', '.join(found.keys)}: map them in [input.fields], or set"
            " input.preset (docs/input.md)"
        )
    if not posts:
        return
    langs = Counter(visible(post.lang or "none")[:_KEY_CHARS] for post in found.posts)
    yield f"Languages: {_counts(dict(langs.most_common(5)))}"
    without = sum(1 for post in found.posts if not post.author)
    caps = "the monitor can't bound what one author counts for, only identical texts"
    if not settings.output.include_text:
        caps = "without texts, too, the monitor can't bound what one author counts for"
    if without:
        yield f"{without} of {posts} name no author (input.fields.author): {caps}"
    elif not settings.output.author_key.get_secret_value():
        yield f"Their authors don't go into the events without output.author_key: {caps}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _keys(value: bytes | None, settings: Settings) -> tuple[str, ...]:
    """The keys that a record has where its text was looked for."""
    try:
        tree: Any = json.loads(value or b"")
    except (ValueError, RecursionError):
        return ()
    for step in settings.input.fields.text.split(".")[:-1]:
        inner = tree.get(step) if isinstance(tree, dict) else None
        if not isinstance(inner, dict):
            break
        tree = inner
    if not isinstance(tree, dict):
        return ()
    names = tuple(visible(str(name))[:_KEY_CHARS] for name in tree)
    return names[:_KEYS] + (("…",) if len(names) > _KEYS else ())
