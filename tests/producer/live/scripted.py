"""A source that gives what a test says, from a position on, as a replayable stream does."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from producer.live.items import Found, Gone, Item, Passed
from producer.live.service import MakeSources
from producer.live.source import SourceWatcher
from schemas import Post


class ScriptedSource:
    """Gives all of its items; later times those from `since` less its rewind. Then waits."""

    def __init__(
        self,
        items: Sequence[Item],
        *,
        name: str = "scripted",
        rewind: int = 0,
        ends: Exception | None = None,
    ) -> None:
        self.name = name
        self.sinces: list[int] = []
        self._items = items
        self._rewind = rewind
        self._ends = ends

    async def items(self, since: int) -> AsyncGenerator[Item, None]:
        self.sinces.append(since)
        start = since - self._rewind if len(self.sinces) > 1 else 0
        for item in self._items:
            if item.position is None or item.position >= start:
                yield item
        if self._ends is not None:
            raise self._ends
        await asyncio.get_running_loop().create_future()


def made(*sources: ScriptedSource) -> MakeSources:
    def make(watcher: SourceWatcher) -> Sequence[ScriptedSource]:
        return sources

    return make


def found(number: int, position: int, *, version: str = "1", text: str = "") -> Found:
    post = Post(id=f"p{number}", text=text or f"text {number}", author=f"a{number % 3}")
    return Found(post=post, version=version, alias=f"alias{number}", position=position)


def gone(number: int, position: int, version: str = "") -> Gone:
    return Gone(key=f"p{number}", version=version, position=position)


def passed(position: int) -> Passed:
    return Passed(reason="lang", position=position)
