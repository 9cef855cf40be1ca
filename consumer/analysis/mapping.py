"""Records of any JSON shape, read as posts by dotted paths; compiled once."""

from datetime import datetime
from typing import Any

import msgspec

from consumer.dead_letters import Reason
from consumer.records import Record
from consumer.settings import Fields
from schemas import Post
from schemas.foreign import DottedPath, read_text, read_time


class NotAPost(Exception):  # noqa: N818 - what it is, not that it is an error
    """A record that holds no post. The message never quotes it."""

    def __init__(self, poison: Reason, message: str) -> None:
        super().__init__(message)
        self.poison = poison
        """The class of its dead letter."""


class Mapping:
    """Reads records of any other JSON shape."""

    def __init__(self, fields: Fields) -> None:
        self._decode = msgspec.json.Decoder().decode
        self._id_name, self._text_name = fields.id, fields.text
        self._id = DottedPath(fields.id)
        self._text = DottedPath(fields.text)
        self._source = DottedPath(fields.source)
        self._author = DottedPath(fields.author)
        self._created_at = DottedPath(fields.created_at)
        self._lang = DottedPath(fields.lang)
        self._url = DottedPath(fields.url)
        self._topics = DottedPath(fields.topics)
        self._meta = DottedPath(fields.meta)

    def read(self, record: Record) -> Post:
        """Read one record.

        Raises:
            NotAPost, msgspec.DecodeError, UnicodeError, RecursionError: it is no post.
        """
        assert record.value is not None
        tree = self._decode(record.value)
        if not isinstance(tree, dict):
            raise NotAPost(Reason.WRONG_TYPE, "expected an object")
        text = self._text.find(tree)
        if text is None:
            raise NotAPost(Reason.MISSING_FIELD, f"no text at {self._text_name}")
        if not isinstance(text, str):
            raise NotAPost(Reason.WRONG_TYPE, f"no text at {self._text_name}, but another type")
        meta = self._meta.find(tree)
        return Post(
            id=self._identify(record, tree),
            text=text,
            source=read_text(self._source.find(tree)),
            author=read_text(self._author.find(tree)),
            created_at=_time(self._created_at.find(tree)),
            lang=read_text(self._lang.find(tree)),
            url=read_text(self._url.find(tree)),
            topics=_strings(self._topics.find(tree)),
            meta=meta if isinstance(meta, dict) else {},
        )

    def _identify(self, record: Record, tree: dict[str, Any]) -> str:
        if self._id_name == "@position":
            return f"{record.topic}/{record.partition}/{record.offset}"
        if self._id_name == "@key":
            if not record.key:
                raise NotAPost(Reason.MISSING_FIELD, "the record has no key to take the id from")
            try:
                return record.key.decode()
            except UnicodeDecodeError as error:
                message = f"the key, to take the id from: invalid UTF-8 at byte {error.start}"
                raise NotAPost(Reason.NOT_UTF8, message) from None
        found = self._id.find(tree)
        if found is None or found == "":
            raise NotAPost(Reason.MISSING_FIELD, f"no id at {self._id_name}")
        text = read_text(found)
        if text is None:
            raise NotAPost(Reason.WRONG_TYPE, f"the id at {self._id_name} is no text or number")
        return text


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list):
        return tuple(part for part in map(read_text, value) if part is not None)
    return ()


def _time(value: Any) -> datetime | None:
    try:
        return read_time(value)
    except ValueError:
        return None
