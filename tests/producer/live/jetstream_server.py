"""A Jetstream of the tests: one log of events, replayed and sent as the real one does, or badly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web

from tests.http_server import serving

DID = "did:plc:made-up"


def event(
    number: int,
    time_us: int,
    *,
    operation: str = "create",
    text: str | None = None,
    langs: Sequence[str] = ("en",),
    labels: Sequence[str] = (),
    rev: int | None = None,
    did: str = DID,
) -> bytes:
    """One commit of a post, `number` being its key."""
    commit: dict[str, Any] = {
        "rev": f"3m{time_us if rev is None else rev:020}",
        "operation": operation,
        "collection": "app.bsky.feed.post",
        "rkey": f"3k{number}",
    }
    if operation != "delete":
        record: dict[str, Any] = {
            "$type": "app.bsky.feed.post",
            "createdAt": "1985-01-01T00:00:00Z",  # what an author may claim
            "langs": list(langs),
            "text": f"post {number}" if text is None else text,
        }
        if labels:
            record["labels"] = {"values": [{"val": label} for label in labels]}
        commit["record"] = record
    return json.dumps({"did": did, "time_us": time_us, "kind": "commit", "commit": commit}).encode()


def identity(time_us: int) -> bytes:
    return json.dumps(
        {"did": DID, "time_us": time_us, "kind": "identity", "identity": {"did": DID, "seq": 1}}
    ).encode()


def account(time_us: int, status: str, did: str = DID) -> bytes:
    body = {"active": False, "did": did, "seq": 1, "status": status}
    return json.dumps({"did": did, "time_us": time_us, "kind": "account", "account": body}).encode()


def post_id(number: int, did: str = DID) -> str:
    return f"at://{did}/app.bsky.feed.post/3k{number}"


def time_of(message: bytes) -> int:
    return int(json.loads(message)["time_us"])


Behaviour = Callable[["JetstreamServer", web.WebSocketResponse, int | None], Awaitable[None]]
"""What one connection does, given the cursor."""


async def faithful(
    server: "JetstreamServer", socket: web.WebSocketResponse, cursor: int | None
) -> None:
    """Replay from the cursor, inclusive, then send what comes, until the client goes."""
    await replay(server, socket, cursor)
    await stay(socket)


async def replay(
    server: "JetstreamServer", socket: web.WebSocketResponse, cursor: int | None
) -> None:
    for message in server.after(cursor):
        await send(socket, message)


async def send(socket: web.WebSocketResponse, message: bytes) -> None:
    """As a text frame, whatever bytes they are."""
    writer = socket._writer
    assert writer is not None
    await writer.send_frame(message, WSMsgType.TEXT)


async def stay(socket: web.WebSocketResponse) -> None:
    """Send no more; return when the client has gone."""
    async for _ in socket:
        pass


def dropping(after: int) -> Behaviour:
    """Close the connection after so many messages, with no close frame."""

    async def behave(
        server: "JetstreamServer", socket: web.WebSocketResponse, cursor: int | None
    ) -> None:
        for message in server.after(cursor)[:after]:
            await send(socket, message)
        request = socket._req
        assert request is not None
        assert request.transport is not None
        request.transport.close()

    return behave


class JetstreamServer:
    """Serves the log to each connection by the behaviour whose turn it is; the last one stays."""

    def __init__(self, log: Sequence[bytes], *behaviours: Behaviour) -> None:
        self.log = list(log)
        self.behaviours = list(behaviours) or [faithful]
        self.queries: list[dict[str, str]] = []
        self.url = ""

    def after(self, cursor: int | None) -> list[bytes]:
        return [one for one in self.log if cursor is None or time_of(one) >= cursor]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        cursor = request.query.get("cursor")
        behave = self.behaviours[min(len(self.queries), len(self.behaviours)) - 1]
        with suppress(ConnectionError, asyncio.CancelledError):
            await behave(self, socket, None if cursor is None else int(cursor))
        return socket

    @property
    def cursors(self) -> list[int]:
        return [int(query["cursor"]) for query in self.queries]


@asynccontextmanager
async def jetstream(log: Sequence[bytes], *behaviours: Behaviour) -> AsyncIterator[JetstreamServer]:
    server = JetstreamServer(log, *behaviours)
    async with serving(("GET", "/subscribe", server.handle)) as url:
        server.url = url.replace("http://", "ws://") + "/subscribe"
        yield server
