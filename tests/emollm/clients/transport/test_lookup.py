"""Several addresses behind one name: all are used, and a dead one costs next to nothing."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from emollm.clients import HttpTransport, NoAnswer, ServerOptions, http_transport, lookup
from emollm.clients.lookup import AddressInfo
from tests.raw_http import Connection, RawServer, Request, answering, http

pytestmark = pytest.mark.asyncio(loop_scope="module")  # on each loop of conftest.py
OK = b"{}"


def address(port: int, host: str = "127.0.0.1") -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


class Names:
    """A resolver under the test's control."""

    def __init__(self, *found: AddressInfo) -> None:
        self.found = list(found)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[AddressInfo]:
        self.asked += 1
        await asyncio.sleep(0.01)
        if not self.found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(self.found)


def transport_to(names: Names) -> HttpTransport:
    return HttpTransport(
        ServerOptions(url="http://gpu.internal:8080"), get_addresses=names, rand=lambda: 0.5
    )


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that drops what knocks: its queue is full."""
    with socket.socket() as listening, contextlib.ExitStack() as knocking:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        for _ in range(4):
            client = knocking.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(("127.0.0.1", port))
        yield port


async def test_connections_go_to_all_addresses_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # However late this busy process looks at its sockets, none is too slow to be waited for: the
    # other address would be tried beside it, and would count those connections as well.
    monkeypatch.setattr(lookup, "SLOW_S", 60.0)
    async with RawServer(answering(200, OK)) as one, RawServer(answering(200, OK)) as two:
        names = Names(address(one.port), address(two.port))
        transport = transport_to(names)
        await asyncio.gather(*(transport.post("/generate", b"{}", 5.0) for _ in range(20)))
        assert {len(one.connections), len(two.connections)} == {10}
        assert names.asked == 1, "one look-up for all of them"
        await transport.aclose()


async def test_a_look_up_is_short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "LIFE_S", 0.0)

    async def once(_: Request, connection: Connection) -> None:
        await connection.write(http(200, OK).replace(b"X\r\n", b"X\r\nconnection: close\r\n"))

    async with RawServer(once) as old, RawServer(once) as new:
        names = Names(address(old.port))
        transport = transport_to(names)
        await transport.post("/generate", b"{}", 5.0)
        names.found = [address(new.port)]
        await transport.post("/generate", b"{}", 5.0)
        assert (len(old.requests), len(new.requests), names.asked) == (1, 1, 2)
        await transport.aclose()


async def test_a_dead_first_address_costs_a_moment_and_then_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lookup.SLOW_S < 0.1 * http_transport.CONNECT_TIMEOUT_S, "a moment"
    with black_hole() as dead:
        async with RawServer(answering(200, OK)) as alive:
            transport = transport_to(Names(address(dead), address(alive.port)))
            await transport.post("/generate", b"{}", 10.0)
            # From now on, who is given the dead one first waits for it in vain.
            monkeypatch.setattr(lookup, "SLOW_S", 60.0)
            await asyncio.gather(*(transport.post("/generate", b"{}", 10.0) for _ in range(20)))
            assert len(alive.requests) == 21
            await transport.aclose()


async def test_an_address_that_was_overtaken_is_tried_last_for_a_while() -> None:
    """Else every second connection would wait for it."""
    loop = asyncio.get_running_loop()
    with black_hole() as dead:
        async with RawServer(answering(200, OK)) as alive:
            addresses = lookup.Lookup("gpu", 8080, Names(address(dead), address(alive.port)))
            (await addresses.connect(loop)).close()

            def first_ones(after_s: float) -> list[int]:
                now = loop.time() + after_s
                turns = [addresses._in_turn(addresses._found, now) for _ in range(2)]
                return [turn[0][4][1] for turn in turns]

            assert first_ones(0.0) == [alive.port] * 2
            assert sorted(first_ones(lookup.AVOIDED_S)) == sorted([alive.port, dead])


async def test_a_refused_address_is_passed_over() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
        async with RawServer(answering(200, OK)) as alive:
            transport = transport_to(Names(address(port), address(alive.port)))
            for _ in range(3):
                assert (await transport.post("/generate", b"{}", 5.0)).status == 200
            await transport.aclose()


async def test_a_connection_is_replaced_after_its_life_so_that_new_servers_get_their_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_transport, "LIFE_S", 0.0)
    monkeypatch.setattr(lookup, "LIFE_S", 0.0)
    async with RawServer(answering(200, OK)) as old, RawServer(answering(200, OK)) as new:
        names = Names(address(old.port))
        transport = transport_to(names)
        for _ in range(4):
            await transport.post("/generate", b"{}", 5.0)
        names.found.append(address(new.port))
        for _ in range(10):
            await transport.post("/generate", b"{}", 5.0)
        assert len(new.requests) == 5
        await transport.aclose()


async def test_connections_live_for_minutes_and_not_all_equally_long() -> None:
    """Those of a burst would else be replaced in one moment, again and again."""
    drawn = iter((0.0, 0.999))
    async with RawServer(answering(200, OK)) as server:
        transport = HttpTransport(ServerOptions(url=server.url), rand=lambda: next(drawn))
        began = asyncio.get_running_loop().time()
        for _ in range(2):  # the second time on the same ones
            await asyncio.gather(*(transport.post("/generate", b"{}", 5.0) for _ in range(2)))
        lives = sorted(one.retire_at - began for one in transport._idle)
        assert len(server.connections) == 2
        await transport.aclose()
    least, most = http_transport.LIFE_S * 0.75, http_transport.LIFE_S * 1.25
    assert http_transport.LIFE_S >= 60.0
    assert lives[0] == pytest.approx(least, abs=20.0)
    assert lives[1] == pytest.approx(most, abs=20.0)


async def test_a_name_without_addresses_is_no_answer_for_all_who_wait() -> None:
    transport = transport_to(Names())
    calls = [transport.post("/generate", b"{}", 5.0) for _ in range(3)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error).__mro__[1] for error in errors} == {NoAnswer}
    await transport.aclose()


async def test_who_gives_up_on_a_look_up_leaves_it_to_the_others() -> None:
    async with RawServer(answering(200, OK)) as server:
        transport = transport_to(Names(address(server.port)))
        first = asyncio.ensure_future(transport.post("/generate", b"{}", 5.0))
        second = asyncio.ensure_future(transport.post("/generate", b"{}", 5.0))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).status == 200
        with pytest.raises(asyncio.CancelledError):
            await first
        await transport.aclose()
