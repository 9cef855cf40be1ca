"""What every transport promises, on real sockets (see emollm/clients/transport.py)."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from emollm.clients import (
    DeadlinePassed,
    HttpTransport,
    NoAnswer,
    ServerOptions,
    Transport,
    TransportError,
)
from emollm.clients.transport import BODY_LIMIT
from tests.raw_http import (
    Behaviour,
    Connection,
    RawServer,
    Request,
    answering,
    hanging,
    http,
)

OK = b'{"generated_text":"joy"}'
CHUNKS = b'8\r\n{"genera\r\n10\r\nted_text":"joy"}\r\n0\r\n\r\n'
Make = Callable[[ServerOptions], Transport]

pytestmark = pytest.mark.asyncio(loop_scope="module")  # on each loop of conftest.py


def answering_once(then: Behaviour) -> Behaviour:
    """Answer a connection's first request, and behave otherwise from the second on."""

    async def behave(request: Request, connection: Connection) -> None:
        if connection.served:
            await then(request, connection)
        else:
            await connection.write(http(200, OK))

    return behave


class Authority(NamedTuple):
    """Who vouches for a server of 127.0.0.1, and that server's certificate."""

    pem: str
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = trustme.CA()
    pem = str(tmp_path_factory.mktemp("authority") / "authority.pem")
    made.cert_pem.write_to_path(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return Authority(pem, context)


@pytest.fixture(params=[HttpTransport])
def make(request: pytest.FixtureRequest) -> Make:
    """Any transport must hold: another one joins here."""
    kind: Make = request.param
    return kind


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def saying(*answers: bytes, hang_up: bool = False) -> Behaviour:
    """Answer byte for byte, in turn on each connection; the last one again and again."""

    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(answers[min(connection.served, len(answers) - 1)])
        if hang_up:
            connection.close()

    return behave


async def test_a_request_arrives_whole_and_its_answer_comes_back(make: Make) -> None:
    async with RawServer(answering(200, OK, "application/json; charset=utf-8")) as server:
        transport = make(ServerOptions(url=f"{server.url}/gateway/", token="hush"))
        answer = await transport.post("/generate", b'{"inputs":"x"}', 5.0)
        await transport.aclose()
    assert answer == (200, "application/json", OK)
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/gateway/generate")
    assert request.body == b'{"inputs":"x"}'
    assert request.headers["authorization"] == "Bearer hush"
    assert request.headers["content-type"] == "application/json"


async def test_a_connection_is_kept_for_the_next_request(make: Make) -> None:
    async with RawServer(answering(200, OK)) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(3):
            await transport.post("/generate", b"{}", 5.0)
        await transport.get("/info", 5.0)
        await transport.aclose()
    assert len(server.connections) == 1


async def test_userinfo_becomes_basic_authorization(make: Make) -> None:
    async with RawServer(answering(200, OK)) as server:
        transport = make(ServerOptions(url=f"http://me:se%40cret@127.0.0.1:{server.port}"))
        await transport.get("/info", 5.0)
        await transport.aclose()
    assert server.requests[0].headers["authorization"] == "Basic bWU6c2VAY3JldA=="
    assert server.requests[0].path == "/info"


@pytest.mark.parametrize("status", [200, 401, 413, 424, 429, 503])
async def test_any_status_is_an_answer(make: Make, status: int) -> None:
    async with RawServer(answering(status, b"", None)) as server:
        transport = make(ServerOptions(url=server.url))
        assert await transport.post("/generate", b"{}", 5.0) == (status, "", b"")
        await transport.aclose()


async def test_a_redirect_is_not_followed(make: Make) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(
            b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        )

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url, token="hush"))
        assert (await transport.post("/generate", b"{}", 5.0)).status == 307
        await transport.aclose()


async def test_a_pooled_connection_found_closed_is_replaced_silently(make: Make) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        # As TGI after 413 and 401: it answers, then drops what comes next on this connection.
        if connection.served:
            connection.close()
        else:
            await connection.write(http(200, OK))

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(2):
            assert (await transport.post("/generate", b"{}", 5.0)).body == OK
        await transport.aclose()
    assert len(server.requests) == 3
    assert len(server.connections) == 2


