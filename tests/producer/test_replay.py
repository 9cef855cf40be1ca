"""A file becomes records, each bad line named, each round's ids its own."""

import asyncio
import errno
import gzip
import io
import os
import re
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.errors import NotEnoughReplicasError

from producer import (
    BadLine,
    Broker,
    Delivery,
    Progress,
    ReplaySettings,
    Report,
    UnreadableFile,
    replay_file,
)
from schemas import Post
from schemas.foreign import FieldPaths
from tests.producer.fakes import FakeClock, FakeProducer

BROKER = Broker()


def line(number: int, **more: Any) -> bytes:
    return msgspec.json.encode({"id": f"p{number}", "text": f"text {number}", **more}) + b"\n"


def posts_of(producer: FakeProducer) -> list[Post]:
    return [msgspec.json.decode(record.value or b"", type=Post) for record in producer.records]


async def run(
    path: Path, producer: FakeProducer, *, clock: FakeClock | None = None, **settings: Any
) -> Report:
    return await replay_file(
        ReplaySettings(path=str(path), **settings), BROKER, producer=producer, clock=clock
    )


async def test_each_post_becomes_a_record_keyed_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1, lang="en", unknown=1) + b"\n" + line(2).rstrip())
    producer = FakeProducer()
    report = await run(path, producer, topic="in")
    assert [(r.topic, r.key) for r in producer.records] == [("in", b"p1"), ("in", b"p2")]
    assert posts_of(producer)[0] == Post(id="p1", text="text 1", lang="en")
    assert report.ok
    assert (report.sent, report.acked, report.failed, report.bad_lines) == (2, 2, 0, 0)


@pytest.mark.parametrize(("stamp_now", "told"), [(False, 2), (True, 0)])
async def test_times_of_no_known_form_are_counted(
    stamp_now: bool, told: int, tmp_path: Path
) -> None:
    path, producer = tmp_path / "posts.jsonl", FakeProducer()
    times = ("2023-11-14T22:13:20Z", "14/11/2023 22:13", "2023-11-14 22:13:20 UTC", "")
    path.write_bytes(b"".join(line(n, created_at=time) for n, time in enumerate(times)))
    report = await run(path, producer, stamp_now=stamp_now, loop=True, limit=8)
    assert report.ok
    assert report.unreadable_times == told
    assert stamp_now or [post.created_at is None for post in posts_of(producer)[:4]] == [
        *(False, True, True, True)
    ]


BAD = [
    (b"not json\n", "not JSON"),
    (b'{"id": "x"}\n', "no text at text"),
    (b'{"id": 1.5, "text": "x"}\n', "the id at id is no text or number"),
    (b'{"id": "x", "text": "\xff"}\n', "invalid UTF-8"),
    (b"[" * 100_000 + b"\n", "not JSON"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
async def test_a_bad_line_is_skipped_and_named(bad: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1) + b"\n" + bad + line(2))
    producer, seen = FakeProducer(), list[BadLine]()
    report = await replay_file(
        ReplaySettings(path=str(path)), BROKER, producer=producer, bad_line_observer=seen.append
    )
    assert [post.id for post in posts_of(producer)] == ["p1", "p2"]
    assert report.ok
    assert report.bad_lines == 1
    assert list(report.bad_samples) == seen
    assert seen[0].line == 3
    assert re.search(reason, seen[0].reason)


async def test_a_bad_line_ends_the_run_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1) + b"oops\n" + line(2))
    producer = FakeProducer()
    report = await run(path, producer, on_bad_line="fail")
    assert not report.ok
    assert report.failure == "line 2: not JSON"
    assert report.acked == 1


async def test_a_file_of_nothing_but_bad_lines_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"a\nb\n")
    assert not (await run(path, FakeProducer())).ok
    path.write_bytes(b"")
    assert (await run(path, FakeProducer())).ok


async def test_each_round_of_a_loop_has_ids_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1) + b"bad\n" + line(2))
    producer = FakeProducer()
    report = await run(path, producer, loop=True, limit=5)
    ids = [post.id for post in posts_of(producer)]
    assert ids == ["p1", "p2", "p1~2", "p2~2", "p1~3"]
    assert report.bad_lines == 1


async def test_a_loop_over_a_file_without_posts_ends(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"bad\n")
    assert (await run(path, FakeProducer(), loop=True)).sent == 0


