"""Who and which post: what events and dead letters say of it, kept, hashed or dropped."""

import hashlib
import re
from typing import Literal, TypeAlias

import msgspec

from schemas import DeadLetter, Post
from schemas.headers import REPLAYS, TRACE_CONTEXT

Mode: TypeAlias = Literal["keep", "hash", "drop"]

_MENTION = re.compile(r"(?<![\w@/.])@[\w-]+(?:\.[\w-]+)*(?:@[\w-]+(?:\.[\w-]+)*)?")
_MENTION_DIGITS = 8
"""Of a handle's hash: enough to tell the people of one conversation apart."""


class Identifiers:
    """Applies `output.identifiers` with the key `output.author_key`.

    Hashes are BLAKE2b, keyed, 128 bits: the same person or post gets the same one, and nobody
    gets the original back without trying every possible one with the key.
    """

    def __init__(self, key: str = "", mode: Mode = "keep") -> None:
        """`key` is the configured secret; without one authors are dropped."""
        # BLAKE2b takes at most 64 bytes of key.
        self._key = hashlib.blake2b(key.encode(), digest_size=32).digest() if key else None
        self._mode = mode

    def __repr__(self) -> str:
        return f"Identifiers(mode={self._mode!r})"

    def author(self, source: str | None, author: str | None) -> str | None:
        """Pseudonym of an author: 32 hexadecimal digits; None without a key or an author.

        Over source and author: a handle on two networks may be two persons.
        """
        if self._key is None or author is None or self._mode == "drop":
            return None
        return self._hash(f"{source or ''}\0{author}".encode())

    def post(self, post: Post, event_id: str) -> Post:
        """Give the post as its event may show it; the author is `author`'s affair."""
        if self._mode == "keep":
            return post
        return msgspec.structs.replace(
            post,
            id=self._hash(post.id.encode(), b"post") if self._mode == "hash" else event_id,
            url=None,
            meta={},
            text=_MENTION.sub(lambda found: self._mention(post.source, found[0]), post.text),
        )

    def key(self, key: bytes | None, post_id: str) -> bytes:
        """Give the event's key: the record's own, or the post's id as `post` gave it.

        Hashed, equal keys stay equal, so that a person's or a thread's events stay in order.
        """
        if key is None or self._mode == "drop":
            return post_id.encode()
        return key if self._mode == "keep" else self._hash(key, b"key").encode()

    def dead_letter(self, dead_letter: DeadLetter) -> DeadLetter:
        """Give the dead letter as its topic may hold it.

        Unless identifiers are kept, neither the value nor the record's own headers: what they
        hold can't be told apart. Its topic, partition and offset say where the record is.
        """
        if self._mode == "keep":
            return dead_letter
        kept = tuple(header for header in dead_letter.headers if header[0] in _HEADERS)
        key = dead_letter.key
        if key is not None:
            key = None if self._mode == "drop" else self._hash(key, b"key").encode()
        return msgspec.structs.replace(
            dead_letter, key=key, value=None, headers=kept, withheld=True
        )

    def _mention(self, source: str | None, mention: str) -> str:
        if self._mode == "drop":
            return "@…"
        name = f"{source or ''}\0{mention[1:]}".encode()
        return f"@{self._hash(name)[:_MENTION_DIGITS]}"

    def _hash(self, value: bytes, kind: bytes = b"") -> str:
        assert self._key is not None  # the settings want one for "hash"
        return hashlib.blake2b(value, digest_size=16, key=self._key, person=kind).hexdigest()


_HEADERS = TRACE_CONTEXT | {REPLAYS}
