"""Permits, disconnects, keys, streams, stopping: what happens around an answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from infra.tgi import ServerSettings, StartError, TgiServer, serve
from infra.tgi.engine import Encoded, Finish, Job
from infra.tgi.engines.answer import Answer
from infra.tgi.errors import EngineError
from infra.tgi.events import ServerEvent
from infra.tgi.router import handlers, responses
from infra.tgi.router.batcher import Batcher
from infra.tgi.server import StopSignals
from tests.infra.tgi.stand_in import StandIn
from tests.polling import until
from tests.process import emostream

ASK = {"inputs": "emotion", "parameters": {"max_new_tokens": 20}}


@asynccontextmanager
async def running(
    engine: StandIn, settings: ServerSettings | None = None
) -> AsyncIterator[tuple[TgiServer, aiohttp.ClientSession]]:
    async with (
        TgiServer(settings or ServerSettings(port=0), engine=engine) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        yield server, client


async def post(
    client: aiohttp.ClientSession, path: str, body: object
) -> tuple[int, dict[str, str], bytes]:
    async with client.post(path, json=body) as response:
        return response.status, dict(response.headers), await response.read()


async def test_beyond_the_permits_a_request_is_refused_at_once() -> None:
    engine = StandIn()
    settings = ServerSettings(port=0, max_concurrent_requests=2)
    async with running(engine, settings) as (server, client):
        engine.gate.clear()
        held = [asyncio.ensure_future(post(client, "/generate", ASK))]
        await asyncio.to_thread(engine.entered.acquire)
        held.append(asyncio.ensure_future(post(client, "/generate", ASK)))
        await until(lambda: "tgi_queue_size 1" in server.metrics.text())
        async with client.post("/generate", json=ASK) as response:
            assert response.status == 429
            assert await response.json() == {
                "error": "Model is overloaded",
                "error_type": "overloaded",
            }
        assert not any(one.done() for one in held), "it waited for a permit"
        engine.gate.set()
        assert [status for status, _, _ in await asyncio.gather(*held)] == [200, 200]
        async with client.post("/generate", json=ASK) as response:
            assert response.status == 200


async def test_best_of_and_completion_lists_take_a_permit_for_each_sequence() -> None:
    settings = ServerSettings(port=0, max_concurrent_requests=1)
    async with running(StandIn(), settings) as (_, client):
        best = {"inputs": "x", "parameters": {"best_of": 2, "do_sample": True}}
        async with client.post("/generate", json=best) as response:
            assert response.status == 429
        async with client.post("/v1/completions", json={"prompt": ["a", "b"]}) as response:
            assert response.status == 429
        async with client.post("/generate", json=ASK) as response:
            assert response.status == 200


@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/v1/completions"])
async def test_a_client_that_leaves_frees_its_permit_and_its_prompt_is_dropped(path: str) -> None:
    engine = StandIn()
    settings = ServerSettings(port=0, max_concurrent_requests=2)
    async with running(engine, settings) as (server, client):
        engine.gate.clear()
        busy = asyncio.ensure_future(post(client, "/generate", ASK))
        await asyncio.to_thread(engine.entered.acquire)
        async with aiohttp.ClientSession(server.url) as leaving:
            # Greedy in each dialect, as what is in work: the sampler has passes of its own.
            body = {**ASK, "prompt": "emotion", "temperature": 0, "stream": path != "/generate"}
            waiting = asyncio.ensure_future(post(leaving, path, body))
            await until(lambda: "tgi_queue_size 1" in server.metrics.text())
            waiting.cancel()
        again = asyncio.ensure_future(post(client, "/generate", ASK))
        await until(lambda: "tgi_request_count 3" in server.metrics.text())
        engine.gate.set()
        assert (await busy)[0] == 200
        assert (await again)[0] == 200
        assert engine.batches == [1, 1]


async def test_the_loop_answers_others_while_a_huge_text_is_tokenized() -> None:
    class Slow(StandIn):
        def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
            if len(texts[0]) > 100_000:
                self.entered.release()
                self.gate.wait(10)
            return super().encode(texts, add_special_tokens=add_special_tokens)

    engine = Slow()
    async with running(engine) as (_, client):
        engine.gate.clear()
        huge = asyncio.ensure_future(post(client, "/tokenize", {"inputs": "x " * 100_000}))
        await asyncio.to_thread(engine.entered.acquire)
        async with client.post("/tokenize", json={"inputs": "x"}) as response:
            assert len(await response.json()) == 2
        assert not huge.done()
        engine.gate.set()
        assert (await huge)[0] == 200


@pytest.mark.parametrize(("words", "on_the_loop"), [(10, True), (100_000, False)])
async def test_a_long_list_of_tokens_is_not_written_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, words: int, *, on_the_loop: bool
) -> None:
    threads: list[int] = []
    write = responses.json_response

    def watched(value: object) -> web.Response:
        threads.append(threading.get_ident())
        return write(value)

    monkeypatch.setattr(handlers, "json_response", watched)
    async with running(StandIn()) as (_, client):
        status, _, body = await post(client, "/tokenize", {"inputs": "x " * words})
    assert (status, len(json.loads(body)) >= words) == (200, True)
    assert [one == threading.get_ident() for one in threads] == [on_the_loop]


async def test_a_stream_ends_with_its_last_token_and_the_whole_text() -> None:
    async with (
        running(StandIn()) as (_, client),
        client.post("/generate_stream", json={**ASK, "parameters": {"details": True}}) as response,
    ):
        events = [
            json.loads(line.removeprefix("data:"))
            for line in (await response.text()).split("\n\n")
            if line
        ]
    assert [event["index"] for event in events] == list(range(1, 10))
    assert "".join(event["token"]["text"] for event in events[:-1]) == "joy, optimism."
    assert events[-1]["generated_text"] == "joy, optimism."
    assert events[-1]["details"]["finish_reason"] == "eos_token"


async def test_an_engine_that_fails_within_a_stream_is_told_after_the_tokens() -> None:
    class Breaking(StandIn):
        def _answer(self, job: Job, finish: Finish) -> None:
            answer = Answer(job, self)
            answer.advance(self._ids["j"], -0.5)
            answer.advance(self._ids["o"], -0.5)
            finish(job, EngineError("shard gone"))

    async with running(Breaking()) as (_, client):
        async with client.post("/generate_stream", json=ASK) as response:
            assert response.status == 200
            *tokens, last = (await response.text()).strip().split("\n\n")
        assert len(tokens) == 2
        assert json.loads(last.removeprefix("data:")) == {
            "error": "Request failed during generation: Server error: shard gone",
            "error_type": "generation",
        }
        async with client.post("/generate", json=ASK) as response:
            assert response.status == 424


async def test_health_says_when_the_engine_fails_and_when_it_is_back() -> None:
    engine = StandIn()
    async with running(engine) as (_, client):
        engine.failing = RuntimeError("CUDA error")
        assert (await post(client, "/generate", ASK))[0] == 424
        async with client.get("/health") as response:
            assert response.status == 503
            assert await response.json() == {"error": "unhealthy", "error_type": "healthcheck"}
        engine.failing = None
        async with client.get("/health") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_the_key_guards_the_posts_and_no_get() -> None:
    async with running(StandIn(), ServerSettings(port=0, api_key="k")) as (_, client):
        async with client.post("/tokenize", json=ASK) as response:
            assert (response.status, await response.read()) == (401, b"")
        async with client.post(
            "/tokenize", json=ASK, headers={"Authorization": "Bearer k"}
        ) as response:
            assert response.status == 200
        for path in ("/", "/info", "/health", "/ping", "/metrics", "/v1/models"):
            async with client.get(path) as response:
                assert response.status == 200


async def test_a_keyless_large_body_is_refused_unread() -> None:
    async with running(StandIn(), ServerSettings(port=0, api_key="k")) as (server, _):
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 3000000\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()


async def test_a_body_beyond_the_limit_is_refused_also_without_a_declared_length() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(31):
            yield b" " * 65_536

    async with (
        running(StandIn()) as (_, client),
        client.post(
            "/generate", data=chunks(), headers={"Content-Type": "application/json"}
        ) as response,
    ):
        assert response.status == 413


async def test_sigterm_refuses_the_new_and_answers_those_in_flight() -> None:
    engine = StandIn()
    ready: asyncio.Future[TgiServer] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(
        serve(ServerSettings(port=0), on_ready=ready.set_result, engine=engine)
    )
    server = await ready
    async with aiohttp.ClientSession(server.url) as client:
        engine.gate.clear()
        held = asyncio.ensure_future(post(client, "/generate", ASK))
        await asyncio.to_thread(engine.entered.acquire)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: server.draining)
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(client, "/generate", ASK)
        engine.gate.set()
        status, headers, body = await held
        assert (status, headers["Connection"]) == (200, "close")
        assert json.loads(body)["generated_text"] == "joy, optimism."
    await serving


def test_a_second_signal_ends_at_once_and_so_does_one_while_the_model_is_loaded() -> None:
    now, done = 10.0, list[object]()
    signals = StopSignals(lambda: done.append("stop"), now=lambda: now, end=done.append)
    signals.on_signal(signal.SIGINT)
    assert done == [130]
    done.clear()
    signals.ready = True
    signals.on_signal(signal.SIGTERM)
    now += 0.4  # the same one, passed on by a launcher
    signals.on_signal(signal.SIGTERM)
    assert done == ["stop"]
    now += 0.2
    signals.on_signal(signal.SIGTERM)
    assert done == ["stop", 143]


async def test_ctrl_c_while_a_model_is_fetched_ends_the_command_at_once() -> None:
    reached = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as hub:
        port = hub.sockets[0].getsockname()[1]
        words = ("serve", "--model-id", "someone/model", "--port", "0")
        async with emostream(
            *words, environment={"HF_ENDPOINT": f"http://127.0.0.1:{port}"}
        ) as process:
            await reached.wait()
            process.signal(signal.SIGINT)
            assert await process.wait() == 130
    assert "Traceback" not in process.output


async def test_what_does_not_finish_in_time_is_given_up_at_stop() -> None:
    engine = StandIn()
    server = TgiServer(ServerSettings(port=0, shutdown_seconds=0.1), engine=engine)
    await server.start()
    async with aiohttp.ClientSession(server.url) as client:
        engine.gate.clear()
        held = asyncio.ensure_future(post(client, "/generate", ASK))
        await asyncio.to_thread(engine.entered.acquire)
        stopping = asyncio.ensure_future(server.stop())
        with pytest.raises(aiohttp.ClientError):
            await held
        engine.gate.set()
        await stopping


async def test_a_port_in_use_is_refused_with_what_to_do() -> None:
    async with running(StandIn()) as (server, _):
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(StartError, match="--port 0 takes a free one"):
            await TgiServer(ServerSettings(port=port), engine=StandIn()).start()


async def test_metrics_count_under_tgis_names() -> None:
    async with running(StandIn()) as (server, client):
        for body in (ASK, {"inputs": ""}):
            await post(client, "/generate", body)
        # The pass ends just after its answers.
        await until(lambda: "tgi_batch_current_size 0" in server.metrics.text())
        async with client.get("/metrics") as response:
            lines = (await response.text()).splitlines()
    assert "tgi_request_count 2" in lines
    assert "tgi_request_success 1" in lines
    assert 'tgi_request_failure{err="validation"} 1' in lines
    assert 'tgi_batch_inference_count{method="prefill"} 1' in lines
    assert "tgi_request_duration_count 1" in lines
    assert "tgi_queue_size 0" in lines
    assert "tgi_batch_current_size 0" in lines


async def test_a_queue_that_can_not_go_on_ends_the_server_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asyncio would log it, and requests would hang while `/health` says 200."""

    def breaks(batcher: Batcher, *, sampled: bool) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Batcher, "_take_batch", lambda self, sampled: breaks(self, sampled=sampled))
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(
        serve(
            ServerSettings(port=0, shutdown_seconds=0), on_ready=ready.set_result, engine=StandIn()
        )
    )
    server = await ready
    async with aiohttp.ClientSession(server.url) as client:
        with capture_logs() as logs, pytest.raises(aiohttp.ClientError):
            await post(client, "/generate", ASK)
        with pytest.raises(ZeroDivisionError):
            await serving
    assert ServerEvent.CRASHED in {entry["event"] for entry in logs}
