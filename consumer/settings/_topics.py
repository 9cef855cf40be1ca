"""Which posts come in, of what shape, and where the events go."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from runtime.kafka.options import Compression
from runtime.settings.section import Section, is_set
from schemas.foreign import Html

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""Kafka's own rule for a topic's name."""

_MIN_KEY_BYTES = 16  # 128 bits: below that a pseudonym can be guessed by trying keys


def _topic(name: str) -> str:
    if not TOPIC_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no topic's name: letters, digits, '.', '_' and '-', 249 at most"
        )
    return name


def _dotted(path: str) -> str:
    if path and not all(path.split(".")):
        raise ValueError(f"{path!r} is no path: names with a dot between them, as in a.b.0.c")
    return path


TopicName = Annotated[str, AfterValidator(_topic)]
TopicNames = Annotated[tuple[str, ...], AfterValidator(lambda names: tuple(map(_topic, names)))]
DottedPath = Annotated[str, AfterValidator(_dotted)]


class Fields(Section):
    """Where in a record's JSON each part of a post is: dotted paths, lists by index or `*`.

    `tags.*.name` is the name of each tag. With `input.preset` only what is set here differs from
    the preset. docs/input.md says in which forms ids, times and topics are read.
    """

    id: Annotated[DottedPath, Field(min_length=1)] = "id"
    """The post's id; `@key` takes the record's key, `@position` its topic, partition, offset."""
    text: Annotated[DottedPath, Field(min_length=1)] = "text"
    """What was written, e.g. `payload.status.content`."""
    source: DottedPath = "source"
    """Where it was posted; empty leaves it out."""
    author: DottedPath = "author"
    """The author's handle or id; empty leaves it out."""
    created_at: DottedPath = "created_at"
    """When it was posted; empty takes the record's timestamp."""
    lang: DottedPath = "lang"
    """Language tag; empty leaves it out."""
    url: DottedPath = "url"
    """Address of the post; empty leaves it out."""
    topics: DottedPath = "topics"
    """List of hashtags, queries or brands; empty leaves it out."""
    meta: DottedPath = "meta"
    """Object carried into the event as it is; empty leaves it out."""

    @model_validator(mode="after")
    def _known_virtual_ids(self) -> Self:
        if self.id.startswith("@") and self.id not in {"@key", "@position"}:
            raise ValueError("id takes a dotted path, @key or @position")
        return self


class Input(Section):
    """Which posts come in."""

    topics: TopicNames = ("posts",)
    """Topics to consume."""
    pattern: str = ""
    """Regular expression of topics to consume, instead of `topics`; it must match whole names."""
    group_id: Annotated[str, Field(min_length=1)] = "emostream"
    """Consumer group: members with the same id share the partitions."""
    group_instance_id: str = ""
    """Static membership: a restart under the same id moves no partitions. Unique per member."""
    auto_offset_reset: Literal["earliest", "latest", "none"] = "earliest"
    """Where a group without committed offsets starts; none refuses to. Partitions that are added
    while a consumer runs are read from their start."""
    max_record_bytes: Annotated[int, Field(ge=1_000)] = 1_000_000
    """Bytes of a record's value above which it is a dead letter; Kafka's own default limit."""
    value: Literal["json", "registry"] = "json"
    """How values are written: JSON, or by a schema of `[registry]`; JSON is then read, too."""
    preset: Literal["", "mastodon", "bluesky", "reddit"] = ""
    """Shape of the records: a Mastodon status, a Jetstream message, a child of a listing."""
    html: Html = "auto"
    """Which texts are HTML, to be read as text: auto, those that begin and end with a tag."""
    where: dict[str, Any] = Field(default={})
    """Records that are posts: path to value or values, all must hold; others are skipped."""
    ignore: dict[str, Any] = Field(default={})
    """Records that are skipped: path to value or values, any of them suffices."""
    langs: tuple[str, ...] = ()
    """Languages that are analysed (`en` admits `en-GB`); empty means all."""
    default_source: str = ""
    """`source` of posts that name none."""
    default_lang: str = ""
    """`lang` of posts that name none."""
    fields: Fields = Fields()

    @field_validator("where", "ignore", mode="after")
    @classmethod
    def _flat(cls, table: dict[str, Any]) -> dict[str, Any]:
        """TOML cuts keys at their dots unless they are quoted: put the paths together again."""
        return dict(_conditions(table))

    @model_validator(mode="before")
    @classmethod
    def _pattern_replaces_topics(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("pattern"):
            if data.get("topics"):
                raise ValueError("give either topics or pattern, not both")
            return data | {"topics": []}
        return data

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if not self.pattern and not self.topics:
            raise ValueError("nothing to consume: name topics or a pattern")
        return self

    def reads(self, topic: str) -> bool:
        """Whether this input would consume the topic."""
        if self.pattern:
            return re.fullmatch(self.pattern, topic) is not None
        return topic in self.topics


def _conditions(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _conditions(value, f"{path}.")
            continue
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(one, str | int | float | bool) for one in values):
            raise ValueError(f"{path} takes a text, a number, true or false, or a list of these")
        yield path, value


class Output(Section):
    """Where the events go, and what they carry."""

    events_topic: TopicName = "affect.events"
    """Topic of the affect events."""
    dlq_topic: TopicName = "affect.dlq"
    """Topic of the dead letters."""
    compression: Compression = "lz4"
    """Compression of what is produced."""
    max_event_bytes: Annotated[int, Field(ge=10_000)] = 1_048_576
    """Bytes above which an event becomes a dead letter; Kafka's own default limit."""
    include_text: bool = True
    """Whether events carry the post's text."""
    identifiers: Literal["keep", "hash", "drop"] = "keep"
    """Post id, url, meta, key and @mentions in events and dead letters: kept, hashed or dropped."""
    author_key: SecretStr = SecretStr("")
    """Key that authors and identifiers are hashed by, 16 bytes or more; without it no author."""
    author_key_file: str = ""
    """File to read `author_key` from."""

    @model_validator(mode="after")
    def _safe(self) -> Self:
        key = self.author_key.get_secret_value().encode()
        if is_set(self.author_key) and len(key) < _MIN_KEY_BYTES:
            raise ValueError(
                f"author_key is shorter than {_MIN_KEY_BYTES} bytes, so pseudonyms could be"
                " reversed: take one from `openssl rand -hex 32`"
            )
        if self.identifiers == "hash" and not is_set(self.author_key):
            raise ValueError('identifiers = "hash" needs author_key, the key to hash by')
        return self
