"""How many posts a tag has had that is no track yet, whatever flood of other tags comes with it."""

from hashlib import blake2b

_WIDTH = 1 << 21
"""Counters of one row, and posts after which all are halved: a tag with six posts among so many of
other new tags is found. Three rows take 6 MB, of which the system gives what is used."""
_HALF = bytes(count // 2 for count in range(256))


class Candidates:
    """Counts posts by tag in a fixed amount of memory: a count-min sketch that ages by halves.

    Cormode and Muthukrishnan 2005, with conservative update (Estan and Varghese 2002) and the aging
    of TinyLFU (Einziger et al. 2017). A table of tags has to drop some when it is full, so tags
    with one post each push out the tags of others; here they only raise counters. A tag's count is
    the least of three, and there are as many counters as posts between two halvings: of a flood of
    tags with one post each, one is taken for a tag with ten about once in 10^16.
    """

    def __init__(self) -> None:
        self._rows = bytearray(_WIDTH), bytearray(_WIDTH), bytearray(_WIDTH)
        self._until_halved = _WIDTH

    def count(self, tag: str) -> int:
        """Count a post of this tag; return how many there were, this one too: 255 at most."""
        first, second, third = self._rows
        i, j, k = _places(tag)
        a, b, c = first[i], second[j], third[k]
        posts = min(a, b, c, 254) + 1
        if a < posts:
            first[i] = posts
        if b < posts:
            second[j] = posts
        if c < posts:
            third[k] = posts
        self._until_halved -= 1
        if not self._until_halved:
            self._until_halved = _WIDTH
            for row in self._rows:
                row[:] = row.translate(_HALF)
        return posts

    def forget(self, tag: str) -> None:
        """Begin a tag again at nothing: it has become a track."""
        for row, place in zip(self._rows, _places(tag), strict=True):
            row[place] = 0


def _places(tag: str) -> tuple[int, int, int]:
    hashed = int.from_bytes(blake2b(tag.encode(errors="surrogatepass"), digest_size=8).digest())
    return hashed % _WIDTH, (hashed >> 21) % _WIDTH, (hashed >> 42) % _WIDTH
