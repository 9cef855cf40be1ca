"""What is remembered for some minutes, a bounded number of it."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The last `size` values that were put in, each for `seconds`."""

    def __init__(self, size: int, seconds: float, now: Callable[[], float]) -> None:
        self._size = size
        self._seconds = seconds
        self._now = now
        self._values: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        """Values that are held, those whose time is over among them."""
        return len(self._values)

    def put(self, key: Key, value: Value) -> None:
        """Remember a value from now on, in place of the key's former one."""
        self._values[key] = (self._now() + self._seconds, value)
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def get(self, key: Key) -> Value | None:
        """Give a key's value; None once its time is over."""
        if key not in self._values:
            return None
        until, value = self._values[key]
        if self._now() >= until:
            del self._values[key]
            return None
        return value

    def pop(self, key: Key) -> Value | None:
        """Give a key's value and forget it; None once its time is over."""
        value = self.get(key)
        self._values.pop(key, None)
        return value
