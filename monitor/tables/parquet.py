"""Rows of one stretch of a topic, held as Arrow, written as one Parquet file for each day."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.tables.columns import Row, Table
from monitor.tables.tables import PLACE

_TYPES: Final = {
    "text": pa.string(),
    "texts": pa.list_(pa.field("element", pa.string())),  # Parquet's own name
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
MOST_DAYS: Final = 366
"""Files of one stretch, and one more: a year of posts that are replayed has each day's own."""
_BATCH: Final = 4_096
"""Rows that are Python objects at a time: some 10 MB; as Arrow they take a tenth."""


def arrow_schema(table: Table) -> pa.Schema:
    """A table's columns; the same for every file of it."""
    fields = [
        pa.field(one.name, _TYPES[one.type], nullable=not one.required) for one in table.columns
    ]
    fields += [pa.field(name, _TYPES[type_]) for name, type_, _ in PLACE]
    return pa.schema(fields, metadata={"emostream.table": table.name})


class Rows:
    """Rows that come one by one and leave as tables, one for each day."""

    def __init__(self, table: Table) -> None:
        self._schema = arrow_schema(table)
        self._waiting: list[list[Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._days: dict[date, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, row: Row, partition: int, offset: int, written_at: Any) -> None:
        """Take a row and where its record is; `written_at` is a datetime with its zone."""
        self._days.setdefault(row.day, []).append(self._count)
        self._waiting.append([*row.values, partition, offset, written_at])
        self._count += 1
        if len(self._waiting) >= _BATCH:
            self._pack()

    def by_day(self) -> Iterator[tuple[date | None, pa.Table]]:
        """Give each day's rows, in the order in which they came; days in order.

        Of more than `MOST_DAYS` days those with the most rows; the other days' rows together, with
        None, at the end. So posts with made-up times, years apart, cost one file and not thousands.
        """
        self._pack()
        whole = pa.Table.from_batches(self._batches, self._schema)
        if len(self._days) == 1:
            yield next(iter(self._days)), whole
            return
        fullest = sorted(self._days, key=lambda day: (-len(self._days[day]), day))
        for day in sorted(fullest[:MOST_DAYS]):
            yield day, whole.take(pa.array(self._days[day], pa.int64()))
        if rest := sorted(row for day in fullest[MOST_DAYS:] for row in self._days[day]):
            yield None, whole.take(pa.array(rest, pa.int64()))

    def _pack(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [
                pa.array(column, field.type)
                for column, field in zip(columns, self._schema, strict=True)
            ]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
            self._waiting.clear()


def write_parquet(rows: pa.Table, path: Path) -> None:
    """Write a file. The same rows give the same bytes, with one version of pyarrow."""
    pq.write_table(rows, path, compression="zstd", row_group_size=max(1, rows.num_rows))
