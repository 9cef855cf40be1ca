"""`emostream topics`: make the topics."""

import json
import sys
from typing import Annotated

from cyclopts import App, Parameter, validators

from emostream.connection import Connection
from emostream.exits import FAILED, CommandError
from emostream.interrupt import run
from emostream.logs import quiet_logs

# Kafka's protocol has four bytes for the one and two for the other.
Partitions = Annotated[int, Parameter(validator=validators.Number(gte=1, lt=2**31))]
Copies = Annotated[int, Parameter(validator=validators.Number(gte=1, lt=2**15))]

app = App(name="topics", help="Make emostream's topics, with sensible settings.")

_NONE = ""
"""In place of the input topics, where the configuration has a pattern: others make those."""


@app.command
def create(
    *,
    connection: Connection = Connection(),
    partitions: Partitions = 4,
    replication: Copies | None = None,
    allow_differences: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Make the topics that aren't there yet; those that are there stay as they are.

    Their names are the configuration's: input.topics (none where it is a pattern),
    output.events_topic, output.dlq_topic; and for the monitor those of [monitor]: windows, alerts,
    mutes, baselines. Exit status 1 when one exists with other settings: it says which. Not so with
    --allow-differences, for what runs at each start: somebody may have raised a retention.

    **Examples**

    ```
    emostream topics create --bootstrap localhost:9092
    emostream topics create --config emostream.toml --partitions 12
    ```

    Args:
        partitions: Of the topics that carry every post; at least as many as consumers ever.
        replication: Copies of each partition. [default: three, or as many as there are brokers]
        allow_differences: Tell what is otherwise than made here, and call it no failure.
        json_: One JSON list instead of lines.
    """
    quiet_logs()
    from aiokafka.errors import KafkaConnectionError

    from infra.kafka import TopicNames, create_topics, default_topics
    from runtime.kafka.connection import unreachable

    settings, monitor = connection.settings(), connection.monitor_settings().monitor
    names = [
        TopicNames(
            posts=topic,
            events=settings.output.events_topic,
            dead_letters=settings.output.dlq_topic,
            windows=monitor.windows_topic,
            alerts=monitor.alerts_topic,
            mutes=monitor.mutes_topic,
            baselines=monitor.baselines_topic,
        )
        for topic in settings.input.topics or (_NONE,)
    ]
    specs = {
        spec.name: spec
        for name in names
        for spec in default_topics(name, partitions=partitions, replication_factor=replication)
        if spec.name != _NONE
    }
    try:
        options = connection.client_options(settings)
        results = run(create_topics(options, list(specs.values())))
    except KafkaConnectionError as error:
        why = run(unreachable(connection.broker(settings), error))
        raise CommandError(str(why)) from None
    if json_:
        rows = [
            {"topic": r.name, "status": r.status, "differences": dict(r.differences)}
            for r in results
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.writelines(f"{result}\n" for result in results)
    differs = any(result.differences for result in results)
    return FAILED if differs and not allow_differences else 0
