"""Which posts have come already, of panes that are closed."""

from collections.abc import Iterable

_LIMIT = 200_000
"""Posts kept per generation; two generations take some 30 MB. What a consumer delivers again after
a restart is what it had in flight, some thousands."""


class KnownPosts:
    """Remembers at least the last 200,000 posts, by source and post id. Bounded memory.

    They are kept as hashes of this process's own (Python's SipHash, 64 bits): they are compared,
    never kept or published.
    """

    def __init__(self) -> None:
        self._new: set[int] = set()
        self._old: set[int] = set()

    def add(self, keys: Iterable[tuple[str | None, str]]) -> None:
        """Remember posts, oldest first."""
        self._new.update(map(hash, keys))
        if len(self._new) >= _LIMIT:
            self._old, self._new = self._new, set()

    def __contains__(self, key: tuple[str | None, str]) -> bool:
        hashed = hash(key)
        return hashed in self._new or hashed in self._old
