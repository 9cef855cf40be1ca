"""Which partition a key goes to: as Kafka's own clients have it, at a third of aiokafka's cost."""

import random
from collections.abc import Sequence
from struct import Struct, unpack_from

_MASK, _M, _SEED = 0xFFFFFFFF, 0x5BD1E995, 0x9747B28C
_KEPT = 65
_UNPACK = [Struct(f"<{count}I").unpack_from for count in range(_KEPT)]
"""By a key's number of words; longer keys are rare."""


def partition_of(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """Choose among a topic's partitions, in their order: aiokafka's `partitioner`.

    The same key always goes to the same one, the one that Java's client takes. Without a key it is
    any that has a leader, or any at all where none has.
    """
    if key is None:
        return random.choice(available or partitions)  # noqa: S311 - spreads, hides nothing
    return partitions[(murmur2(key) & 0x7FFFFFFF) % len(partitions)]


def murmur2(data: bytes) -> int:
    """Hash bytes as `org.apache.kafka.common.utils.Utils.murmur2` does; unsigned, 32 bits.

    MurmurHash2 by Austin Appleby: https://github.com/aappleby/smhasher/wiki/MurmurHash2
    """
    words, rest = len(data) >> 2, len(data) & 3
    hashed = _SEED ^ len(data)
    for word in _UNPACK[words](data) if words < _KEPT else unpack_from(f"<{words}I", data):
        word = word * _M & _MASK  # noqa: PLW2901 - as in the algorithm
        hashed = (hashed * _M ^ (word ^ word >> 24) * _M) & _MASK
    if rest:
        hashed = (hashed ^ int.from_bytes(data[-rest:], "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    return hashed ^ hashed >> 15
