"""What each client makes of a server's answers, recorded and invented."""

import asyncio
import json
import socket
from collections.abc import Callable

import msgspec
import pytest
from structlog.testing import capture_logs

from emollm.clients import (
    CompletionsClient,
    DeadlinePassed,
    HttpTransport,
    NoAnswer,
    Response,
    ServerOptions,
    TgiClient,
    Transport,
    TransportError,
    detect,
    make_client,
)
from emollm.clients.events import GRAMMAR_OFF
from emollm.errors import (
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    WrongRequest,
)
from emollm.protocol import GenerateParams, Generation, ModelClient, ServerInfo
from tests.raw_http import Connection, RawServer, Request, answering, hanging, http

PARAMS = GenerateParams(max_new_tokens=16)
GRAMMAR = GenerateParams(max_new_tokens=16, grammar=r"0\.\d{3}")
POST = "so proud of my sister Xanthippe today"
INFO = (
    b'{"model_id":"model","model_sha":null,"max_concurrent_requests":128,"max_best_of":2,'
    b'"max_input_tokens":1024,"max_total_tokens":2048,"router":"text-generation-router",'
    b'"version":"3.3.6-dev0"}'
)
ANSWERS = {
    "tgi": b'{"generated_text":"joy, optimism."}',
    "openai": b'{"object":"text_completion","id":"","model":"model","choices":[{"index":0,'
    b'"text":"joy, optimism.","logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":4,"completion_tokens":9,"total_tokens":13}}',
}
CLIENTS: dict[str, Callable[[Transport], ModelClient]] = {
    "tgi": TgiClient,
    "openai": lambda transport: CompletionsClient(transport, model="model"),
}


class FakeTransport:
    """Answers by path, at once; remembers what was sent."""

    url = "http://gpu:8080"

    def __init__(self, *answers: Response | TransportError, **by_path: Response) -> None:
        self.answers = list(answers)
        self.by_path = {path.replace("_", "/"): answer for path, answer in by_path.items()}
        self.sent: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.closed = False

    async def post(self, path: str, body: bytes, timeout_s: float) -> Response:
        self.sent.append(json.loads(body))
        return self._next(path)

    async def get(self, path: str, timeout_s: float) -> Response:
        return self._next(path)

    def _next(self, path: str) -> Response:
        self.paths.append(path)
        if self.by_path:
            return self.by_path.get(path.lstrip("/"), Response(404, "", b""))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, TransportError):
            raise answer
        return answer

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture(params=sorted(CLIENTS))
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def json_of(error: str, error_type: str) -> bytes:
    return msgspec.json.encode({"error": error, "error_type": error_type})