async def test_a_fresh_connection_found_closed_is_not_tried_again(make: Make) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        connection.close()

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        with pytest.raises(NoAnswer):
            await transport.post("/generate", b"{}", 5.0)
        await transport.aclose()
    assert len(server.requests) == 1


async def test_an_answer_that_began_is_not_asked_again(make: Make) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        if connection.served:
            await connection.write(http(200, OK)[:-4])
            connection.close()
        else:
            await connection.write(http(200, OK))

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        await transport.post("/generate", b"{}", 5.0)
        with pytest.raises(NoAnswer):
            await transport.post("/generate", b"{}", 5.0)
        await transport.aclose()
    assert len(server.requests) == 2


async def test_a_server_that_hangs_costs_the_deadline_and_its_connection(make: Make) -> None:
    async with RawServer(answering_once(hanging)) as server:
        transport = make(ServerOptions(url=server.url))
        await transport.get("/health", 5.0)  # so that the deadline is the answer's alone
        with pytest.raises(DeadlinePassed):
            await transport.post("/generate", b"{}", 0.05)
        await asyncio.wait_for(server.connections[0].closed.wait(), 5.0)
        await transport.aclose()


async def test_each_request_has_its_own_deadline_in_whatever_order_they_end(make: Make) -> None:
    """One timer serves them all: it must be moved for a shorter one, and set again for the rest."""
    short = (0.6, 0.2, 0.4, 0.2, 0.1)
    async with RawServer(answering_once(hanging)) as server:
        transport = make(ServerOptions(url=server.url))
        # Connected before, so that none of the short times is spent on that.
        await asyncio.gather(*(transport.get("/health", 5.0) for _ in range(len(short) + 2)))
        loop = asyncio.get_running_loop()

        async def ask(timeout_s: float) -> None:
            began = loop.time()
            with pytest.raises(DeadlinePassed, match=f"within {timeout_s:g} s"):
                await transport.post("/generate", b"{}", timeout_s)
            assert loop.time() - began >= timeout_s - 0.01

        # Who waits for another's deadline waits for this one's, and would find that over. Of two
        # short ones both may be over at once: this process may stand still for as long.
        longest = asyncio.ensure_future(transport.post("/generate", b"{}", 60.0))
        await asyncio.sleep(0)
        async with asyncio.timeout(30.0):  # or a timer that isn't set again hangs it
            await asyncio.gather(*map(ask, short[:-1]))
            await ask(short[-1])
        assert not longest.done()
        longest.cancel()
        with pytest.raises(asyncio.CancelledError):
            await longest
        await ask(0.1)  # and once nothing was asked
        await transport.aclose()
    assert len(server.connections) == len(short) + 2


async def test_the_deadline_holds_for_an_answer_that_drips(make: Make) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(http(200, OK)[:-5])
        await connection.until_closed()

    async with RawServer(answering_once(behave)) as server:
        transport = make(ServerOptions(url=server.url))
        await transport.get("/health", 5.0)
        with pytest.raises(DeadlinePassed):
            await transport.get("/health", 0.05)
        await asyncio.wait_for(server.connections[0].closed.wait(), 5.0)
        await transport.aclose()


async def test_cancelling_closes_the_connection(make: Make) -> None:
    async with RawServer(hanging) as server:
        transport = make(ServerOptions(url=server.url))
        task = asyncio.ensure_future(transport.post("/generate", b"{}", 30.0))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.connections[0].closed.wait(), 5.0)
        await transport.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n%b" % CHUNKS,
        b"HTTP/1.1 100 Continue\r\n\r\n" + http(200, OK),
        b"HTTP/1.1 103 Early Hints\r\ncontent-length: 9\r\nlink: </x>\r\n\r\n" + http(200, OK),
        http(200, OK).replace(b"X\r\n", b"X\r\nx-padding: " + b"y" * 60_000 + b"\r\n"),
    ],
    ids=["chunked", "continue", "early hints", "long head"],
)
async def test_an_answer_may_come_in_any_form(make: Make, answer: bytes) -> None:
    async with RawServer(saying(answer)) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(2):
            assert (await transport.post("/generate", b"{}", 5.0))[::2] == (200, OK)
        await transport.aclose()
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n", b"HTTP/1.0 200 X\r\n\r\n"],
    ids=["1.1", "1.0"],
)
async def test_closing_may_be_the_end_of_an_answer(make: Make, head: bytes) -> None:
    async with RawServer(saying(head + OK, hang_up=True)) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(2):
            assert (await transport.post("/generate", b"{}", 5.0)).body == OK
        await transport.aclose()
    assert len(server.connections) == 2


