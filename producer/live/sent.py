"""What was sent, within bounds: so that replays are known, and deletions find their posts."""

from collections import OrderedDict, defaultdict
from hashlib import blake2b

import msgspec


class _Entry(msgspec.Struct):
    version: str
    digest: bytes
    author: str
    alias: str
    source: str
    deleted: bool = False


def digest_of(value: bytes | None) -> bytes:
    """Tell a record's content from another's."""
    return blake2b(value or b"", digest_size=8).digest()


class Sent:
    """The newest version of each of the last `most` posts; the least recently seen is forgotten.

    About 500 bytes a post.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._posts: OrderedDict[str, _Entry] = OrderedDict()
        self._aliases: dict[str, str] = {}
        self._authors: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._posts)

    def is_news(self, key: str, version: str, digest: bytes) -> bool:
        """Whether this version of the post wasn't sent yet, nor a newer one."""
        entry = self._posts.get(key)
        if entry is None:
            return True
        self._posts.move_to_end(key)
        if version and entry.version:
            return version > entry.version
        return digest != entry.digest

    def is_anothers(self, key: str, source: str) -> bool:
        """Whether the post was sent, and by another source. It stays known."""
        entry = self._posts.get(key)
        if entry is None or entry.source == source:
            return False
        self._posts.move_to_end(key)
        return True

    def remember(
        self,
        key: str,
        *,
        source: str,
        version: str,
        digest: bytes,
        author: str = "",
        alias: str = "",
    ) -> None:
        """This version was sent, by this source."""
        known = self._posts.get(key)
        if known is not None:
            alias = alias or known.alias
            self._forget(key, known)
        self._posts[key] = _Entry(version, digest, author, alias, source)
        if author:
            self._authors[author].add(key)
        if alias:
            self._aliases[alias] = key
        while len(self._posts) > self._most:
            oldest = next(iter(self._posts))
            self._forget(oldest, self._posts[oldest])

    def delete(self, key: str, version: str = "") -> bool:
        """It is deleted: whether that is news of a post that was sent.

        It stays known, so that a replay of the post, which comes before its deletion once more,
        doesn't bring it back. Without versions nothing is replayed: an entry that was blank for a
        while and has its text again is back.
        """
        entry = self._posts.get(key)
        if entry is None or entry.deleted or (version and version < entry.version):
            return False
        entry.deleted = True
        if not entry.version:
            entry.digest = b""
        entry.version = max(version, entry.version)
        self._posts.move_to_end(key)
        return True

    def remember_deleted(self, key: str, version: str, *, source: str) -> None:
        """Know a deleted post, whatever was known of it: from a tombstone that was read back."""
        if key not in self._posts:
            self.remember(key, source=source, version=version, digest=b"")
        self.delete(key, version)

    def named(self, alias: str) -> str:
        """Give the id of the post with this other name; empty where none is known."""
        return self._aliases.get(alias, "")

    def by_author(self, author: str) -> list[str]:
        """Give the ids of an author's posts that are known and not deleted."""
        return sorted(k for k in self._authors.get(author, ()) if not self._posts[k].deleted)

    def __contains__(self, key: str) -> bool:
        """Whether a version of it was sent."""
        return key in self._posts

    def _forget(self, key: str, entry: _Entry) -> None:
        del self._posts[key]
        if entry.alias and self._aliases.get(entry.alias) == key:
            del self._aliases[entry.alias]
        if entry.author:
            keys = self._authors[entry.author]
            keys.discard(key)
            if not keys:
                del self._authors[entry.author]