J, T = "application/json", "text/plain"
PLAIN = b"Failed to deserialize the JSON body into the target type: parameters.stop: invalid type"
TABLE: list[tuple[str, Response, type[ModelError]]] = [
    # The errors of TGI, bodies as TGI's router wrote them.
    ("empty inputs", Response(422, J, json_of("Input validation error: `inputs` cannot be empty",
     "validation")), Refused),
    ("too long", Response(422, J, json_of("Input validation error: `inputs` tokens + "
     "`max_new_tokens` must be <= 2048. Given: 2002 `inputs` tokens", "validation")), Refused),
    ("no template", Response(422, J, json_of("Template error: template not found",
     "template_error")), Refused),
    ("deserialization", Response(422, T, PLAIN), WrongRequest),
    ("422, empty", Response(422, "", b""), WrongRequest),
    ("bad JSON", Response(400, T, b"Failed to parse the request body as JSON: EOF"), Refused),
    ("too large", Response(413, T, b"Failed to buffer the request body: length limit exceeded"),
     Refused),
    ("content type", Response(415, T, b"Expected request with `Content-Type: application/json`"),
     WrongRequest),
    ("wrong key", Response(401, "", b""), Unauthorized),
    ("forbidden", Response(403, "text/html", b"<html>no</html>"), Unauthorized),
    ("no route", Response(404, "", b""), WrongRequest),
    ("wrong method", Response(405, "", b""), WrongRequest),
    ("shard failed", Response(424, J, json_of("Request failed during generation: Server error: "
     "transport error", "generation")), GenerationFailed),
    ("overloaded", Response(429, J, json_of("Model is overloaded", "overloaded")), Overloaded),
    ("incomplete", Response(500, J, json_of("Incomplete generation", "incomplete_generation")),
     GenerationFailed),
    ("unhealthy", Response(503, J, json_of("unhealthy", "healthcheck")), Unavailable),
    # Proxies, and what only they can think of.
    ("bad gateway", Response(502, "text/html", b"<html><h1>502 Bad Gateway</h1></html>"),
     Unavailable),
    ("gateway timeout", Response(504, "text/html", b"<html>"), Unavailable),
    ("cloud timeout", Response(524, "text/html", b"<html>"), Unavailable),
    ("redirect", Response(302, "text/html", b""), WrongRequest),
    ("payment", Response(402, J, b"{}"), Unauthorized),
    ("error in a list", Response(500, J, b"[1,2]"), GenerationFailed),
    ("deep JSON", Response(503, J, b'{"error":' + b"[" * 100_000), Unavailable),
    ("not UTF-8", Response(429, J, b'{"error":"\xff\xfe"}'), Overloaded),
    # vLLM, SGLang, llama.cpp.
    ("vLLM too long", Response(400, J, b'{"error":{"message":"maximum context length is 2048",'
     b'"type":"BadRequestError","param":null,"code":400}}'), Refused),
    ("vLLM no such model", Response(404, J, b'{"object":"error","message":"The model `x` does '
     b'not exist.","type":"NotFoundError","param":null,"code":404}'), WrongRequest),
    ("FastAPI's shape", Response(422, J, b'{"detail":[{"loc":["body"],"msg":"x"}]}'), WrongRequest),
    ("llama.cpp loads", Response(503, J, b'{"error":{"code":503,"message":"Loading model",'
     b'"type":"unavailable_error"}}'), Unavailable),
    # 200 that isn't an answer.
    ("captive portal", Response(200, "text/html", b"<html>Welcome to our Wi-Fi</html>"),
     Unavailable),
    ("cut JSON", Response(200, J, b'{"generated_text":"jo'), Unavailable),
    ("empty 200", Response(200, J, b""), Unavailable),
    ("other JSON", Response(200, J, b'{"status":"ok"}'), Unavailable),
    ("a list", Response(200, J, b'[{"generated_text":"joy"}]'), Unavailable),
    ("text is null", Response(200, J, b'{"generated_text":null,"choices":[{"text":null}]}'),
     Unavailable),
    ("no choice", Response(200, J, b'{"choices":[]}'), Unavailable),
    ("a stream", Response(200, "text/event-stream", b'data: {"token":{"id":1}}\n\n'), Unavailable),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "kind"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
async def test_every_answer_of_the_errors_table_becomes_its_error(
    dialect: str, answer: Response, kind: type[ModelError]
) -> None:
    client = CLIENTS[dialect](FakeTransport(answer))
    error = await client.generate(POST, PARAMS, timeout_s=1.0)
    assert type(error) is kind
    assert error.server == "http://gpu:8080"
    assert error.status == answer.status


@pytest.mark.parametrize(
    ("raised", "kind"), [(NoAnswer("reset"), Unavailable), (DeadlinePassed("1 s"), TimedOut)]
)
async def test_no_answer_is_an_error_too(
    dialect: str, raised: TransportError, kind: type[ModelError]
) -> None:
    client = CLIENTS[dialect](FakeTransport(raised))
    for error in (
        await client.generate(POST, PARAMS, timeout_s=1.0),
        await client.info(timeout_s=1.0),
    ):
        assert type(error) is kind
        assert error.status is None


async def test_an_answer_is_read(dialect: str) -> None:
    client = CLIENTS[dialect](FakeTransport(Response(200, J, ANSWERS[dialect])))
    answer = await client.generate(POST, PARAMS, timeout_s=1.0)
    assert isinstance(answer, Generation)
    assert answer.text == "joy, optimism."


async def test_tgi_is_asked_greedily_and_with_nothing_that_would_sample() -> None:
    transport = FakeTransport(Response(200, J, ANSWERS["tgi"]))
    client = TgiClient(transport)
    for text in (POST, 'quotes " and \\ and \n and \x00', "سلام 😀 \u200d", ""):
        await client.generate(text, GRAMMAR, timeout_s=1.0)
        assert transport.sent[-1] == {
            "inputs": text,
            "parameters": {"max_new_tokens": 16, "do_sample": False, "return_full_text": False},
        }
    assert set(transport.paths) == {"/generate"}


async def test_completions_are_asked_greedily_one_prompt_at_a_time() -> None:
    transport = FakeTransport(Response(200, J, ANSWERS["openai"]))
    await CompletionsClient(transport, model="emo").generate(POST, PARAMS, timeout_s=1.0)
    assert transport.paths == ["/v1/completions"]
    assert transport.sent[0] == {
        "model": "emo", "prompt": POST, "max_tokens": 16, "temperature": 0, "n": 1, "stream": False,
    }  # fmt: skip


async def test_a_grammar_goes_to_tgi_where_it_is_switched_on() -> None:
    transport = FakeTransport(Response(200, J, ANSWERS["tgi"]))
    client = TgiClient(transport, grammar=True)
    await client.generate(POST, GRAMMAR, timeout_s=1.0)
    await client.generate(POST, PARAMS, timeout_s=1.0)
    sent = [msgspec.convert(body["parameters"], dict[str, object]) for body in transport.sent]
    assert sent[0]["grammar"] == {"type": "regex", "value": r"0\.\d{3}"}
    assert "grammar" not in sent[1]


async def test_a_server_without_grammars_is_asked_again_without_and_told_of_once() -> None:
    unsupported = Response(
        422, J, json_of("Input validation error: grammar is not supported", "validation")
    )
    answer = Response(200, J, ANSWERS["tgi"])
    transport = FakeTransport(unsupported, answer, answer)
    client = TgiClient(transport, grammar=True)
    with capture_logs() as logs:
        first = await client.generate(POST, GRAMMAR, timeout_s=1.0)
        second = await client.generate(POST, GRAMMAR, timeout_s=1.0)
    assert isinstance(first, Generation)
    assert isinstance(second, Generation)
    assert len(transport.sent) == 3
    assert [log["event"] for log in logs] == [GRAMMAR_OFF]


@pytest.mark.parametrize(
    ("configured", "owner", "field"),
    [
        ("vllm", "", {"structured_outputs": {"regex": r"0\.\d{3}"}}),
        ("sglang", "", {"regex": r"0\.\d{3}"}),
        ("llamacpp", "", {}),
        ("openai", "somebody", {}),
        ("openai", "vllm", {"structured_outputs": {"regex": r"0\.\d{3}"}}),
        ("openai", "sglang", {"regex": r"0\.\d{3}"}),
    ],
)
async def test_a_grammar_goes_where_each_server_looks_for_it(
    configured: str, owner: str, field: dict[str, object]
) -> None:
    card = {"id": "emo", "owned_by": owner, "max_model_len": 2048}
    models = Response(200, J, msgspec.json.encode({"object": "list", "data": [card]}))
    transport = FakeTransport(models, Response(200, J, ANSWERS["openai"]))
    client = CompletionsClient(transport, dialect=configured, grammar=True)
    info = await client.info(timeout_s=1.0)
    told = next((one for one in (configured, owner) if one in {"vllm", "sglang", "llamacpp"}), None)
    assert info == ServerInfo(
        dialect="openai", model_id="emo", max_total_tokens=2048, software=told
    )
    await client.generate(POST, GRAMMAR, timeout_s=1.0)
    sent = transport.sent[0]
    assert sent["model"] == "emo"
    known = {"model", "prompt", "max_tokens", "temperature", "n", "stream"}
    assert {name: value for name, value in sent.items() if name not in known} == field


async def test_the_context_of_a_server_that_speaks_completions_is_learned() -> None:
    llama_cpp = {"id": "emo", "meta": {"n_ctx_train": 4096, "n_ctx": 1024}}
    models = Response(200, J, msgspec.json.encode({"data": [llama_cpp]}))
    info = await CompletionsClient(FakeTransport(models)).info(timeout_s=1.0)
    assert isinstance(info, ServerInfo)
    assert info.max_total_tokens == 1024
    bare = Response(200, J, msgspec.json.encode({"data": [{"id": "emo"}]}))
    client = CompletionsClient(FakeTransport(bare, Response(200, J, INFO)))  # TGI in this dialect
    info = await client.info(timeout_s=1.0)
    assert isinstance(info, ServerInfo)
    assert (info.max_input_tokens, info.max_total_tokens) == (1024, 2048)
    client = CompletionsClient(FakeTransport(bare, Response(404, J, b"")))
    info = await client.info(timeout_s=1.0)
    assert info == ServerInfo(dialect="openai", model_id="emo")


async def test_the_configured_one_of_several_models_is_asked() -> None:
    body = b'{"data":[{"id":"base"},{"id":"emo-lora","max_model_len":1024}]}'
    client = CompletionsClient(FakeTransport(Response(200, J, body)), model="emo-lora")
    info = await client.info(timeout_s=1.0)
    assert info == ServerInfo(dialect="openai", model_id="emo-lora", max_total_tokens=1024)


async def test_a_prompt_that_no_body_can_carry_is_refused_here(dialect: str) -> None:
    transport = FakeTransport(Response(200, J, ANSWERS[dialect]))
    client = CLIENTS[dialect](transport)
    for text in ("half a pair \ud83d", "x" * 2_000_001):
        assert isinstance(await client.generate(text, PARAMS, timeout_s=1.0), Refused)
    assert transport.sent == []


async def test_no_error_repeats_the_prompt(dialect: str) -> None:
    for message in (f"bad input: {POST!r}", f"[{{'input': '{POST}'}}]", POST):
        for body in (json_of(message, "validation"), msgspec.json.encode({"message": message})):
            client = CLIENTS[dialect](FakeTransport(Response(400, J, body)))
            error = await client.generate(f"Human: {POST}. Assistant:", PARAMS, timeout_s=1.0)
            assert isinstance(error, Refused)
            assert "Xanthippe" not in str(error)


async def test_the_servers_message_is_kept_but_not_all_of_it() -> None:
    client = TgiClient(FakeTransport(Response(424, J, json_of("shard " * 1000, "generation"))))
    error = await client.generate(POST, PARAMS, timeout_s=1.0)
    assert isinstance(error, GenerationFailed)
    assert str(error).startswith("/generate: status 424: shard shard")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (INFO, ServerInfo(dialect="tgi", model_id="model", max_concurrent_requests=128,
         max_input_tokens=1024, max_total_tokens=2048, version="3.3.6-dev0", software="tgi")),
        (b'{"model_id":"m","model_sha":"abc","max_input_length":512,"max_total_tokens":1024}',
         ServerInfo(dialect="tgi", model_id="m", model_revision="abc", max_input_tokens=512,
         max_total_tokens=1024)),
        (b'{"model_id":"m","router":"text-generation-router","docker_label":"emostream"}',
         ServerInfo(dialect="tgi", model_id="m", software="emostream")),
        (b'{"model_id":"m","new_field":{"a":[1]}}', ServerInfo(dialect="tgi", model_id="m")),
    ],
)  # fmt: skip
async def test_info_is_read_leniently(body: bytes, expected: ServerInfo) -> None:
    assert await TgiClient(FakeTransport(Response(200, J, body))).info(timeout_s=1.0) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"model_id":1}', b"[]"])