async def test_the_rate_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"".join(map(line, range(51))))
    report = await run(path, FakeProducer(), clock=FakeClock(), rate=10)
    assert report.seconds == pytest.approx(5.0)
    assert report.posts_per_s == pytest.approx(10.2)


async def test_a_refused_record_makes_the_run_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1) + line(2))
    producer = FakeProducer()
    producer.refuse = lambda r: NotEnoughReplicasError() if r.key == b"p1" else None
    report = await run(path, producer)
    assert not report.ok
    assert (report.acked, report.failed) == (1, 1)
    assert report.errors == {"NotEnoughReplicasError": 1}


async def test_records_without_a_report_at_the_end_count_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1) + line(2))
    report = await run(path, FakeProducer(at_once=False), delivery=Delivery(timeout_s=0.01))
    assert not report.ok
    assert (report.acked, report.failed) == (0, 2)
    assert "no acknowledgement" in (report.failure or "")


async def test_progress_ends_with_the_whole_and_counts_to_one(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"".join(map(line, range(20))))
    seen: list[Progress] = []
    await replay_file(
        ReplaySettings(path=str(path), rate=10),
        BROKER,
        producer=FakeProducer(),
        clock=FakeClock(),
        observer=seen.append,
    )
    assert len(seen) > 10
    assert seen[-1].fraction == 1.0
    assert (seen[-1].sent, seen[-1].acked, seen[-1].in_flight) == (20, 20, 0)


async def test_a_stop_ends_the_run_in_good_order(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"".join(map(line, range(20))))
    stop, producer = asyncio.Event(), FakeProducer()
    producer.refuse = lambda r: stop.set() if r.key == b"p4" else None
    report = await replay_file(ReplaySettings(path=str(path)), BROKER, producer=producer, stop=stop)
    assert report.ok
    assert report.acked == 5


async def test_a_csv_is_read_with_quotes_newlines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(
        b"\xef\xbb\xbfnr,tweet,when\r\n"
        b'1,"He said ""hi"", twice",2024-01-02 03:04:05\r\n'
        b'2,"two\nlines",\r\n'
        b"3,too,many,cells\r\n"
        b"\r\n"
        b"4,plain,1700000000"
    )
    producer = FakeProducer()
    fields = FieldPaths(id="nr", text="tweet", created_at="when")
    report = await run(path, producer, fields=fields)
    posts = posts_of(producer)
    assert [post.text for post in posts] == ['He said "hi", twice', "two\nlines", "plain"]
    assert posts[0].created_at is not None
    assert posts[0].created_at.isoformat() == "2024-01-02T03:04:05+00:00"
    assert report.bad_samples == (BadLine(line=5, reason="4 cells, the header has 3"),)


