"""Where the fuzzers' choices come from: the same inputs are built by four engines.

`random.Random` is fast and repeats by its seed, hypothesis makes small what breaks, atheris lets
the code's coverage lead, and a test can pick by hand.
"""

import random
import string
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

_PLANES = (
    (0x20, 0x7E),
    (0x20, 0x7E),
    (0, 0xFF),
    (0x100, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x10FFFF),
)
"""Ranges of code points, without the surrogates, which no UTF-8 holds."""


class Draws(Protocol):
    """An engine."""

    def number(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""

    def one(self, of: Sequence[T]) -> T:
        """One of them."""

    def chars(self, most: int) -> str:
        """Any text."""

    def blob(self, most: int) -> bytes:
        """Any bytes."""


class RandomDraws:
    """A million by a seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._random = rng.random

    def number(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def one(self, of: Sequence[T]) -> T:
        return of[int(self._random() * len(of))]

    def chars(self, most: int) -> str:
        return "".join(chr(self.number(*self.one(_PLANES))) for _ in range(self.number(0, most)))

    def blob(self, most: int) -> bytes:
        return self._rng.randbytes(self.number(0, most))


class HypothesisDraws:
    """What breaks is made small. Made in a test, from `st.data()`."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def one(self, of: Sequence[T]) -> T:
        return of[self._draw(st.integers(0, len(of) - 1))]

    def chars(self, most: int) -> str:
        return self._draw(st.text(max_size=most))

    def blob(self, most: int) -> bytes:
        return self._draw(st.binary(max_size=most))


class AtherisDraws:
    """Choices out of libFuzzer's bytes, which it changes to reach new code."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def number(self, low: int, high: int) -> int:
        return int(self._provider.ConsumeIntInRange(low, high))

    def one(self, of: Sequence[T]) -> T:
        return of[self.number(0, len(of) - 1)]

    def chars(self, most: int) -> str:
        return str(self._provider.ConsumeUnicodeNoSurrogates(most))

    def blob(self, most: int) -> bytes:
        return bytes(self._provider.ConsumeBytes(self.number(0, most)))


def mark(draws: Draws) -> str:
    """Sixteen letters that no code of ours says: where they turn up, a post's text is quoted."""
    return "qzxj" + "".join(draws.one(string.ascii_lowercase) for _ in range(12))
