"""`emostream consume`: the service."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def consume(
    *,
    config: Path | None = None,
    exit_with_parent: bool = False,
    example: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Consume posts, ask the model, publish affect events, until SIGTERM or Ctrl-C.

    Run more of it in the same group to share the partitions. One line on standard output says it
    is ready; what it does is logged to standard error.

    Exit status: 0 done, 1 broken (start it again), 2 wrong configuration, 3 stopped by the fuse,
    the canary or refused credentials.

    **Examples**

    ```
    emostream consume --example > emostream.toml
    emostream consume --config emostream.toml
    EMOSTREAM_KAFKA__BOOTSTRAP=kafka:9092 EMOSTREAM_MODEL__SERVERS=http://tgi emostream consume
    ```

    Args:
        config: Configuration (TOML); EMOSTREAM_… variables win over it. [default:
            EMOSTREAM_CONFIG's, where that is set]
        exit_with_parent: Stop when standard input ends: for a program that starts this one.
        example: Write a configuration with every key and its default, and end.
    """
    from consumer.settings import load, to_example_toml

    if example:
        from monitor.settings import to_example_toml as monitor_example

        sys.stdout.write(to_example_toml() + monitor_example())
        return 0
    from consumer.app import main
    from emostream.connection import config_file
    from emostream.parent import exit_with_parent as stop_with_parent
    from runtime.open_files import allow_open_files
    from runtime.telemetry.logging import setup_logging
    from runtime.telemetry.lossy_stream import LossyStream

    allow_open_files()
    settings = load(config_file(config), os.environ)
    setup_logging(settings.log.format, settings.log.level)
    if settings.log.level != "debug":  # it logs each try; what came of them, we say
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if exit_with_parent:
        stop_with_parent()

    def on_ready(line: str) -> None:
        out = LossyStream(sys.stdout)
        out.write(f"{line}\n")
        out.flush()

    return main(settings, on_ready=on_ready)
