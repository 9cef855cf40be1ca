"""What is read from an answer's head, in whatever pieces it comes."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emollm.clients.connection import Connection
from emollm.clients.transport import ConnectionLost, NoAnswer, Response

BODY = b"what looks like a head\r\ncontent-type: application/json\r\n\r\n"
OTHERS = [b"x-request-id: 7", b"X-Content-Type: no", b"vary: content-type", b"date:", b"a: b: c"]
TYPES = {
    b"content-type: application/json": "application/json",
    b"Content-Type: application/json": "application/json",
    b"CONTENT-TYPE:application/json ; charset=utf-8": "application/json",
    b"content-type:\t Text/HTML": "text/html",
    b"content-type:": "",
    b"x-other: application/json": "",
}
LENGTHS = [b"content-length: %d" % len(BODY), b"Content-Length:  %d" % len(BODY)]
BEFORE = [b"", b"\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
BEFORE.append(b"HTTP/1.1 103 Early\r\ncontent-type: x/y\r\n\r\n" * 2)


class Wire:
    """A transport that sends nothing."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, _: bytes) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closed = True


async def read(pieces: Sequence[bytes], *, closing: bool = False) -> tuple[Response, bool]:
    """The answer, and whether the connection may be asked again."""
    connection = Connection(asyncio.get_running_loop())
    connection.connection_made(Wire())  # type: ignore[arg-type]
    asking = asyncio.ensure_future(connection.ask(b"POST", 30.0))
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    if closing:
        connection.connection_lost(None)
    return await asking, connection.usable


def cut(whole: bytes, places: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted({place % len(whole) for place in places}), len(whole)]
    return [piece for piece in map(lambda a, b: whole[a:b], ends, ends[1:]) if piece]


@given(
    before=st.sampled_from(BEFORE),
    kind=st.sampled_from(list(TYPES)),
    length=st.sampled_from(LENGTHS),
    others=st.lists(st.sampled_from(OTHERS)),
    order=st.randoms(use_true_random=False),
    places=st.lists(st.integers(0, 10_000), max_size=8),
)
def test_the_kind_is_the_heads_however_it_is_cut(
    *,
    before: bytes,
    kind: bytes,
    length: bytes,
    others: list[bytes],
    order: random.Random,
    places: list[int],
) -> None:
    lines = [kind, length, *others]
    order.shuffle(lines)
    whole = before + b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + BODY
    response, again = asyncio.run(read(cut(whole, places)))
    assert response == (200, TYPES[kind], BODY)
    assert again


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", [b"content-length: 99", b"Transfer-Encoding: chunked"])
async def test_closing_ends_only_a_body_of_no_length(before: bytes, name: bytes) -> None:
    head = before + b"HTTP/1.1 200 OK\r\n"
    response, again = await read([head, b"\r\n", BODY], closing=True)
    assert response == (200, "", BODY)
    assert not again
    with pytest.raises(ConnectionLost):
        await read([head + name, b"\r\n\r\n", b"5\r\nhello\r\n"], closing=True)


@pytest.mark.parametrize("length", [b"4194305", b"9" * 16])
async def test_a_length_beyond_the_limit_is_refused_at_the_head(length: bytes) -> None:
    with pytest.raises(NoAnswer, match="too long"):
        await read([b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n"])