async def test_a_tsv_has_a_row_on_each_line_and_ids_may_be_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "posts.tsv.gz"
    lines = [
        "text\tlang",
        'an "open quote\ten',
        '"another\ten',
        '"say ""hi"""\ten',
        '"two\n lines"\ten',
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    producer = FakeProducer()
    report = await run(path, producer, fields=FieldPaths(id="@position"))
    assert posts_of(producer) == [
        Post(id="posts.tsv.gz:2", text='an "open quote', lang="en"),
        Post(id="posts.tsv.gz:3", text='"another', lang="en"),
        Post(id="posts.tsv.gz:4", text='say "hi"', lang="en"),
        Post(id="posts.tsv.gz:6", text=' lines"', lang="en"),
    ]
    (bad,) = report.bad_samples
    assert (bad.line, "can't span lines" in bad.reason) == (5, True)


async def test_a_quote_that_never_closes_is_one_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(b'id,text\n1,ok\n2,"open\n3,swallowed\n')
    report = await run(path, FakeProducer())
    assert (report.acked, report.bad_lines) == (1, 1)
    assert report.bad_samples[0].line == 3


async def test_a_mapping_to_a_column_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(b"id,tweet\n1,x\n")
    report = await run(path, FakeProducer())
    assert not report.ok
    assert report.failure == (
        "posts.csv has no column text; it has: id, tweet: --field.text COLUMN says which it is"
    )


async def test_a_table_without_ids_is_told_how_to_number_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(b"text\nx\n")
    report = await run(path, FakeProducer())
    assert "--field.id COLUMN" in str(report.failure)
    assert "@position" in str(report.failure)
    numbered = FakeProducer()
    report = await run(path, numbered, fields=FieldPaths(id="@position"))
    assert report.acked == 1


@pytest.mark.parametrize(
    ("name", "separator", "told"),
    [("a.csv", ";", "“;”"), ("a.csv", "\t", "tabs"), ("a.csv", "|", "“|”"), ("a.tsv", ",", "“,”")],
)
async def test_a_table_with_another_separator_is_told_so(
    tmp_path: Path, name: str, separator: str, told: str
) -> None:
    path = tmp_path / name
    path.write_text(f"id{separator}text\n1{separator}x\n")
    report = await run(path, FakeProducer())
    assert f"separated by {told}: a .csv has commas, a .tsv tabs" in str(report.failure)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "id,text\n1,SECRET\n".encode("utf-16"), "is UTF-16: save it again as UTF-8"),
        ("a.jsonl", '{"id": "1"}\n'.encode("utf-16"), "is UTF-16: save it again as UTF-8"),
        ("a.csv", b"id,text,gr\xf6\xdfe\n1,SECRET,2\n", "the header, line 1: invalid UTF-8"),
        ("a.jsonl", b'[{"id": "1", "text": "SECRET"}]', "jq -c '.[]' makes lines of it"),
        ("a.jsonl", b'\xef\xbb\xbf [\n{"id": "1", "text": "SECRET"}\n]', "jq -c '.[]' makes"),
    ],
)
async def test_a_file_of_another_kind_is_refused_as_a_whole_and_nothing_of_it_is_quoted(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    producer = FakeProducer()
    report = await run(path, producer)
    assert told in str(report.failure)
    assert "SECRET" not in str(report)
    assert not report.ok


async def test_a_gzipped_file_cut_short_is_a_failure_after_what_could_be_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(gzip.compress(line(1))[:-8])
    report = await run(path, FakeProducer())
    assert not report.ok
    assert "EOFError while reading" in (report.failure or "")


async def test_so_is_one_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl.gz"
    whole = gzip.compress(b"".join(line(number) for number in range(500)))
    path.write_bytes(whole[:60] + bytes(40) + whole[100:])
    report = await run(path, FakeProducer())
    assert "while reading" in (report.failure or "")


async def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.jsonl: No such file"):
        await run(Path("nowhere.jsonl"), FakeProducer())


async def test_each_line_of_a_pipe_goes_out_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(reading))))
    producer = FakeProducer()
    running = asyncio.create_task(run(Path("-"), producer))
    for number in range(3):
        os.write(writing, line(number))
        await producer.took(number + 1)
    os.close(writing)
    assert (await running).acked == 3
    sys.stdin.close()


async def test_a_stop_does_not_wait_for_a_silent_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(reading))))
    stop = asyncio.Event()
    running = asyncio.create_task(
        replay_file(ReplaySettings(path="-"), BROKER, producer=FakeProducer(), stop=stop)
    )
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(10):
        assert (await running).ok
    os.close(writing)
    for thread in threading.enumerate():
        if thread.name == "stdin":
            await asyncio.to_thread(thread.join)
    sys.stdin.close()


async def test_standard_input_that_can_not_be_read_on_is_a_failure_after_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone(io.RawIOBase):
        """As a terminal whose window was closed."""

        def __init__(self) -> None:
            self.chunks = [line(1)]

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            if not self.chunks:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            chunk = self.chunks.pop()
            buffer[: len(chunk)] = chunk
            return len(chunk)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Gone())))
    async with asyncio.timeout(10):
        report = await run(Path("-"), FakeProducer())
    assert report.acked == 1
    assert report.failure == "-: OSError while reading"


async def test_a_line_without_an_end_takes_no_more_memory_than_the_longest_record(
    tmp_path: Path,
) -> None:
    path = tmp_path / "posts.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b"\n" + line(1))
    tracemalloc.start()
    try:
        report = await run(path, FakeProducer())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (report.acked, report.bad_lines) == (1, 1)
    assert peak < 32 * 2**20


async def test_a_pipe_cannot_be_looped() -> None:
    with pytest.raises(ValueError, match="pipe"):
        await run(Path("-"), FakeProducer(), loop=True)


async def test_posts_can_be_stamped_with_the_time_of_sending(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(line(1, created_at="2001-01-01T00:00:00Z"))
    producer = FakeProducer()
    await run(path, producer, stamp_now=True)
    created_at = posts_of(producer)[0].created_at
    assert created_at is not None
    assert created_at.year >= 2026
