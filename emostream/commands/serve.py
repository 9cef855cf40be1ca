"""`emostream serve`: the TGI-compatible model server."""

import sys
from typing import Annotated

from cyclopts import Parameter

from emostream.exits import require
from emostream.parent import exit_with_parent as stop_with_parent
from infra.tgi.settings import ServerSettings


def serve(
    *,
    settings: Annotated[ServerSettings, Parameter(name="*")] = ServerSettings(),
    exit_with_parent: bool = False,
    log_level: str = "info",
) -> None:
    """Serve an EmoLLM over TGI's HTTP contract, until Ctrl-C; the small model if none is named.

    For what Text Generation Inference doesn't serve: machines without a GPU, Emot5 and Emobart.
    Flags are named as those of TGI's launcher. One line on standard output says it is ready.

    **Examples**

    ```
    emostream serve
    emostream serve --model-id ./Emobart-large --port 8080
    emostream serve --model-id lzw1008/Emot5-large --device cuda --max-concurrent-requests 256
    emostream serve --replay answers.jsonl.gz --replay-model Emollama-chat-7b
    curl localhost:3000/info
    ```

    Args:
        exit_with_parent: Stop when standard input ends: for a program that starts this one.
        log_level: Least severity written to standard error.
    """
    from infra.tgi import TgiServer
    from infra.tgi.server import run
    from runtime.telemetry.logging import setup_logging

    setup_logging("auto", log_level)
    if settings.engine != "torch" and not settings.replay:
        require("tokenizers")

    def on_ready(server: TgiServer) -> None:
        sys.stdout.write(f"Model server ready at {server.url}\n")
        sys.stdout.flush()

    if exit_with_parent:
        stop_with_parent()
    run(settings, on_ready=on_ready)
