"""`/livez` and `/readyz` say the truth, and why."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from consumer.telemetry.health import Health
from consumer.telemetry.meter import Meter
from consumer.telemetry.state import Snapshot
from emollm.pool import BreakerState, ServerState
from runtime.errors import Misconfigured
from runtime.settings import Http
from runtime.telemetry.health_server import HealthServer
from tests.consumer.telemetry.test_meter import snapshot


def health(**changes: Any) -> Health:
    found = Health(stuck_after_s=100)
    found.snapshot = lambda: snapshot(**changes)
    return found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"since_loop_s": 101.0}, "no look for posts"),
        ({"since_progress_s": 101.0}, "none was finished"),
        ({"since_progress_s": 101.0, "in_flight_records": 0}, "none was finished"),
    ],
)
def test_without_progress_although_there_is_work_it_is_not_alive(
    changes: dict[str, Any], why: str
) -> None:
    assert why in " ".join(health(**changes).not_alive())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"since_progress_s": 1e6, "in_flight_records": 0, "partitions": ()},  # nothing to do
        {"since_progress_s": 1e6, "available": False},  # a restart brings no model server back
        {"since_loop_s": 1e6, "phase": "starting"},
        {"since_loop_s": 1e6, "phase": "draining"},
    ],
)
def test_idle_waiting_starting_and_draining_are_alive(changes: dict[str, Any]) -> None:
    assert health(**changes).not_alive() == []


def test_while_model_servers_are_waited_for_it_is_alive_and_not_ready() -> None:
    waiting = Health(stuck_after_s=100)
    assert waiting.not_alive() == []
    assert waiting.not_ready() == ["waiting for a model server"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"partitions": ()}, "no partition is assigned"),
        ({"available": False}, "no model server takes prompts"),
        ({"phase": "draining"}, "the service is draining"),
    ],
)
def test_not_ready_says_why(changes: dict[str, Any], why: str) -> None:
    assert why in health(**changes).not_ready()


def server(breaker: BreakerState, out: str | None = None) -> ServerState:
    return ServerState(url="http://gpu", breaker=breaker, limit=1, in_flight=0, out=out)


def test_ready_with_one_server_of_two() -> None:
    one = health()
    one.servers = lambda: (server(BreakerState.CLOSED), server(BreakerState.OPEN))
    assert one.not_ready() == []


def test_the_servers_that_are_missing_are_named() -> None:
    none = health(available=False)
    none.servers = lambda: (server(BreakerState.OPEN), server(BreakerState.OPEN, "401"))
    assert "model server http://gpu: breaker open" in none.not_ready()
    assert "model server http://gpu is out: 401" in none.not_ready()


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Health]]:
    state = Health(stuck_after_s=100)
    meter = Meter()
    http = HealthServer(Http(port=0), state, meter)
    await http.start()
    assert http.url is not None
    yield http.url, state
    await http.stop()


async def test_the_endpoints_answer_with_status_and_reasons(served: tuple[str, Health]) -> None:
    url, state = served
    now: list[Snapshot] = [snapshot()]
    state.snapshot = lambda: now[0]
    async with aiohttp.ClientSession() as session:
        for path in ("/livez", "/readyz"):
            async with session.get(f"{url}{path}") as response:
                assert response.status == 200
                assert (await response.json())["why"] == []
        now[0] = snapshot(available=False, since_loop_s=1e6)
        async with session.get(f"{url}/livez") as response:
            assert response.status == 503
            assert (await response.json())["alive"] is False
        async with session.get(f"{url}/readyz") as response:
            assert response.status == 503
            assert "no model server takes prompts" in (await response.json())["why"]
        async with session.get(f"{url}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/plain")
            assert "emostream_events_total 0.0" in await response.text()


async def test_a_port_in_use_is_a_configuration_error(served: tuple[str, Health]) -> None:
    port = int(served[0].rsplit(":", 1)[1])
    with pytest.raises(Misconfigured, match=r"http\.port"):
        await HealthServer(Http(port=port), Health(stuck_after_s=1), Meter()).start()
