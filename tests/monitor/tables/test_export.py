"""An export is whole, goes on where it was, and never writes a record twice."""

import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="of `make test`, not `make unit-light`")

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET

from monitor.tables import folder as folder_module
from monitor.tables import parquet as parquet_module
from monitor.tables.columns import Table
from monitor.tables.errors import FolderBusy, FolderFailed, ValuesFramed, WrongFolder
from monitor.tables.export import FRAMED, HELD_RECORDS, Summary, export
from monitor.tables.folder import open_folder
from monitor.tables.parquet import arrow_schema
from monitor.tables.tables import EVENTS
from tests.monitor.live.made import event
from tests.monitor.tables.log import MARKER, WRITTEN, FakeLog, days, encoded


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """To flush each file takes a tenth of a second on some disks."""
    monkeypatch.setattr(folder_module, "_flush", lambda _path: None)


SMALL: dict[str, Any] = {"stretch_records": 7}
"""Files of seven records."""


TABLE = Table(
    "events",
    [one for one in EVENTS.columns if one.name in {"version", "id", "created_at", "text"}],
    time="created_at",
    marks={},
    meaning="four columns: quickly written",
)


async def run(log: FakeLog, folder: Path, table: Table = TABLE, **options: Any) -> Summary:
    return await export(log, table, "affect.events", folder, **(SMALL | options))


def files(folder: Path) -> dict[str, bytes]:
    """All that a reader sees, by its place."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "_export.lock"
    }


def parts(folder: Path) -> list[Path]:
    return list(folder.glob("day=*/*.parquet"))


def places(folder: Path) -> Counter[tuple[int, int]]:
    """Partition and offset of every row."""
    found: Counter[tuple[int, int]] = Counter()
    for path in parts(folder):
        rows = pq.read_table(path, partitioning=None).to_pylist()
        assert rows
        found.update((row["kafka_partition"], row["kafka_offset"]) for row in rows)
        assert {f"day={row['created_at'].date()}" for row in rows} == {path.parent.name}
    return found


def all_of(log: FakeLog) -> Counter[tuple[int, int]]:
    return Counter(
        (number, offset)
        for number, values in enumerate(log.partitions)
        for offset, value in enumerate(values)
        if value is not MARKER
    )


async def test_each_record_is_one_row_of_the_file_of_its_day(tmp_path: Path) -> None:
    log = FakeLog(days(40), days(9), [])
    done = await run(log, tmp_path)
    assert places(tmp_path) == all_of(log)
    assert (done.rows, done.rows_in_all, done.skipped, done.lost) == (49, 49, {}, 0)
    assert done.files == len(parts(tmp_path))
    assert done.next == {0: 40, 1: 9, 2: 0}
    assert "day=2026-03-02/part-00000-00000000000000000007.parquet" in files(tmp_path)


async def test_a_record_whose_time_is_no_date_is_exported_without_it(tmp_path: Path) -> None:
    log = FakeLog(days(3, of=1))
    log.timestamps[1] = 1_772_668_800_000_000  # microseconds: the year 58,143
    await run(log, tmp_path)
    (path,) = parts(tmp_path)
    times = [row["written_at"] for row in pq.read_table(path, partitioning=None).to_pylist()]
    assert times == [WRITTEN, None, WRITTEN + timedelta(seconds=2)]


async def test_times_years_apart_cost_one_file_more_and_not_thousands(tmp_path: Path) -> None:
    made_up = [event(number, at_s=number * 40 * 86_400) for number in range(20)]
    today = [event(100 + number, at_s=number) for number in range(30)]
    values = encoded(*made_up, *today)
    log = FakeLog(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_module, "MOST_DAYS", 3)
        done = await run(log, tmp_path, stretch_records=1_000)
    assert (done.rows, done.files) == (50, 4)
    rest = tmp_path / "day=__HIVE_DEFAULT_PARTITION__"
    found = [row for path in rest.iterdir() for row in pq.read_table(path).to_pylist()]
    assert len({row["created_at"].date() for row in found}) == len(found) == 17
    query = f"SELECT count(*), count(day), min(created_at) FROM '{tmp_path}/day=*/*.parquet'"
    duckdb = pytest.importorskip("duckdb", reason="of `make test`, not `make unit-light`")
    everything = duckdb.connect().execute(query).fetchone()
    assert everything is not None
    assert everything[:2] == (50, 33)


async def test_twice_gives_the_same_files_and_reads_nothing_again(tmp_path: Path) -> None:
    log = FakeLog(days(40), days(9))
    await run(log, tmp_path / "a")
    before, read = files(tmp_path / "a"), log.read_offsets
    again = await run(log, tmp_path / "a")
    assert (again.rows, again.files, again.rows_in_all) == (0, 0, 49)
    assert files(tmp_path / "a") == before
    assert log.read_offsets == read
    await run(log, tmp_path / "b")
    assert files(tmp_path / "b") == before


async def test_what_is_new_is_added_and_what_is_there_stays(tmp_path: Path) -> None:
    log = FakeLog(days(10))
    await run(log, tmp_path)
    before = files(tmp_path)
    log.partitions[0] += days(30)[10:]
    log.partitions.append(days(5))  # the topic has a partition more
    log.starts.append(0)
    await run(log, tmp_path)
    assert places(tmp_path) == all_of(log)
    after = files(tmp_path)
    assert all(after[name] == value for name, value in before.items() if "parquet" in name)


async def test_wherever_the_machine_stops_the_next_run_makes_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step at which something reaches the disk; also where the topic has grown since."""
    log = FakeLog([*days(10), MARKER], days(5))
    flush = folder_module._flush
    moments: list[Path] = []

    def snapshot(path: Path) -> None:
        moments.append(tmp_path / f"moment-{len(moments)}")
        shutil.copytree(tmp_path / "whole", moments[-1])
        flush(path)

    monkeypatch.setattr(folder_module, "_flush", snapshot)
    await run(log, tmp_path / "whole")
    monkeypatch.setattr(folder_module, "_flush", flush)
    assert len(moments) > 12
    whole = files(tmp_path / "whole")
    longer = FakeLog([*log.partitions[0], *days(21)[11:]], [*log.partitions[1], *days(20)[5:]])
    unfinished = 0
    for moment in moments:
        unfinished += any(name.endswith(".new") for name in files(moment))
        grown = moment.with_name(f"{moment.name}-grown")
        shutil.copytree(moment, grown)
        await run(log, moment)
        assert files(moment) == whole
        await run(longer, grown)
        assert places(grown) == all_of(longer)
    assert unfinished > 5


