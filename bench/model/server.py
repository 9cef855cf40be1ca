"""A stub model server in a process of its own, as bench programs start, read and stop it."""

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Self

import msgspec

ROOT = Path(__file__).resolve().parents[2]
_ASK_S = 5.0


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """How a stub serves. By default it answers at once, whatever it is asked."""

    model: str = "Emollama-chat-7b"
    """What `/info` says it serves; one that `emollm.models` knows."""
    capacity: float = 0.0
    """Prompts a second at most, exactly; 0: every prompt is answered at once."""
    latency_s: float = 0.06
    """Seconds that each prompt takes, once its turn has come. `capacity * latency_s` prompts are
    under way at once and must be a whole number; the others wait, first come, first served."""
    max_concurrent_requests: int = 128
    """As TGI's: under way and waiting together; one more is refused with 429."""
    share_424: float = 0.0
    """Share of prompts whose generation fails: it takes as long as an answer, as TGI's does."""
    share_429: float = 0.0
    """Share of prompts refused as overloaded though there is room: at once, as TGI does."""
    seed: int = 1
    """Of which prompts fail."""
    answers: str = ""
    """JSON file, prompt to answer. Prompts that aren't in it get a made-up readable answer."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What a stub counted since it started. Rates are differences of two of these."""

    at_s: float
    """`time.monotonic()` of the machine when these were taken."""
    asked: int
    """Prompts that came, whatever became of them."""
    answered: int
    """Prompts answered with 200."""
    made_up: int
    """Of these, prompts that weren't in the file of answers."""
    failed_424: int
    failed_429: int
    refused: int
    """429 because it was full, not by one of the shares that fail."""
    abandoned: int
    """Prompts whose client hung up first, or that died when the server went away."""
    under_way: int
    waiting: int
    up_s: float
    """Seconds in which it listened."""
    busy_s: float
    """Prompt-seconds of work done; of `capacity * latency_s * up_s` at most."""
    wasted_s: float
    """Of these, those that ended in a 424 or were abandoned."""
    took_s: float
    """Sum over the answers: seconds from a prompt's turn to its answer; by timers, about
    `latency_s` each."""


class ModelServer:
    """One stub on 127.0.0.1, a child process that ends with this one.

    A context manager; every call blocks for milliseconds (start and restart: 0.3 s), so an async
    program calls them through `asyncio.to_thread` where that matters.
    """

    def __init__(self, serving: Serving | None = None, *, port: int = 0) -> None:
        """`port` 0 takes a free one, and keeps it over restarts."""
        self.serving = serving or Serving()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._held: socket.socket | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL; known once it was started."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Return when it listens. Raises RuntimeError when it doesn't."""
        assert self._process is None, "already started"
        if not self.port and sys.platform == "linux":  # others don't let two bind one port
            self._hold_a_port()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.model.stub",
                str(self.port),
                msgspec.json.encode(self.serving).decode(),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,  # its end tells the child that this process is gone
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the stub model server ended before it listened")
        self.port = int(line)

    def stats(self) -> Stats:
        """Read its counters, a consistent moment of them."""
        return msgspec.json.decode(self._call("/stats"), type=Stats)

    def away(self, seconds: float) -> None:
        """Hang up on everybody, refuse connections for so long, and come back on the same port.

        For a client that is a crash and a restart; the counters go on.
        """
        self._call(f"/away/{seconds:g}")

    def fail(self, *, share_424: float = 0.0, share_429: float = 0.0) -> None:
        """From now on let these shares of the prompts fail."""
        self._call(f"/fail/{share_424:g}/{share_429:g}")

    def kill(self) -> None:
        """SIGKILL: connections are reset, counters are gone. `start` brings it back, same port."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def stop(self) -> None:
        """End it; does nothing where it isn't started. It holds nothing that an end could harm."""
        self.kill()
        if self._held is not None:
            self._held.close()
            self._held = None

    def _hold_a_port(self) -> None:
        """Have a free port bound here, too: while the child is away, nobody else is given it."""
        self._held = socket.socket()
        # As the child does: so that it may listen there beside this one, which never does.
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port = self._held.getsockname()[1]

    def _call(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=_ASK_S) as response:
            body: bytes = response.read()
        return body
