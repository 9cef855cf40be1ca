"""`emostream offsets`: the consumer group's place in its input topics."""

import sys
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from emostream.connection import Connection
from emostream.exits import FAILED, WRONG_USAGE, CommandError
from emostream.interrupt import run
from emostream.logs import quiet_logs
from runtime.kafka.protocol import Partition
from runtime.kafka.skip import Skipped, skip_bad_batches

app = App(name="offsets", help="Get the consumer group past a batch that can't be read.")


@app.command
def skip(
    *,
    connection: Connection = Connection(),
    partition: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    dry_run: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Skip the batches that can't be read, at which partitions have stopped.

    A corrupt batch stops its partition: the log says `partition_stopped`, `/readyz` warns. Repair
    the broker's log if you can: what is skipped is lost to this group. Only batches that can't be
    read are skipped, and only where all posts before them are finished. The group's consumers
    must be stopped. Exit status 1 when there is one that wasn't skipped.

    **Examples**

    ```
    emostream offsets skip --config emostream.toml --dry-run
    emostream offsets skip --partition posts/3 --json
    ```

    Args:
        partition: TOPIC/NUMBER, such as posts/3; may be given several times. [default: all]
        dry_run: Report only.
        json_: One JSON list.
    """
    quiet_logs()
    settings = connection.settings()
    only = [_partition(text) for text in partition]
    topics = settings.input.topics
    if not topics and not only:
        message = "the configuration has a pattern: name the --partition, such as posts/3"
        raise CommandError(message, status=WRONG_USAGE)
    found = run(
        skip_bad_batches(
            connection.broker(settings), settings.input.group_id, topics, only=only, dry_run=dry_run
        )
    )
    if json_:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        sys.stdout.writelines(map(_line, found))
        if not found:
            sys.stdout.write("every batch can be read: there is nothing to skip\n")
    return FAILED if any(one.unfinished for one in found) else 0


def _partition(text: str) -> Partition:
    topic, slash, number = text.rpartition("/")
    if not (slash and topic and number.isdecimal()):
        message = f"--partition is TOPIC/NUMBER, such as posts/3: {text!r}"
        raise CommandError(message, status=WRONG_USAGE)
    return Partition(topic, int(number))


def _line(one: Skipped) -> str:
    where = f"{one.topic}/{one.partition}"
    if one.unfinished:
        return (
            f"{where}: {one.unfinished:,} posts before the bad batch at {one.first} are not"
            " finished: start the consumer, let it stop there, and skip then\n"
        )
    return (
        f"{where}: offsets {one.first} to {one.next - 1} {one.state}"
        f" ({one.offsets:,}; {one.reason}); reading goes on at {one.next}\n"
    )
