"""`/livez` and `/readyz` say the truth, and why."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from consumer.telemetry.health import Health
from consumer.telemetry.meter import Meter
from consumer.telemetry.state import PartitionState, Snapshot
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
        (
            {"since_finish_s": 101.0, "oldest_in_flight_s": 102.0, "since_available_s": 103.0},
            "none was finished",
        ),
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
        {"since_finish_s": 1e6, "oldest_in_flight_s": 0.0, "since_available_s": 1e6},  # no work
        # A restart brings no model server back.
        {"since_finish_s": 1e6, "oldest_in_flight_s": 1e6, "available": False},
        # One that came back a moment ago has had no time yet.
        {"since_finish_s": 1e6, "oldest_in_flight_s": 1e6, "since_available_s": 1.0},
        {"since_loop_s": 1e6, "phase": "starting"},
        {"since_loop_s": 1e6, "phase": "draining"},
    ],
)
def test_idle_waiting_starting_and_draining_are_alive(changes: dict[str, Any]) -> None:
    assert health(**changes).not_alive() == []


def test_while_model_servers_are_waited_for_it_is_alive_and_not_ready() -> None:
    waiting = Health(stuck_after_s=100)
    assert waiting.not_alive() == []
    assert waiting.not_ready() == ["the service is starting"]
    waiting.snapshot = lambda: snapshot(phase="waiting", joined=False, available=False)
    assert waiting.not_alive() == []
    assert waiting.not_ready() == ["waiting for a model server"]


def test_answers_of_model_servers_good_or_bad_are_progress_and_deliveries_are_none() -> None:
    now = 1_000.0
    meter = Meter(lambda: now)
    state = Health(stuck_after_s=100, meter=meter, monotonic=lambda: now)
    state.snapshot = lambda: snapshot(
        since_finish_s=1e6, oldest_in_flight_s=1e6, since_available_s=1e6
    )
    now += 99
    meter.on_request("http://gpu", "E-c", "TimedOut", 30.0)
    now += 99
    assert state.not_alive() == []
    meter.on_request("http://gpu", "E-c", "Overloaded", 0.1)
    now += 99
    assert state.not_alive() == []
    meter.rebalanced(4)
    now += 2
    assert "none was finished" in state.not_alive()[0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"joined": False}, "the group has not given this member its share"),
        ({"available": False}, "no model server takes prompts"),
        ({"phase": "draining"}, "the service is draining"),
    ],
)
def test_not_ready_says_why(changes: dict[str, Any], why: str) -> None:
    assert why in health(**changes).not_ready()


def test_a_member_without_partitions_is_ready() -> None:
    assert health(partitions=()).not_ready() == []


def test_a_partition_that_stopped_at_a_bad_batch_is_a_warning_and_no_reason_to_be_unready() -> None:
    stopped = PartitionState(
        topic="posts",
        partition=3,
        commit_position=120,
        high_water=200,
        in_flight=0,
        held="bad_batch",
        bad_batch_at=120,
    )
    state = health(partitions=(stopped,))
    assert state.not_ready() == []
    (warning,) = state.warnings()
    assert "posts-3 stopped at offset 120" in warning
    assert "emostream offsets skip" in warning


def test_a_partition_that_is_not_read_yet_is_a_warning_and_no_reason_to_be_unready() -> None:
    state = health(not_begun=("posts-2",))
    assert state.not_ready() == []
    (warning,) = state.warnings()
    assert "posts-2 isn't read yet" in warning
    assert "partition_not_begun" in warning


def server(
    breaker: BreakerState, out: str | None = None, problem: str | None = None
) -> ServerState:
    return ServerState(
        url="http://gpu", breaker=breaker, limit=1, in_flight=0, out=out, problem=problem
    )


def test_what_is_wrong_with_a_server_is_told_in_a_sentence_even_while_others_work() -> None:
    why = "/generate: status 401: check model.token"
    one = health()
    one.servers = lambda: (
        server(BreakerState.CLOSED),
        server(BreakerState.OPEN, out="/generate: status 401", problem=why),
    )
    assert one.not_ready() == []
    assert one.warnings() == [f"model server http://gpu: {why}"]
    alone = health(available=False)
    alone.servers = lambda: (server(BreakerState.OPEN, problem=why),)
    assert any(why in problem for problem in alone.not_ready())


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