async def test_info_that_is_none_is_unavailable(dialect: str, body: bytes) -> None:
    client = CLIENTS[dialect](FakeTransport(Response(200, J, body)))
    assert isinstance(await client.info(timeout_s=1.0), Unavailable)


MODELS = Response(200, J, b'{"data":[{"id":"emo","owned_by":"vllm"}]}')


async def test_tgi_is_found_by_its_info() -> None:
    found = await detect(
        ServerOptions(url="http://gpu"),
        timeout_s=1.0,
        transport=FakeTransport(info=Response(200, J, INFO), v1_models=MODELS),
    )
    assert isinstance(found, TgiClient)


@pytest.mark.parametrize("info", [404, 405, 200])
async def test_openai_is_found_by_its_models(info: int) -> None:
    body = b'{"name":"some other program"}'
    transport = FakeTransport(info=Response(info, J, body), v1_models=MODELS)
    found = await detect(ServerOptions(url="http://gpu"), timeout_s=1.0, transport=transport)
    assert isinstance(found, CompletionsClient)


@pytest.mark.parametrize(
    ("info", "models", "kind", "words"),
    [
        (404, 404, WrongRequest, "neither"),
        (503, 200, Unavailable, "status 503"),
        (404, 401, Unauthorized, "status 401"),
        (308, 308, WrongRequest, "it redirects, to https or to another path"),
    ],
)
async def test_a_server_that_is_neither_says_why(
    info: int, models: int, kind: type[ModelError], words: str
) -> None:
    transport = FakeTransport(info=Response(info, "", b""), v1_models=Response(models, "", b""))
    found = await detect(ServerOptions(url="http://gpu"), timeout_s=1.0, transport=transport)
    assert type(found) is kind
    assert words in str(found)
    assert transport.closed