async def test_a_connection_that_the_server_will_close_is_not_used_again(make: Make) -> None:
    last = http(200, OK).replace(b"X\r\n", b"X\r\nConnection: close\r\n")
    async with RawServer(saying(last)) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(2):
            assert (await transport.post("/generate", b"{}", 5.0)).body == OK
        await transport.aclose()
    assert len(server.requests) == len(server.connections) == 2


@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_to_no_question_is_never_taken_for_one(make: Make, *, late: bool) -> None:
    # A second answer in the first one's packet, or later (a proxy's 408): read as the next
    # prompt's answer, it would shift all answers by one.
    wrong = http(200, b'{"generated_text":"fear"}')
    first_was_read = asyncio.Semaphore(0)

    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(http(200, OK) if late else http(200, OK) + wrong)
        if late:
            await first_was_read.acquire()
            await connection.write(wrong)

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        for number in range(3):
            assert (await transport.post("/generate", b"{}", 5.0)).body == OK
            first_was_read.release()
            await asyncio.wait_for(server.connections[number].closed.wait(), 5.0)
        await transport.aclose()
    assert len(server.connections) == 3


@pytest.mark.parametrize("tls", [False, True])
async def test_an_answer_before_the_whole_request_was_sent_ends_the_connection(
    make: Make, authority: Authority, *, tls: bool
) -> None:
    # As TGI's 413. What is left of the body would be read as the next request, or never.
    ended = asyncio.Semaphore(0)

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(413, b"", None))
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.release()

    context = authority.context if tls else None
    server = await asyncio.start_server(hasty, "127.0.0.1", 0, limit=1024, ssl=context)
    async with server:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port_of(server)}"
        transport = make(ServerOptions(url=url, ca_file=authority.pem if tls else None))
        body = b"x" * 60_000_000  # no socket buffer takes that much
        for _ in range(2):
            assert (await transport.post("/generate", body, 60.0)).status == 413
            # The server's end of it, too: the loop may be closed after this test.
            await asyncio.wait_for(ended.acquire(), 60.0)
        await transport.aclose()


async def test_as_many_connections_as_requests_at_once_and_no_more(make: Make) -> None:
    async with RawServer(answering(200, OK)) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(3):
            await asyncio.gather(*(transport.post("/generate", b"{}", 5.0) for _ in range(20)))
        assert len(server.connections) <= 20
        await transport.aclose()
    assert len(server.requests) == 60


async def test_closing_fails_what_is_in_flight(make: Make) -> None:
    async with RawServer(hanging) as server:
        transport = make(ServerOptions(url=server.url))
        task = asyncio.ensure_future(transport.post("/generate", b"{}", 30.0))
        await server.arrived.wait()
        await transport.aclose()
        with pytest.raises(NoAnswer):
            await task
        await asyncio.wait_for(server.connections[0].closed.wait(), 5.0)


