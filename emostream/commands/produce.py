"""`emostream produce`: posts into Kafka, from a file, made up, rated by people, or live."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from emostream.commands.produce_live import bluesky, feed, field_paths, mastodon
from emostream.connection import Connection
from emostream.exits import wrong_usage
from emostream.logs import quiet_logs
from emostream.producer_runner import run_producer
from producer import (
    LoadSettings,
    Observer,
    ReplaySettings,
    Report,
    TweetsSettings,
    replay_file,
    send_load,
    send_tweets,
)
from producer.files import FileFormat

app = App(
    name="produce",
    help="Write posts into Kafka: live ones, a file's, made-up ones, or tweets that people rated.",
)
for _live in (bluesky, mastodon, feed):
    app.command(_live)

_LOAD_RECORDS = 10_000
"""What `load` sends when nobody says how many: some seconds, instead of a full disk."""

Rate = Annotated[float | None, Parameter(validator=validators.Number(gt=0))]
Count = Annotated[int | None, Parameter(validator=validators.Number(gt=0))]
Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]
AsJson = Annotated[bool, Parameter(name="--json")]


@app.command
def replay(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    *,
    topic: str = "posts",
    connection: Connection = Connection(),
    format_: Annotated[FileFormat | None, Parameter(name="--format")] = None,
    field: Annotated[dict[str, str] | None, Parameter(name="--field")] = None,
    rate: Rate = None,
    limit: Count = None,
    loop: bool = False,
    stamp_now: bool = False,
    on_bad_line: Literal["skip", "fail"] = "skip",
    json_: AsJson = False,
) -> int:
    """Replay a file of posts: JSON lines, CSV or TSV.

    A row of a TSV is one line; quotes around a whole cell of it are taken off, any other is text.

    Exit status 1 when a post was not written, or none of the file's lines could be read; 2 when
    there is no such file.

    **Examples**

    ```
    emostream produce replay posts.jsonl --rate 50
    emostream produce replay export.csv --field.id tweet_id --field.text body
    zcat archive.jsonl.gz | emostream produce replay - --bootstrap kafka:9092
    ```

    Args:
        file: Gzipped if it ends in .gz; - for standard input.
        topic: Topic to write to.
        format_: How to read it. [default: by the file's name, else JSON lines]
        field: Where a post's field is in a record, by a dotted path: --field.text payload.body
        rate: Posts a second. [default: as fast as Kafka takes them]
        limit: At most so many posts.
        loop: Start again at the end; ids are made unique with ~2, ~3, …
        stamp_now: Give each post the time of its sending as created_at.
        on_bad_line: Leave a line out that is no post, or end with status 1.
        json_: The report as one JSON object.
    """
    quiet_logs()
    with wrong_usage():
        settings = ReplaySettings(
            path=file,
            topic=topic,
            file_format=format_,
            fields=field_paths(field or {}),
            rate=rate,
            loop=loop,
            limit=limit,
            stamp_now=stamp_now,
            on_bad_line=on_bad_line,
        )
    broker = connection.broker()

    def run(observer: Observer, stop: asyncio.Event) -> Awaitable[Report]:
        return replay_file(settings, broker, observer=observer, stop=stop)

    return run_producer(run, total=limit, as_json=json_)


@app.command
def load(
    *,
    topic: str = "posts",
    connection: Connection = Connection(),
    rate: Rate = None,
    count: Count = None,
    seconds: Rate = None,
    size: int = 120,
    duplicates: Share = 0.0,
    bad_input: Share = 0.0,
    bad_kind: Annotated[tuple[str, ...], Parameter(name="--bad-kind")] = (),
    seed: int = 0,
    json_: AsJson = False,
) -> int:
    """Make posts up, for load tests: the same seed gives the same records, byte for byte.

    Sends --count records or for --seconds, whichever is reached first; 10,000 records where neither
    is given.

    **Examples**

    ```
    emostream produce load --rate 200 --seconds 60
    emostream produce load --count 100000 --size 4000 --duplicates 0.2 --bad-input 0.01
    ```

    Args:
        topic: Topic to write to.
        rate: Records a second. [default: as fast as Kafka takes them]
        count: Records to send. [default: 10,000, unless --seconds is given]
        seconds: How long to send.
        size: Characters of a text, about.
        duplicates: Share that repeats an earlier text under a new id, as reposts do.
        bad_input: Share that is not a usable post.
        bad_kind: Which kinds of bad input. [default: all]
        seed: Of all that is drawn at random.
        json_: The report as one JSON object.
    """
    quiet_logs()
    if count is None and seconds is None:
        count = _LOAD_RECORDS
    with wrong_usage():
        settings = LoadSettings(
            topic=topic,
            rate=rate,
            count=count,
            duration_s=seconds,
            size=size,
            duplicates=duplicates,
            bad_input=bad_input,
            bad_kinds=bad_kind,
            seed=seed,
        )
    broker = connection.broker()

    def run(observer: Observer, stop: asyncio.Event) -> Awaitable[Report]:
        return send_load(settings, broker, observer=observer, stop=stop)

    return run_producer(run, total=count, as_json=json_)


@app.command
def tweets(
    *,
    topic: str = "posts",
    connection: Connection = Connection(),
    count: Count = None,
    rate: Rate = None,
    seed: int = 0,
    json_: AsJson = False,
) -> int:
    """Send tweets whose valence people have rated: 4,200 of them, from VADER (MIT licence).

    They are fetched once, through pip, into the cache folder (EMOSTREAM_CACHE_DIR or the user's).
    The mean rating, -4 to 4, is in each post's meta as human_valence, and so in its event's.

    **Examples**

    ```
    emostream produce tweets --count 500 --rate 20
    ```

    Args:
        topic: Topic to write to.
        count: A sample of so many. [default: all, in the file's order]
        rate: Posts a second. [default: as fast as Kafka takes them]
        seed: Of the sample.
        json_: The report as one JSON object.
    """
    quiet_logs()
    settings = TweetsSettings(topic=topic, count=count, rate=rate, seed=seed)
    broker = connection.broker()

    def run(observer: Observer, stop: asyncio.Event) -> Awaitable[Report]:
        return send_tweets(settings, broker, observer=observer, stop=stop)

    return run_producer(run, total=count or 4200, as_json=json_)