def test_a_configured_dialect_is_taken_at_its_word() -> None:
    transport = FakeTransport(Response(404, "", b""))
    for name, kind in (("tgi", TgiClient), ("vllm", CompletionsClient), ("auto", type(None))):
        client = make_client(ServerOptions(url="http://gpu", dialect=name), transport)
        assert isinstance(client, kind)
    assert transport.paths == []


# ---- on real sockets


async def test_a_call_ends_in_time_however_the_server_misbehaves(dialect: str) -> None:
    async def cut(_: Request, connection: Connection) -> None:
        await connection.write(http(200, ANSWERS[dialect])[:-3])
        connection.close()

    async def drip(_: Request, connection: Connection) -> None:
        await connection.write(http(200, ANSWERS[dialect])[:40])
        await connection.until_closed()

    async def shut(_: Request, connection: Connection) -> None:
        connection.close()

    for behave, kind in (
        (cut, Unavailable), (hanging, TimedOut), (drip, TimedOut), (shut, Unavailable),
    ):  # fmt: skip
        async with RawServer(answering(200, ANSWERS[dialect])) as server:
            client = CLIENTS[dialect](HttpTransport(ServerOptions(url=server.url)))
            # Connected before, so that none of the short time is spent on that.
            assert isinstance(await client.generate(POST, PARAMS, timeout_s=30.0), Generation)
            server.behave = behave
            # What ends by itself gets time enough, however busy the machine is.
            timeout_s = 0.05 if kind is TimedOut else 30.0
            assert type(await client.generate(POST, PARAMS, timeout_s=timeout_s)) is kind
            await client.aclose()


async def test_a_cancelled_prompt_frees_its_place_on_the_server(dialect: str) -> None:
    async with RawServer(hanging) as server:
        client = CLIENTS[dialect](HttpTransport(ServerOptions(url=server.url)))
        task = asyncio.ensure_future(client.generate(POST, PARAMS, timeout_s=60.0))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.connections[0].closed.wait(), 5.0)
        await client.aclose()


async def test_a_server_that_is_gone_is_unavailable(dialect: str) -> None:
    with socket.socket() as gone:
        # Bound and not listening: nobody else is given this port meanwhile.
        gone.bind(("127.0.0.1", 0))
        client = CLIENTS[dialect](
            HttpTransport(ServerOptions(url=f"http://127.0.0.1:{gone.getsockname()[1]}"))
        )
        assert type(await client.generate(POST, PARAMS, timeout_s=5.0)) is Unavailable
        await client.aclose()
