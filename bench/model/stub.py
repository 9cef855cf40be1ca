"""The stub's process: TGI's `/info`, `/health` and `/generate`, as cheap as Python makes them.

    python -m bench.model.stub PORT SETTINGS

Its port is the one line on standard output; it ends when standard input does. Besides TGI's
routes it has `/stats`, `/away/SECONDS` and `/fail/SHARE_424/SHARE_429` (see `bench.model.server`).
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from bench.model.answers import Answers
from bench.model.server import Serving, Stats
from bench.model.slots import Job, Slots

_HEAD = (
    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n"
    b"date: Mon, 23 Nov 2026 00:00:00 GMT\r\n\r\n%b"
)
_TIMES = (
    b"x-compute-type: cpu\r\nx-total-time: 1\r\nx-validation-time: 0\r\nx-queue-time: 0\r\n"
    b"x-inference-time: 1\r\nx-time-per-token: 0\r\nx-prompt-tokens: 60\r\n"
    b"x-generated-tokens: 6\r\n"
)
"""The headers that TGI sends with an answer: a client parses them, too."""
_FAILED = b'{"error":"Request failed during generation: injected","error_type":"generation"}'
_OVERLOADED = b'{"error":"Model is overloaded","error_type":"overloaded"}'


class _Generate(msgspec.Struct):
    inputs: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Generate).decode


def _http(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return _HEAD % (status, more, len(body), body)


_TOO_MANY = _http(_OVERLOADED, b"429 Too Many Requests")


class Stub:
    """What all connections share: the settings, the slots, the counters, the listener."""

    def __init__(self, serving: Serving, loop: asyncio.AbstractEventLoop) -> None:
        self.serving = serving
        self.shares = (serving.share_424, serving.share_429)
        known = {}
        if serving.answers:
            known = msgspec.json.decode(Path(serving.answers).read_bytes(), type=dict[str, str])
        self.answers = Answers(known)
        self.connections: set[Connection] = set()
        self.asked = self.answered = self.made_up = self.refused = self.abandoned = 0
        self.failed_424 = self.failed_429 = 0
        self.wasted_s = self.took_s = 0.0
        self.slots: Slots | None = None
        if serving.capacity:
            self.slots = Slots(
                slots_of(serving),
                serving.latency_s,
                clock=time.monotonic,
                call_later=loop.call_later,
            )
        self._random = random.Random(serving.seed)
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._port = 0
        self._up_since: float | None = None
        self._up_s = 0.0
        self._gone: asyncio.Task[None] | None = None

    async def listen(self, port: int) -> int:
        """Listen on 127.0.0.1; the port it got."""
        self._server = await self._loop.create_server(
            lambda: Connection(self), "127.0.0.1", port, backlog=1024
        )
        self._port = int(self._server.sockets[0].getsockname()[1])
        self._up_since = time.monotonic()
        return self._port

    def leave(self, seconds: float) -> None:
        """Be gone for so long, beginning in a moment."""
        self._gone = self._loop.create_task(self._be_gone(seconds))

    async def _be_gone(self, seconds: float) -> None:
        await asyncio.sleep(0.005)  # the answer to this very request leaves first
        if self._server is None or self._up_since is None:
            return
        self._server.close()
        self._up_s += time.monotonic() - self._up_since
        self._server = self._up_since = None
        if self.slots is not None:
            before = self.slots.busy_s
            self.abandoned += len(self.slots.clear())
            self.wasted_s += self.slots.busy_s - before
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(seconds)
        await self.listen(self._port)

    def full(self) -> bool:
        """Whether one more is refused."""
        slots = self.slots
        return (
            slots is not None
            and slots.under_way + slots.waiting >= self.serving.max_concurrent_requests
        )

    def fate(self) -> int:
        """What becomes of the next prompt: 200, 424 or 429."""
        share_424, share_429 = self.shares
        if not share_424 and not share_429:
            return 200
        draw = self._random.random()
        return 429 if draw < share_429 else 424 if draw < share_429 + share_424 else 200

    def stats(self) -> Stats:
        """The counters as they are now."""
        now, slots = time.monotonic(), self.slots
        up = self._up_s + (0.0 if self._up_since is None else now - self._up_since)
        return Stats(
            at_s=now,
            asked=self.asked,
            answered=self.answered,
            made_up=self.made_up,
            failed_424=self.failed_424,
            failed_429=self.failed_429,
            refused=self.refused,
            abandoned=self.abandoned,
            under_way=slots.under_way if slots else 0,
            waiting=slots.waiting if slots else 0,
            up_s=up,
            busy_s=slots.busy_s if slots else 0.0,
            wasted_s=self.wasted_s,
            took_s=self.took_s,
        )

    def info(self) -> bytes:
        """What TGI's `/info` says, as far as clients read it."""
        return _encode(
            {
                "model_id": self.serving.model,
                "model_sha": "bench",
                "max_concurrent_requests": self.serving.max_concurrent_requests,
                "max_input_tokens": 4095,
                "max_total_tokens": 4096,
                "version": "3.3.6",
                "router": "text-generation-router",
            }
        )


