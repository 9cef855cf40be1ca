"""What viewers cost the monitor: `python -m tests.monitor.page.viewers [--viewers 100]`.

The page is served as the live service serves it: 20 tracks with 24 hours behind them, a closed
minute of each track a minute, the tracks' state every 10 s, the pipe's every 5 s. The viewers are
another process. Prints the CPU of the page's process, with and without viewers.
"""

import argparse
import asyncio
import sys
import time
from contextlib import suppress

from monitor.page.data import PipeChanged, TracksChanged
from monitor.page.server import PageServer
from monitor.page.settings import PageSettings
from tests.monitor.page.made_up import END, MadeUp

CLIENTS = """
import asyncio, sys
async def one(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /api/live HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
    read = 0
    while data := await reader.read(65536):
        read += len(data)
async def main():
    host, port, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    await asyncio.gather(*(one(host, port) for _ in range(many)))
asyncio.run(main())
"""


async def measure(viewers: int, seconds: float) -> float:
    """Share of one core that the page takes with so many viewers."""
    source = MadeUp(tracks=20, hours=24)
    settings = PageSettings(port=0)
    async with PageServer(settings, source, wall=lambda: END.timestamp() + 34) as page:
        host, port = page.url.removeprefix("http://").split(":")
        arguments = (sys.executable, "-c", CLIENTS, host, port, str(viewers))
        clients = await asyncio.create_subprocess_exec(*arguments)
        while page.viewers < viewers:  # noqa: ASYNC110 - a tool, no test
            await asyncio.sleep(0.05)
        made_up = 0.0
        began, used = time.monotonic(), time.process_time()
        tick = 0
        while (passed := time.monotonic() - began) < seconds:
            before = time.process_time()
            if tick % 12 == 11:
                source.advance()
            elif tick % 2 == 0:
                source.push(TracksChanged(tracks=tuple(source.tracks())))
            source.push(PipeChanged(pipe=source.pipe()))
            made_up += time.process_time() - before  # making figures up is no cost of the page
            tick += 1
            await asyncio.sleep(5 - passed % 5)
        share = (time.process_time() - used - made_up) / (time.monotonic() - began)
        with suppress(ProcessLookupError):
            clients.kill()
        await clients.wait()
    return share


async def main() -> None:
    """Measure without viewers, then with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    for viewers in (0, chosen.viewers):
        share = await measure(viewers, chosen.seconds)
        print(f"{viewers} viewers: {share:.2%} of a core", flush=True)  # noqa: T201


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
