"""A topic of events as a file, in the order in which the monitor reads it: for a backtest."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emostream.connection import Connection
from emostream.exits import CommandError
from emostream.interrupt import run
from monitor.live.intake import Arrived, read_record
from runtime.kafka.topic_log import kafka_topic_log


@contextmanager
def topic_file(connection: Connection, topic: str) -> Iterator[Path]:
    """Yield a file with the events that the topic holds now, one a line; removed afterwards.

    Raises:
        CommandError: the topic holds no event.
        KafkaFault: there is no such topic, or no broker answers.
    """
    with tempfile.TemporaryDirectory(prefix="emostream-backtest-") as folder:
        path = Path(folder) / "events.jsonl"
        if not run(_copy(connection, topic, path)):
            raise CommandError(f"topic {topic} holds no affect event")
        yield path


async def _copy(connection: Connection, topic: str, path: Path) -> int:
    count = 0
    future_s = connection.monitor_settings().monitor.future_s

    def decode(record: object) -> tuple[float, tuple[Arrived, bytes]]:
        time, arrived = read_record(record, future_s=future_s)
        value: bytes = getattr(record, "value", None) or b""
        return time, (arrived, value)

    async with kafka_topic_log(topic, connection.broker(reading=(topic,))) as log:
        spans = await log.spans()
        starts = {number: span.start for number, span in spans.items()}
        reader = log.reader(starts, decode)
        with path.open("wb") as lines:
            while any(at < spans[tp.partition].end for tp, at in reader.positions.items()):
                for arrived, value in await reader.take(timeout_s=0.5):
                    if arrived.event is not None and arrived.offset < spans[arrived.partition].end:
                        lines.write(value.replace(b"\n", b" ") + b"\n")
                        count += 1
    return count
