"""RSS and Atom as posts: read by feedparser, which knows all their dialects and faults."""

import calendar
import codecs
import io
import re
import sys
import time
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import urljoin

from producer.live.feed.fetcher import Fetched, within_bounds
from producer.live.items import UNREADABLE, Found, Item, Passed
from schemas import Post
from schemas.foreign import html_to_text

_MOST_TEXT = 20_000
"""Characters of an article; the model reads the first hundreds."""
_ENTITY = b"<!ENTITY"
_ENCODING = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?([^\"';>\n]+)", re.IGNORECASE)
_SLOW = frozenset({"punycode", "idna"})
"""Python's encodings for names of hosts: four megabytes of them take hours."""
_REFERENCES = re.compile(rb"(?:&#(?:[0-9]{1,9}|[xX][0-9a-fA-F]{1,8});)+")
_REFERENCE = re.compile(rb"&#(?:([0-9]+)|[xX]([0-9a-fA-F]+));")
_SURROGATES = range(0xD800, 0xE000)
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+")
"""With a scheme (RFC 3986, 3.1): unlike a time or a title, it is one in the world."""
_HTML = ("text/html", "application/xhtml+xml")


class NotAFeed(Exception):  # noqa: N818 - what it is, not that it is an error
    """Neither RSS nor Atom."""


def read_entries(fetched: Fetched, *, feed: str, source: str) -> list[Item]:
    """Read a feed's entries, oldest first as far as they say. Takes CPU: to be run in a thread.

    `feed` is the address that tells ids apart which aren't unique in the world.

    Raises:
        NotAFeed: it is none, or broken beyond reading.
        Broken: it has too many.
    """
    import feedparser  # noqa: PLC0415 - an extra, which JSON listings don't need

    try:
        body = _REFERENCES.sub(_fixed, _decoded(fetched))
        # A file, for feedparser takes a text for an address or a path and opens it.
        parsed = feedparser.parse(
            io.BytesIO(body),
            # Not where it is from: each id would be made an address, numbers too, and the entries
            # of two feeds of one host would share them.
            response_headers={"content-type": "application/xml; charset=utf-8"},
        )
    except NotAFeed:
        raise
    except Exception as error:  # whatever a stranger's bytes find in it
        raise NotAFeed from error
    entries = parsed.get("entries", [])
    if not entries and not parsed.get("version"):
        raise NotAFeed
    within_bounds(len(entries))
    lang = _text(parsed.get("feed", {}).get("language"))[:35] or None
    items = [
        _item(entry, base=fetched.url, feed=feed, source=source, lang=lang) for entry in entries
    ]
    return sorted(items, key=lambda item: item.at or 0.0)


def _decoded(fetched: Fetched) -> bytes:
    """Decode it as feedparser does, into UTF-8.

    Raises:
        NotAFeed: it declares entities of its own, some bytes of which become megabytes of text; no
            feed needs any. Looked for in what is parsed: encodings hide a declaration in many ways.
    """
    from feedparser.encodings import convert_to_utf8  # noqa: PLC0415 - as above

    first_line = fetched.body.replace(b"\0", b"").partition(b"\n")[0]  # of UTF-16, too
    named = _ENCODING.findall(fetched.content_type.encode() + b"\n" + first_line)
    if any(_codec(one.decode(errors="replace").strip()) in _SLOW for one in named):
        raise NotAFeed
    body: bytes = convert_to_utf8({"content-type": fetched.content_type}, fetched.body, {})
    if _ENTITY in body:
        raise NotAFeed
    return body


def _fixed(references: re.Match[bytes]) -> bytes:
    """Give characters that XML forbids another form: one of them makes all of a feed unreadable.

    An emoji in two halves, as programs write it that think in UTF-16, is joined.
    """
    found = _REFERENCE.findall(references[0])
    numbers = [int(ten) if ten else int(sixteen, 16) for ten, sixteen in found]
    if not any(number in _SURROGATES or number > sys.maxunicode for number in numbers):
        return references[0]
    text = "".join(chr(n) if n <= sys.maxunicode else "\ufffd" for n in numbers)
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return "".join(f"&#{ord(char)};" for char in text).encode()


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except (LookupError, ValueError):  # the latter: a zero in it
        return ""


def _item(entry: Any, *, base: str, feed: str, source: str, lang: str | None) -> Item:
    title = _plain(entry.get("title_detail"))
    body = _plain(entry.get("summary_detail")) or _plain(next(iter(entry.get("content", [])), None))
    text = body if not title or body.startswith(title) else f"{title}\n\n{body}".strip()
    text = text[:_MOST_TEXT]
    link = _absolute(base, _text(entry.get("link")))
    key = _key(_text(entry.get("id")) or link, text, feed)
    if not key:
        return Passed(reason=UNREADABLE)
    at = _at(entry)
    post = Post(
        id=key,
        text=text,
        source=source,
        author=_text(entry.get("author"))[:200] or None,
        created_at=None if at is None else datetime.fromtimestamp(at, UTC),
        lang=lang,
        url=link if link.startswith(("https://", "http://")) else None,
        topics=tuple(filter(None, (_text(tag.get("term")) for tag in entry.get("tags", []))))[:20],
    )
    return Found(post=post, at=at)


def _key(given: str, text: str, feed: str) -> str:
    """Give an id that no other feed has: ids are often numbers, whatever the standards say."""
    if _URI.fullmatch(given):
        return given[:1_000]
    if given:
        return f"{feed}#{given[:500]}"
    return f"{feed}#{blake2b(text.encode(), digest_size=16).hexdigest()}" if text.strip() else ""


def _absolute(base: str, link: str) -> str:
    try:
        return urljoin(base, link) if link else ""
    except ValueError:
        return ""


def _plain(detail: Any) -> str:
    if not isinstance(detail, dict):
        return ""
    value = _text(detail.get("value"))
    return html_to_text(value) if detail.get("type") in _HTML else value.strip()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _at(entry: Any) -> float | None:
    """Give when it was written, Unix seconds; of an edit, when it was changed."""
    for name in ("updated_parsed", "published_parsed"):
        parsed = dict.get(entry, name)  # its own `get` warns, and takes one for the other
        if isinstance(parsed, time.struct_time):
            try:
                moment = float(calendar.timegm(parsed))
                datetime.fromtimestamp(moment, UTC)
            except (ValueError, OverflowError, OSError):
                continue
            return moment
    return None
