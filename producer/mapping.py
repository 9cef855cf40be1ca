"""Posts of any other shape: which field of theirs is which of a `Post`.

The same dotted paths as in the consumer's `input.fields`: `user.screen_name`, `entities.0.text`.
A file is mapped here where the topic is to hold `Post`s; to have the consumer map, replay the
file as it is and configure the consumer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from schemas import Post
from schemas.foreign import DottedPath, read_text, read_time

POSITION = "@position"


class NotAPostError(ValueError):
    """A record that can't be mapped; the message names the field, never what stands in it."""


@dataclass(frozen=True, kw_only=True)
class FieldMapping:
    """Dotted paths of a post's fields in the records of a file."""

    id: str = "id"
    """`@position`: the record's place is its id (`file:line`)."""
    text: str = "text"
    source: str | None = "source"
    author: str | None = "author"
    created_at: str | None = "created_at"
    """RFC 3339 (UTC where it has no offset), Twitter's form, or Unix time (s, ms, µs)."""
    lang: str | None = "lang"
    url: str | None = "url"
    topics: str | None = "topics"
    """A list of strings, or one string with commas."""
    meta: Mapping[str, str] = field(default_factory=dict)
    """Name in the post's `meta` to the path of its value; empty carries an object at `meta`."""
    default_source: str | None = None
    """The `source` of records without one."""

    def post(self, record: Any, *, place: str) -> Post:
        """Map one decoded record; `place` is its id where the mapping has none.

        Raises:
            NotAPostError: no id or text where the mapping says, or a time that can't be read.
        """
        if not isinstance(record, Mapping):
            raise NotAPostError("expected an object")
        text = walk(record, self.text)
        if not isinstance(text, str):
            raise NotAPostError(f"no text at {self.text}")
        id_ = place if self.id == POSITION else read_text(walk(record, self.id))
        if not id_:
            raise NotAPostError(f"no id at {self.id}")
        return Post(
            id=id_,
            text=text,
            source=read_text(walk(record, self.source)) or self.default_source,
            author=read_text(walk(record, self.author)),
            created_at=_time(walk(record, self.created_at), self.created_at),
            lang=read_text(walk(record, self.lang)),
            url=read_text(walk(record, self.url)),
            topics=_strings(walk(record, self.topics)),
            meta=self._meta(record),
        )

    def columns(self) -> dict[str, str]:
        """The fields that were named otherwise than by default, with their paths."""
        default = FieldMapping()
        return {
            each.name: path
            for each in fields(self)
            if each.name not in {"meta", "default_source"}
            and (path := getattr(self, each.name)) is not None
            and path not in {getattr(default, each.name), POSITION}
        } | {f"meta.{name}": path for name, path in self.meta.items()}

    def _meta(self, record: Mapping[str, Any]) -> dict[str, Any]:
        if not self.meta:
            found = record.get("meta")
            return dict(found) if isinstance(found, Mapping) else {}
        values = {name: walk(record, path) for name, path in self.meta.items()}
        return {name: value for name, value in values.items() if value is not None}


def walk(tree: Any, path: str | None) -> Any:
    """What stands at a dotted path; None where nothing does. A key with dots is tried first."""
    return _compiled(path).find(tree)


_compiled = lru_cache(maxsize=256)(DottedPath)  # a mapping has about ten


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list):
        return tuple(part for part in map(read_text, value) if part is not None)
    return ()


def _time(value: Any, path: str | None) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        return read_time(value)
    except ValueError:
        raise NotAPostError(f"no time that can be read at {path}") from None
