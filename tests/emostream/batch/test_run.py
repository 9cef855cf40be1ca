"""Many rows at a time, their lines in order, memory bounded."""

import asyncio
from collections.abc import Iterator

import pytest

from emollm.errors import Unauthorized
from emostream.batch.asking import Asker, Counts
from emostream.batch.rows import Row
from emostream.batch.run import run


class Scripted(Asker):
    """Writes a row's number; the first row when it may."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.first_may = asyncio.Event()
        self.others_begun = 0
        self.window_full = asyncio.Event()

    async def line(self, row: Row) -> bytes:
        if row.number == 0:
            await self.first_may.wait()
        else:
            self.others_begun += 1
            if self.others_begun == 15:
                self.window_full.set()
        return str(row.number).encode()


async def test_a_slow_first_row_keeps_the_order_and_bounds_what_is_in_memory() -> None:
    taken: list[int] = []

    def rows() -> Iterator[Row]:
        for number in range(1_000):
            taken.append(number)
            yield Row(number)

    asker, written = Scripted(), list[bytes]()
    task = asyncio.create_task(run(rows(), asker, concurrency=4, skip=0, write=written.append))
    await asker.window_full.wait()
    assert len(taken) == 16
    assert written == []
    asker.first_may.set()
    await task
    assert written == [str(number).encode() for number in range(1_000)]
    assert asker.counts.rows == 1_000


async def test_rows_of_a_run_before_are_passed_over() -> None:
    written: list[bytes] = []
    rows = map(Row, range(5))
    await run(rows, Scripted(), concurrency=4, skip=3, write=written.append)
    assert written == [b"3", b"4"]


async def test_a_stop_ends_the_run_and_leaves_no_row_behind() -> None:
    class Stopping(Scripted):
        async def line(self, row: Row) -> bytes:
            if row.number == 2:
                raise Unauthorized("no")
            return await super().line(row)

    asker, written = Stopping(), list[bytes]()
    asker.first_may.set()
    before = asyncio.all_tasks()
    with pytest.raises(Unauthorized):
        await run(map(Row, range(10)), asker, concurrency=4, skip=0, write=written.append)
    assert written == [b"0", b"1"]
    assert asyncio.all_tasks() <= before
