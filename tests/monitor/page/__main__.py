"""The page with made-up figures, for looking at it: `python -m tests.monitor.page [--port 8765]`.

A minute passes every `--seconds`; a storm is on when it starts, and a new one breaks out each hour.
"""

import argparse
import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from monitor.page.server import PageServer
from monitor.page.settings import PageSettings
from tests.monitor.page.made_up import MadeUp


async def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--seconds", type=float, default=60.0, help="real seconds a minute")
    parser.add_argument("--tracks", type=int, default=12)
    chosen = parser.parse_args()
    seconds: float = chosen.seconds
    end = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    source = MadeUp(tracks=chosen.tracks, end=end)
    start = datetime.now(UTC)

    def wall() -> float:
        # The data's clock: with --seconds below 60, time runs faster for the page, too.
        passed = (datetime.now(UTC) - start).total_seconds()
        return start.timestamp() + passed * 60 / seconds

    async with PageServer(PageSettings(port=chosen.port), source, wall=wall) as page:
        print(f"page: {page.url}", flush=True)  # noqa: T201
        minute = 0
        while True:
            await asyncio.sleep(seconds)
            source.advance()
            minute += 1
            match minute % 60:
                case 12:
                    source.calm_down()
                case 40:
                    source.break_out()
                case 46:
                    source.fire()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
