"""One lenient reader for posts of any JSON shape: a topic's records and a file's alike."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from schemas.foreign.html import html_to_text, looks_like_html
from schemas.foreign.paths import DottedPath
from schemas.foreign.presets import Preset
from schemas.foreign.values import read_text, read_time, read_topics
from schemas.post import Post

KEY = "@key"
POSITION = "@position"

Html: TypeAlias = Literal["auto", "always", "never"]
"""Which texts are read as HTML; auto: those that begin and end with a tag."""

_Find: TypeAlias = Callable[[Any], Any]


class FieldPaths(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a record's JSON each part of a post is found: dotted paths."""

    id: str = "id"
    """`@key`: the record's key; `@position`: its place (topic/partition/offset, or file:line)."""
    text: str = "text"
    source: str | None = "source"
    author: str | None = "author"
    created_at: str | None = "created_at"
    lang: str | None = "lang"
    url: str | None = "url"
    topics: str | None = "topics"
    meta: str | None = "meta"
    """An object, carried as it is."""
    meta_values: Mapping[str, str] = {}
    """Name in the post's `meta` to the path of its value; in place of `meta` where not empty."""


class NotAPost(Exception):  # noqa: N818 - what it is, not that it is an error
    """A record that can't be read as a post. The message names the field, never its content."""

    def __init__(self, problem: Literal["missing", "wrong_type", "not_utf8"], message: str) -> None:
        super().__init__(message)
        self.problem = problem


class ReadPost(msgspec.Struct, frozen=True):
    """A post, and what its reading had to leave out."""

    post: Post
    unreadable_time: bool = False
    """It names a time in a form that nobody knows; `post.created_at` is None then."""


class PostReader:
    """Reads decoded JSON as posts, by paths or by a preset; compiled once."""

    def __init__(
        self,
        paths: FieldPaths | None = None,
        *,
        preset: Preset | None = None,
        overridden: frozenset[str] = frozenset(),
        html: Html = "auto",
        default_source: str | None = None,
        default_lang: str | None = None,
    ) -> None:
        """With a preset, `paths` count for the fields that are `overridden` only."""
        self._paths = paths = paths or FieldPaths()
        self._html = html

        def find(name: str) -> _Find:
            if preset is not None and name not in overridden:
                return preset.find.get(name, _nothing)
            return DottedPath(getattr(paths, name)).find

        self._id, self._text = find("id"), find("text")
        self._where_id = preset.name if preset and "id" not in overridden else paths.id
        self._where_text = preset.name if preset and "text" not in overridden else paths.text
        self._source, self._author = find("source"), find("author")
        self._created_at, self._lang, self._url = find("created_at"), find("lang"), find("url")
        self._topics, self._meta = find("topics"), find("meta")
        self._meta_values = {
            name: DottedPath(path).find for name, path in paths.meta_values.items()
        }
        self._default_source = default_source or (preset.name if preset else None)
        self._default_lang = default_lang

    def read(self, tree: Any, *, position: str, key: bytes | None = None) -> ReadPost:
        """Read one record. `position` and `key` are what `@position` and `@key` stand for.

        Text and id are required. What is optional and can't be read is left out.

        Raises:
            NotAPost: it is no object, or has no id or text where they are looked for.
        """
        if not isinstance(tree, dict):
            raise NotAPost("wrong_type", "expected an object")
        text = self._text(tree)
        if text is None:
            raise NotAPost("missing", f"no text at {self._where_text}")
        if not isinstance(text, str):
            raise NotAPost("wrong_type", f"no text at {self._where_text}, but another type")
        created_at, unreadable = _time(self._created_at(tree))
        post = Post(
            id=self._identify(tree, position, key),
            text=self.plain(text),
            source=read_text(self._source(tree)) or self._default_source,
            author=read_text(self._author(tree)),
            created_at=created_at,
            lang=read_text(self._lang(tree)) or self._default_lang,
            url=read_text(self._url(tree)),
            topics=read_topics(self._topics(tree)),
            meta=self._read_meta(tree),
        )
        return ReadPost(post, unreadable)

    def plain(self, text: str) -> str:
        """Give the text without markup, where it has any."""
        if self._html == "always" or (self._html == "auto" and looks_like_html(text)):
            return html_to_text(text)
        return text

    def _identify(self, tree: dict[str, Any], position: str, key: bytes | None) -> str:
        if self._paths.id == POSITION:
            return position
        if self._paths.id == KEY:
            return _from_key(key)
        found = self._id(tree)
        if found is None or found == "":
            raise NotAPost("missing", f"no id at {self._where_id}")
        text = read_text(found)
        if text is None:
            raise NotAPost("wrong_type", f"the id at {self._where_id} is no text or number")
        return text

    def _read_meta(self, tree: dict[str, Any]) -> dict[str, Any]:
        if not self._meta_values:
            found = self._meta(tree)
            return found if isinstance(found, dict) else {}
        values = {name: find(tree) for name, find in self._meta_values.items()}
        return {name: value for name, value in values.items() if value is not None}


def _nothing(_tree: Any) -> None:
    return None


def _from_key(key: bytes | None) -> str:
    if not key:
        raise NotAPost("missing", "the record has no key to take the id from")
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        message = f"the key, to take the id from: invalid UTF-8 at byte {error.start}"
        raise NotAPost("not_utf8", message) from None


def _time(value: Any) -> tuple[datetime | None, bool]:
    """Give the time, and whether there is something that can't be read as one."""
    if value is None or value == "":
        return None, False
    try:
        return read_time(value), False
    except ValueError:
        return None, True