async def test_a_connection_idle_for_long_is_not_trusted(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emollm.clients.http_transport.KEEPALIVE_S", 0.02)
    async with RawServer(answering(200, OK)) as server:
        transport = make(ServerOptions(url=server.url))
        for _ in range(3):
            await asyncio.gather(*(transport.post("/generate", b"{}", 5.0) for _ in range(2)))
            await asyncio.sleep(0.05)
        for connection in server.connections[:4]:
            await asyncio.wait_for(connection.closed.wait(), 5.0)
        await transport.aclose()
    assert len(server.connections) == 6


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        http(200, OK).replace(b"content-length: 24", b"content-length: 24\r\ncontent-length: 25"),
        b"HTTP/1.1 200 X\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 X\r\nx: " + b"y" * 100_000,
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nsoon\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x00\xff" * 40 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_no_answer(make: Make, garbage: bytes) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(garbage)
        connection.close()

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        with pytest.raises(NoAnswer):
            await transport.post("/generate", b"{}", 5.0)
        await transport.aclose()


async def test_endless_trailers_do_not_fill_the_memory(make: Make) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
        await connection.write(b'8\r\n{"genera\r\n0\r\n')
        while True:
            await connection.write(b"x-trailer: " + b"y" * 1000)

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        with pytest.raises(NoAnswer, match="too long"):
            await transport.post("/generate", b"{}", 30.0)
        await transport.aclose()


async def test_the_silent_retry_stays_within_the_deadline() -> None:
    retried = asyncio.Event()

    async def behave(_: Request, connection: Connection) -> None:
        if len(server.requests) == 1:
            await connection.write(http(200, OK))
        elif len(server.requests) == 2:
            await asyncio.sleep(0.3)
            connection.close()
        else:
            retried.set()
            await connection.until_closed()

    async with RawServer(behave) as server:
        transport = HttpTransport(ServerOptions(url=server.url))
        await transport.post("/generate", b"{}", 5.0)
        began = asyncio.get_running_loop().time()
        asking = asyncio.ensure_future(transport.post("/generate", b"{}", 60.0))
        await retried.wait()
        # The test decides when its time is over: with a real deadline, a busy machine could let
        # that pass before the first connection is found closed.
        (connection,) = transport._busy
        assert connection.due >= began + 60.0 - 0.01
        connection.late()
        with pytest.raises(DeadlinePassed) as passed:
            await asking
        left = re.search(r"within ([\d.]+) s", str(passed.value))
        assert left is not None
        assert float(left[1]) <= 60.0 - 0.3 + 0.05, "it had the whole time once more"
        assert len(server.requests) == 3
        await transport.aclose()


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunked"])
async def test_an_endless_answer_does_not_fill_the_memory(make: Make, *, announced: bool) -> None:
    async def behave(_: Request, connection: Connection) -> None:
        if announced:
            head = b"content-length: %d\r\n\r\n" % (BODY_LIMIT + 1)
            await connection.write(b"HTTP/1.1 200 X\r\n" + head)
        else:
            await connection.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await connection.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async with RawServer(behave) as server:
        transport = make(ServerOptions(url=server.url))
        with pytest.raises(NoAnswer, match="too long"):
            await transport.post("/generate", b"{}", 30.0)
        await transport.aclose()


async def test_a_long_prompt_arrives_without_a_warning(make: Make) -> None:
    body = b"x" * 1_900_000
    async with RawServer(answering(200, OK)) as server:
        transport = make(ServerOptions(url=server.url))
        await transport.post("/generate", body, 30.0)
        await transport.aclose()
    assert server.requests[0].body == body


async def test_no_error_shows_a_secret(make: Make) -> None:
    with socket.socket() as gone:
        # Bound and not listening: nobody else is given this port meanwhile.
        gone.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{gone.getsockname()[1]}/x"
        options = ServerOptions(url=url, token="hush-hush")
        transport = make(options)
        with pytest.raises(TransportError) as caught:
            await transport.post("/generate", b'{"inputs":"my secret diary"}', 5.0)
        await transport.aclose()
        with pytest.raises(NoAnswer):
            await transport.post("/generate", b"{}", 5.0)
    shown = f"{caught.value!r} {caught.value.__cause__!r} {transport!r} {options!r} {transport.url}"
    assert caught.value.__suppress_context__
    for secret in ("hunter2", "hush-hush", "diary", "user"):
        assert secret not in shown


async def test_a_ca_file_that_is_none_is_refused_at_once(make: Make, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(ServerOptions(url="https://gpu", ca_file=str(tmp_path / "missing.pem")))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ssl.SSLError):
        make(ServerOptions(url="https://gpu", ca_file=str(empty)))


async def test_a_certificate_is_checked_against_the_given_authority(
    make: Make, authority: Authority
) -> None:
    async with RawServer(answering(200, OK), tls=authority.context) as server:
        for options, works in (
            (ServerOptions(url=server.url, ca_file=authority.pem), True),
            (ServerOptions(url=server.url), False),
        ):
            transport = make(options)
            if works:
                assert (await transport.post("/generate", b"{}", 5.0)).body == OK
            else:
                with pytest.raises(NoAnswer, match="certificate"):
                    await transport.post("/generate", b"{}", 5.0)
            await transport.aclose()