def slots_of(serving: Serving) -> int:
    """Prompts under way at once. Raises ValueError unless that is a whole number."""
    slots = serving.capacity * serving.latency_s
    if abs(slots - round(slots)) > 1e-6 or round(slots) < 1:
        raise ValueError(f"capacity * latency_s must be a whole number of slots, not {slots:g}")
    return round(slots)


class Connection(asyncio.Protocol):
    """One client's connection: one request at a time, later ones wait in the buffer."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._got = b""
        self._job: Job | None = None
        self._fate = 200
        self._prompt = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._stub.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """It hung up, or was hung up on: what it asked is dropped, as TGI does."""
        stub, job, self._job = self._stub, self._job, None
        stub.connections.discard(self)
        if job is not None and stub.slots is not None:
            stub.abandoned += 1
            stub.wasted_s += stub.slots.drop(job)

    def abort(self) -> None:
        """Hang up at once, with a reset."""
        self._job = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._got = self._got + data if self._got else data
        while self._job is None:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            head, start = self._got[:end], end + 4
            lower = head.lower()
            at = lower.find(b"\r\ncontent-length:")
            length = int(lower[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._got) < start + length:
                return
            body, self._got = self._got[start : start + length], self._got[start + length :]
            self._serve(head, body)

    def _serve(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST /generate "):
            self._generate(body)
            return
        path = head.split(b" ", 2)[1].decode("ascii", "replace")
        stub = self._stub
        match path.strip("/").split("/"):
            case ["info"]:
                answer = _http(stub.info())
            case ["health"]:
                answer = _http(b"")
            case ["stats"]:
                answer = _http(_encode(stub.stats()))
            case ["away", seconds]:
                stub.leave(float(seconds))
                answer = _http(b"{}")
            case ["fail", share_424, share_429]:
                stub.shares = (float(share_424), float(share_429))
                answer = _http(b"{}")
            case _:
                answer = _http(b"{}", b"404 Not Found")
        self._transport.write(answer)

    def _generate(self, body: bytes) -> None:
        stub = self._stub
        stub.asked += 1
        self._prompt = _decode(body).inputs
        self._fate = stub.fate()
        if self._fate == 429:
            stub.failed_429 += 1
            self._transport.write(_TOO_MANY)
        elif stub.full():
            stub.refused += 1
            self._transport.write(_TOO_MANY)
        elif stub.slots is None:
            self._answer()
        else:
            self._job = Job(self._done)
            stub.slots.add(self._job)

    def _done(self, job: Job) -> None:
        """Its time in a slot is over."""
        self._job = None
        if self._fate == 424:
            self._stub.wasted_s += job.due - job.since
        else:
            self._stub.took_s += time.monotonic() - job.since
        self._answer()
        if self._got:
            self.data_received(b"")

    def _answer(self) -> None:
        stub = self._stub
        if self._fate == 424:
            stub.failed_424 += 1
            self._transport.write(_http(_FAILED, b"424 Failed Dependency"))
            return
        answer = stub.answers.known(self._prompt)
        if answer is None:
            stub.made_up += 1
            answer = stub.answers.make_up(self._prompt)
        stub.answered += 1
        self._transport.write(_http(_encode({"generated_text": answer}), more=_TIMES))


async def _serve(port: int, serving: Serving) -> None:
    loop = asyncio.get_running_loop()
    stub = Stub(serving, loop)
    print(await stub.listen(port), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nothing is ever written there: it ended
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Serving)))
