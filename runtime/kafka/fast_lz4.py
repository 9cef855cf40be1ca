"""lz4 as Java's producer has it by default: the fast compressor.

aiokafka 0.14 always uses lz4's high-compression mode, level 9, which holds the event loop for some
0.4 ms for a batch of 64 KB. Java calls its default "level 9", too, and takes the fast one for it:
a tenth of the time, batches 10 to 15 % larger (bench/README.md).
"""

from aiokafka import codec

_FAST = 1
"""lz4's fast mode: 2 is its middle one already, and from 3 on it is high compression."""


def install() -> None:
    """Have every lz4 batch of this process compressed so; once is enough, more does nothing."""
    codec.lz4_encode.__defaults__ = (_FAST,)  # the builder of batches gives no level
