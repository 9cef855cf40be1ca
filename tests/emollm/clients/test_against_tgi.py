"""The clients and the pool against `infra/tgi`, which keeps TGI's contract on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from emollm.clients import (
    CompletionsClient,
    HttpTransport,
    ServerOptions,
    TgiClient,
    detect,
    make_client,
)
from emollm.errors import (
    FailedAlone,
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from emollm.pool import PoolOptions, open_pool
from emollm.protocol import GenerateParams, Generation, ModelClient, PoolAnswer, Prompt
from infra.tgi import EngineError, ServerSettings, TgiServer
from infra.tgi.engine import Finish, Job
from tests.infra.tgi.stand_in import StandIn
from tests.polling import until

PARAMS = GenerateParams(max_new_tokens=20)
GRAMMAR = GenerateParams(max_new_tokens=20, grammar=r"0\.\d{3}")


class Poisonable(StandIn):
    """Fails the whole batch that holds the word `poison`, as a shard does."""

    def generate(self, jobs: "list[Job]", finish: Finish) -> None:  # type: ignore[override]
        if any("poison" in self._prompt(job.ids) for job in jobs):
            raise EngineError("CUDA error: device-side assert")
        super().generate(jobs, finish)


@asynccontextmanager
async def serving(
    engine: StandIn | None = None, dialect: str = "tgi", key: str | None = None, **settings: object
) -> AsyncIterator[tuple[TgiServer, StandIn, ModelClient]]:
    engine = engine or StandIn()
    chosen = ServerSettings(port=0, api_key=key, **settings)  # type: ignore[arg-type]
    async with TgiServer(chosen, engine=engine) as server:
        options = ServerOptions(url=server.url, dialect=dialect, token=key)
        client = make_client(options, HttpTransport(options))
        assert client is not None
        try:
            yield server, engine, client
        finally:
            engine.gate.set()
            await client.aclose()


@pytest.fixture(params=["tgi", "openai"])
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_it_is_recognized_and_says_what_it_serves() -> None:
    async with serving(max_concurrent_requests=24, max_input_tokens=512) as (server, _, _):
        client = await detect(ServerOptions(url=server.url), timeout_s=5.0)
        assert isinstance(client, TgiClient)
        info = await client.info(timeout_s=5.0)
        assert not isinstance(info, ModelError)
        assert (info.model_id, info.max_concurrent_requests) == ("model", 24)
        assert info.max_input_tokens == 512
        await client.aclose()


async def test_it_answers_in_both_dialects(dialect: str) -> None:
    async with serving(dialect=dialect) as (_, _, client):
        assert not isinstance(await client.info(timeout_s=5.0), ModelError)
        answer = await client.generate("emotion", PARAMS, timeout_s=5.0)
        assert isinstance(answer, Generation)
        assert answer.text == "joy, optimism."


async def test_its_validation_refuses_a_prompt(dialect: str) -> None:
    async with serving(dialect=dialect, max_input_tokens=64, max_total_tokens=128) as (_, _, it):
        for text in ("", "word " * 200):
            error = await it.generate(text, PARAMS, timeout_s=5.0)
            assert isinstance(error, Refused)
            assert error.status == 422
            assert "Input validation error" in str(error)


async def test_a_wrong_key_is_unauthorized_and_the_next_prompt_is_answered(dialect: str) -> None:
    async with serving(dialect=dialect, key="right") as (server, _, client):
        options = ServerOptions(url=server.url, dialect=dialect, token="wrong")
        wrong = make_client(options, HttpTransport(options))
        assert wrong is not None
        for text in ("emotion", "x" * 1_500_000, "emotion"):
            assert type(await wrong.generate(text, PARAMS, timeout_s=5.0)) is Unauthorized
        await wrong.aclose()
        assert isinstance(await client.generate("emotion", PARAMS, timeout_s=5.0), Generation)


async def test_a_failed_shard_is_a_failed_generation(dialect: str) -> None:
    async with serving(dialect=dialect) as (_, engine, client):
        engine.failing = EngineError("transport error")
        assert type(await client.generate("emotion", PARAMS, timeout_s=5.0)) is GenerationFailed


async def test_beyond_its_permits_it_is_overloaded(dialect: str) -> None:
    async with serving(dialect=dialect, max_concurrent_requests=1) as (_, engine, client):
        engine.gate.clear()
        held = asyncio.ensure_future(client.generate("emotion", PARAMS, timeout_s=10.0))
        await until(lambda: bool(engine.batches))
        assert type(await client.generate("emotion", PARAMS, timeout_s=5.0)) is Overloaded
        engine.gate.set()
        assert isinstance(await held, Generation)


async def test_a_timeout_and_a_cancellation_give_their_permits_back(dialect: str) -> None:
    async with serving(dialect=dialect, max_concurrent_requests=1) as (_, engine, client):
        # Connected before, so that none of the short time is spent on that.
        assert isinstance(await client.generate("emotion", PARAMS, timeout_s=30.0), Generation)
        engine.gate.clear()
        assert type(await client.generate("emotion", PARAMS, timeout_s=0.2)) is TimedOut
        engine.gate.set()
        answer: Generation | ModelError = Overloaded("")
        async with asyncio.timeout(10):
            while isinstance(answer, Overloaded):
                answer = await client.generate("emotion", PARAMS, timeout_s=5.0)
        assert isinstance(answer, Generation)


async def test_a_grammar_is_sent_and_given_up_where_there_is_none() -> None:
    async with serving(disable_grammar_support=True) as (server, _, _):
        client = TgiClient(HttpTransport(ServerOptions(url=server.url)), grammar=True)
        assert isinstance(await client.generate("intensity", GRAMMAR, timeout_s=5.0), Generation)
        await client.aclose()
    async with serving() as (server, _, _):
        client = TgiClient(HttpTransport(ServerOptions(url=server.url)), grammar=True)
        bad = GenerateParams(max_new_tokens=20, grammar="([0-9")
        assert isinstance(await client.generate("intensity", GRAMMAR, timeout_s=5.0), Generation)
        assert type(await client.generate("intensity", bad, timeout_s=5.0)) is GenerationFailed
        await client.aclose()


async def test_a_server_that_stopped_is_unavailable(dialect: str) -> None:
    async with serving(dialect=dialect) as (server, _, client):
        await client.generate("emotion", PARAMS, timeout_s=5.0)
        await server.stop()
        assert type(await client.generate("emotion", PARAMS, timeout_s=5.0)) is Unavailable


async def test_a_pool_on_two_of_them_answers_all_but_the_poison() -> None:
    async with serving(Poisonable()) as (one, _, _), serving(Poisonable()) as (two, _, _):
        pool = await open_pool(
            [ServerOptions(url=one.url), ServerOptions(url=f"{two.url}/", dialect="openai")],
            PoolOptions(max_concurrency=16),
        )
        try:
            texts = [f"sentiment {number}" for number in range(100)]
            texts[40] = "sentiment poison"
            asked = [Prompt(text=text, params=PARAMS, task="V-oc") for text in texts]
            answers = await pool.ask(asked)
            assert isinstance(answers.pop(40), FailedAlone)
            assert {type(answer) for answer in answers} == {PoolAnswer}
            assert {answer.text for answer in answers if isinstance(answer, PoolAnswer)} == {"-1"}
            servers = {answer.server for answer in answers if isinstance(answer, PoolAnswer)}
            assert servers == {one.url, two.url}
        finally:
            await pool.aclose()


def test_the_dialects_have_their_clients() -> None:
    for dialect, kind in (("tgi", TgiClient), ("openai", CompletionsClient)):
        options = ServerOptions(url="http://gpu", dialect=dialect)
        assert isinstance(make_client(options, HttpTransport(options)), kind)