async def test_a_full_disk_is_a_sentence_and_leaves_whole_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FakeLog(days(40))
    flushed: list[Path] = []
    flush = folder_module._flush

    def full(path: Path) -> None:
        flushed.append(path)
        if len(flushed) == 12:
            raise OSError(28, "No space left on device")
        flush(path)

    monkeypatch.setattr(folder_module, "_flush", full)
    with pytest.raises(FolderFailed, match=r"No space left on device\. What is there is whole"):
        await run(log, tmp_path)
    assert not any(".new" in name for name in files(tmp_path))
    places(tmp_path)
    monkeypatch.setattr(folder_module, "_flush", flush)
    await run(log, tmp_path)
    assert places(tmp_path) == all_of(log)


async def test_since_and_until_go_by_when_a_record_was_written(tmp_path: Path) -> None:
    log = FakeLog(days(40), days(9))
    since, until = WRITTEN + timedelta(seconds=5), WRITTEN + timedelta(seconds=20)
    await run(log, tmp_path, since=since, until=until)
    assert {offset for _, offset in places(tmp_path)} == set(range(5, 20))
    await run(log, tmp_path, since=since, until=until)
    await run(log, tmp_path, until=until + timedelta(seconds=3))
    assert {offset for _, offset in places(tmp_path)} == set(range(5, 23))
    with pytest.raises(WrongFolder, match="begun with since"):
        await run(log, tmp_path, since=WRITTEN)
    await run(log, tmp_path / "all")
    with pytest.raises(WrongFolder, match="begun without --since"):
        await run(log, tmp_path / "all", since=WRITTEN)


async def test_a_since_that_has_not_come_yet_holds_when_it_has(tmp_path: Path) -> None:
    log = FakeLog(days(5))
    await run(log, tmp_path, since=WRITTEN + timedelta(seconds=10))
    assert not parts(tmp_path)
    log.partitions[0] = days(20)
    await run(log, tmp_path)
    assert {offset for _, offset in places(tmp_path)} == set(range(10, 20))


async def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    log = FakeLog(days(10))
    await run(log, tmp_path)
    before = files(tmp_path)
    with pytest.raises(WrongFolder, match=r"topic affect\.events, not with topic another"):
        await export(log, EVENTS, "another", tmp_path)
    with pytest.raises(WrongFolder, match="created again"):
        await run(FakeLog(days(10), identity="id-2"), tmp_path)
    with pytest.raises(WrongFolder, match="created again"):
        await run(FakeLog(days(3), identity=""), tmp_path)
    assert files(tmp_path) == before
    (tmp_path / "_export.json").unlink()
    with pytest.raises(WrongFolder, match=r"no _export\.json"):
        await run(log, tmp_path)
    (tmp_path / "_export.json").write_text("{")
    with pytest.raises(WrongFolder, match="can't be read"):
        await run(log, tmp_path)
    (tmp_path / "_export.json").unlink()
    (tmp_path / "_export.json").mkdir()
    with pytest.raises(WrongFolder, match=r"can't be read \(Is a directory\)"):
        await run(log, tmp_path)


@pytest.mark.parametrize("name", ["day=2026-01-01/somebody.parquet", "other.parquet"])
async def test_a_folder_with_anothers_parquet_files_is_refused(tmp_path: Path, name: str) -> None:
    """Readers would take them for rows of ours."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(WrongFolder, match="has Parquet files"):
        await run(FakeLog(days(3)), tmp_path)
    (tmp_path / name).unlink()
    assert (await run(FakeLog(days(3)), tmp_path)).rows == 3


async def test_two_exports_never_write_to_one_folder(tmp_path: Path) -> None:
    with open_folder(tmp_path), pytest.raises(FolderBusy, match="wait for its end"):
        await run(FakeLog(days(1)), tmp_path)


async def test_what_gives_no_row_is_counted_and_what_retention_took_too(tmp_path: Path) -> None:
    log = FakeLog([*days(3), None, b"{", b"{}", None])
    done = await run(log, tmp_path)
    assert done.skipped == {"no version": 1, "not JSON": 1, "tombstone": 2}
    log.partitions[0] += days(30)[7:]
    log.starts[0] = 20
    done = await run(log, tmp_path)
    assert (done.rows, done.lost) == (10, 13)


async def test_large_records_end_a_file_early(tmp_path: Path) -> None:
    large = encoded(*(event(n, text="x" * 1_000) for n in range(30)))
    await run(FakeLog(large), tmp_path, stretch_records=1_000, stretch_bytes=10_000)
    sizes = [pq.read_metadata(path).num_rows for path in parts(tmp_path)]
    assert sum(sizes) == 30
    assert max(sizes) <= 10


async def test_every_file_has_the_same_typed_columns(tmp_path: Path) -> None:
    """A file of events without any value, too: what is read together has one schema."""
    log = FakeLog(days(8), encoded(event(0, sentiment=UNSET, emotions=UNSET)))
    await run(log, tmp_path, EVENTS)
    schemas = {str(pq.read_schema(path)) for path in parts(tmp_path)}
    assert schemas == {str(arrow_schema(EVENTS))}
    schema = arrow_schema(EVENTS)
    assert schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("valence").type == pa.float64()
    assert not schema.field("id").nullable


async def test_progress_counts_offsets_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    await run(FakeLog(days(40), days(9)), tmp_path, progress=lambda *at: told.append(at))
    assert told[-1] == (49, 49)
    assert told == sorted(told)


_FRAMED = b"\0\0\0\0\7\2\4"
"""As a schema registry's clients begin a value; or a broken one."""


@pytest.mark.parametrize("stretch_records", [1, 2, 100])
async def test_a_value_that_looks_framed_is_counted_and_hides_no_other(
    tmp_path: Path, stretch_records: int
) -> None:
    """It ended each run before it, for good, where nobody has a registry."""
    good = days(6)
    log = FakeLog([*good[:2], _FRAMED, _FRAMED, *good[2:4]], good[4:])
    done = await run(log, tmp_path, stretch_records=stretch_records)
    assert (done.rows, done.skipped, done.held) == (6, {FRAMED: 2}, [])
    assert "partition 0, offset 2" in done.framed
    assert "registry.urls" in done.framed
    assert done.next == {0: 6, 1: 2}


@pytest.mark.parametrize("stretch_records", [1, 2, 100])
async def test_framed_values_that_no_other_follows_are_left_for_the_next_run(
    tmp_path: Path, stretch_records: int
) -> None:
    """A registry was introduced there: nothing of it is passed over."""
    good = days(6)
    log = FakeLog([*good[:2], _FRAMED, None, _FRAMED], good[2:4])
    done = await run(log, tmp_path, stretch_records=stretch_records)
    assert (done.rows, done.held, done.next) == (4, [0], {0: 2, 1: 2})
    assert FRAMED not in done.skipped
    with pytest.raises(ValuesFramed, match="partition 0, offset 2"):
        await run(log, tmp_path, stretch_records=stretch_records)
    log.partitions[0] += good[4:]
    done = await run(log, tmp_path, stretch_records=stretch_records)
    assert (done.rows, done.rows_in_all, done.skipped[FRAMED]) == (2, 6, 2)
    assert (done.held, done.next) == ([], {0: 7, 1: 2})


async def test_nothing_is_looked_for_behind_thousands_of_framed_values(tmp_path: Path) -> None:
    log = FakeLog([_FRAMED] * (HELD_RECORDS + 500))
    with pytest.raises(ValuesFramed):
        await run(log, tmp_path, stretch_records=100_000)
    assert log.read_offsets == HELD_RECORDS
    assert files(tmp_path).keys() <= {"_export.json"}
