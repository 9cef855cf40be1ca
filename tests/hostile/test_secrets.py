"""No secret and no post leaves by a log, a metric, an error or a dead letter: real processes.

Every setting that can hold a secret is set, and what comes out is searched for each of them, in
each form in which it may have been written on the way.
"""

import asyncio
import base64
import json
import signal
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import BaseModel

from consumer.settings import Settings, load
from emollm.clients import ServerOptions
from emollm.clients.detect import make_client
from emollm.clients.transport import Response
from emollm.protocol import GenerateParams
from infra.kafka import create_topics, default_topics
from runtime.kafka.topic_log import StoredRecord
from runtime.settings import ConfigError
from tests.hostile.secured import (
    BEARER,
    SECRETS,
    EchoingRefusal,
    Secured,
    TokenEndpoint,
    secret_settings,
    secured_kafka,
)
from tests.http_server import serving
from tests.process import Process, emostream
from tests.tgi import FakeTgi, varied
from tests.topics import stored_records, topic_names

WORDS = "zq9wordsofapost"
"""In every post, in its author and in what is no post."""
POSTS = (
    json.dumps({"id": "1", "text": f"{WORDS} so happy", "author": f"{WORDS}@a.example"}).encode(),
    b'{"id": "2", "text": "' + WORDS.encode(),
    b"\xff" + WORDS.encode(),
    None,
)
SUSPICIOUS = ("secret", "password", "token", "credential", "key", "headers")


def every_setting(model: type[BaseModel] = Settings, path: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += every_setting(kind, f"{path}{name}.")
        else:
            found.append(f"{path}{name}")
    return found


def test_every_setting_that_sounds_like_a_secret_is_one_or_names_a_file() -> None:
    """So that a new one is either of the secret type, and searched for below, or looked at here."""
    no_secrets = {
        "kafka.tls.key_file",
        "kafka.sasl.token_url",
        "model.max_input_tokens",
        "model.allow_plain_token",
        "model.second.max_input_tokens",
        "model.second.allow_plain_token",
        "tracing.allow_plain_headers",
    }
    for path in every_setting():
        if any(word in path.rpartition(".")[2] for word in SUSPICIOUS):
            known = path in SECRETS or path.endswith("_file") or path in no_secrets
            assert known, f"{path}: make it a SecretStr"
    assert len(SECRETS) == 10
    assert set(secret_settings()) == set(SECRETS)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kafka": {"bootstrap": "ann:{}@h:1"}}, "sasl.username"),
        ({"model": {"servers": ["http://ann:{}@h"]}}, "use token"),
        (
            {
                "kafka": {
                    "tls": {"enabled": True},
                    "sasl": {
                        "mechanism": "OAUTHBEARER",
                        "token_url": "https://ann:{}@h/t",
                        "client_id": "i",
                        "client_secret": "{}",
                    },
                }
            },
            "use client_id",
        ),
        ({"kafka": {"sasl": {"passwort": "{}"}}}, "passwort"),
        ({"kafka": {"sasl": {"password": ["{}"]}}}, "password"),
        ({"output": {"author_key": "{}"}}, "author_key"),
        ({"model": {"token": {"{}": "{}"}}}, "token"),
    ],
)
def test_a_refused_setting_is_named_and_not_shown(
    table: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "emostream.toml"
    path.write_text(_toml(json.loads(json.dumps(table).replace("{}", "zq9secret"))))
    with pytest.raises(ConfigError) as error:
        load(path, {"EMOSTREAM_MODEL__TOKENS": "zq9secret"})
    assert words in str(error.value)
    assert "zq9secret" not in str(error.value) + repr(error.value)


def _toml(table: Mapping[str, Any]) -> str:
    """Dotted keys: JSON's spelling of values is TOML's for these."""

    def lines(inner: Mapping[str, Any], path: str) -> list[str]:
        found = []
        for name, value in inner.items():
            if isinstance(value, dict) and path.count(".") < 1 and "zq9secret" not in value:
                found += lines(value, f"{path}{name}.")
            elif isinstance(value, dict):
                pairs = ", ".join(f"{key} = {json.dumps(one)}" for key, one in value.items())
                found.append(f"{path}{name} = {{ {pairs} }}")
            else:
                found.append(f"{path}{name} = {json.dumps(value)}")
        return found

    return "\n".join(lines(table, "")) + "\n"


@pytest.mark.parametrize("dialect", ["tgi", "openai"])
@pytest.mark.parametrize("status", [400, 401, 422, 500])
@pytest.mark.parametrize(
    "options", [{"token": "zq9secretzq9secret"}, {"token": "zq9"}, {"url": "http://u:zq9secretp@h"}]
)
async def test_an_error_holds_no_token_that_the_server_repeats(
    dialect: str, status: int, options: dict[str, str]
) -> None:
    server = ServerOptions(**({"url": "http://h", "dialect": dialect} | options))  # type: ignore[arg-type]
    for secret in server.secrets:
        for message in (f"bad token {secret}", f"x {secret[:12]}", f"{'y' * 190} {secret}"):

            class Refusing:
                url = "http://h"

                async def post(self, *_: Any, message: str = message) -> Response:
                    body = json.dumps({"error": message, "error_type": message}).encode()
                    return Response(status, "application/json", body)

            client = make_client(server, Refusing())  # type: ignore[arg-type]
            assert client is not None
            error = await client.generate("p", GenerateParams(max_new_tokens=1), timeout_s=1)
            assert "withheld" in str(error)
            assert "zq9" not in str(error)


class Place(NamedTuple):
    """Where a run happens."""

    kafka: Secured
    folder: Path
    tgi: FakeTgi
    refusal: EchoingRefusal
    """The model server's."""
    endpoint: TokenEndpoint

    @contextmanager
    def refusing(self, *, model_server: int = 200, endpoint: int = 200) -> Iterator[None]:
        """Let these answer with these statuses until the end of the block."""
        self.refusal.status, self.endpoint.status = model_server, endpoint
        try:
            yield
        finally:
            self.refusal.status = self.endpoint.status = 200


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("secured")
    refusal, endpoint = EchoingRefusal(), TokenEndpoint()
    async with (
        secured_kafka(folder) as kafka,
        FakeTgi(varied, failure=refusal) as tgi,
        serving(("POST", "/token", endpoint.token)) as endpoint_url,
    ):
        endpoint.url = endpoint_url
        yield Place(kafka, folder, tgi, refusal, endpoint)


class Run:
    """One `emostream consume`: its settings and topics."""

    def __init__(self, place: Place, log_format: str) -> None:
        self._place = place
        self._mark = uuid.uuid4().hex[:8]
        self.names = topic_names(self._mark)
        sasl = {"mechanism": "PLAIN", "username": "ann"}
        registry = {"registry.username": "ann"}
        unused = "registry.token"  # it goes instead of the password
        if log_format == "console":
            registry, unused = {}, "registry.password"
            url = f"{place.endpoint.url}/token"
            sasl = {"mechanism": "OAUTHBEARER", "token_url": url, "client_id": "emostream"}
        self.settings: dict[str, Any] = {
            "kafka.bootstrap": place.kafka.sasl,
            "kafka.request_timeout_s": 5,
            "kafka.tls.enabled": True,
            "kafka.tls.ca_file": str(place.kafka.ca_file),
            "kafka.tls.cert_file": str(place.kafka.cert_file),
            "kafka.tls.key_file": str(place.kafka.key_file),
            **{f"kafka.sasl.{name}": value for name, value in sasl.items()},
            **{path: secret for path, secret in SECRETS.items() if path != unused},
            **registry,
            "input.topics": [self.names.posts],
            "input.group_id": self._mark,
            "output.events_topic": self.names.events,
            "output.dlq_topic": self.names.dead_letters,
            "model.servers": [place.tgi.url],
            "model.wait_s": 1,
            "http.port": 0,
            "log.level": "debug",
            # Nobody listens there: what the exporter says of that is searched, too.
            "tracing.endpoint": "http://127.0.0.1:1",
            "tracing.sample_ratio": 1,
            "log.format": log_format,
        }

    def consumer(self, *, secrets_in: str = "toml") -> Process:
        """The process; secrets come from the file, the environment, or files of their own."""
        table, environment = dict(self.settings), {}
        for path in SECRETS.keys() & table.keys():
            secret = table.pop(path)
            if secrets_in == "toml":
                table[path] = secret
            elif secrets_in == "env":
                environment["EMOSTREAM_" + path.upper().replace(".", "__")] = secret
            else:
                file = self._place.folder / f"{self._mark}.{path}"
                file.write_text(f"{secret}\n", encoding="ascii")
                table[f"{path}_file"] = str(file)
        config = self._place.folder / f"{self._mark}.toml"
        lines = (f"{path} = {json.dumps(value)}" for path, value in table.items())
        config.write_text("\n".join(lines), encoding="utf-8")
        return emostream("consume", "--config", str(config), environment=environment)

    async def make_topics(self) -> None:
        bootstrap = {"bootstrap_servers": self._place.kafka.plain}
        await create_topics(bootstrap, default_topics(self.names, partitions=1))

    async def send(self, more: str = "") -> None:
        """All posts; with `more` in the first one, which is another then: answers are kept."""
        producer = AIOKafkaProducer(bootstrap_servers=self._place.kafka.plain)
        await producer.start()
        first, *others = POSTS
        assert first is not None
        for post in (first.replace(b" so", more.encode() + b" so"), *others):
            await producer.send_and_wait(self.names.posts, post, b"k")
        await producer.stop()

    async def written(self) -> list[StoredRecord]:
        """Its events and dead letters, once there are as many as posts; a tombstone is skipped."""
        found: list[StoredRecord] = []
        async with asyncio.timeout(40):
            while len(found) < len(POSTS) - POSTS.count(None):
                found = []
                for topic in (self.names.events, self.names.dead_letters):
                    found += await stored_records(topic, self._place.kafka.plain)
        return found


def _scrape(url: str) -> str:
    """All that its health server serves."""
    found = ""
    for path in ("metrics", "livez", "readyz"):
        with urllib.request.urlopen(f"{url}/{path}", timeout=10) as response:
            found += response.read().decode()
    return found


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as it may be written on the way."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    basic = base64.b64encode(f"emostream:{quote_plus(secret)}".encode()).decode().rstrip("=")
    escaped = {json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.replace("/", "\\/")}
    return {secret, encoded, basic, quote(secret, safe=""), quote_plus(secret), *escaped}


def nothing_leaks(text: str) -> None:
    """Neither a secret nor a post's words."""
    for path, secret in (*SECRETS.items(), ("access token", BEARER)):
        for form in _forms(secret):
            assert form not in text, f"{path} leaks"
    assert base64.b64encode(BEARER.encode()).decode()[:16] not in text
    assert WORDS not in text, "a post's words leak"


@pytest.mark.parametrize(
    ("log_format", "secrets_in"), [("json", "toml"), ("console", "env"), ("json", "files")]
)
async def test_a_run_with_every_secret_set_tells_none(
    place: Place, log_format: str, secrets_in: str
) -> None:
    """Success, dead letters, and at its end a server that says our token back with its 401."""
    run = Run(place, log_format)
    await run.make_topics()
    await run.send()
    async with run.consumer(secrets_in=secrets_in) as consumer:
        ready = await consumer.wait_for_line("consumer is ready")
        records = await run.written()
        scraped = await asyncio.to_thread(_scrape, ready.rpartition("metrics at ")[2])
        with place.refusing(model_server=401):
            await run.send(" still")
            assert await consumer.wait() == 3, consumer.output
    assert "Unauthorized" in consumer.output
    nothing_leaks(consumer.output + scraped)
    reasons = 0
    for record in records:
        for name, value in record.headers:
            nothing_leaks(f"{name}: {value!r}")
            reasons += name.endswith("errors.message")
        # An event holds the post's text, which is its purpose; and never its author's handle.
        shown = (record.value or b"").decode(errors="replace")
        nothing_leaks(shown.replace(WORDS, ""))
        assert reasons or f"{WORDS}@" not in shown
    assert reasons == len(POSTS) - POSTS.count(None) - 1


STARTS: dict[str, tuple[dict[str, Any], int]] = {
    "wrong password": ({"kafka.sasl.password": "zq9-a-wrong-password"}, 3),
    "wrong key password": ({"kafka.tls.key_password": "zq9-a-wrong-password"}, 2),
    "token of a strange sign": ({"model.token": "zq9-a-wrong-password\u20ac"}, 2),
    "no broker": ({"kafka.bootstrap": "127.0.0.1:1"}, 0),  # it waits for one, until it is stopped
    "no model server": ({"model.servers": ["http://127.0.0.1:1"]}, 1),
    "the model server refuses us": ({}, 3),
    "the token endpoint refuses us": ({}, 3),
}


@pytest.mark.parametrize("case", STARTS)
async def test_a_start_that_fails_tells_none(place: Place, case: str) -> None:
    other, status = STARTS[case]
    run = Run(place, "console" if "endpoint" in case else "json")
    run.settings |= other
    await run.make_topics()
    refusing = place.refusing(
        model_server=401 if "model server refuses" in case else 200,
        endpoint=401 if "endpoint" in case else 200,
    )
    with refusing:
        async with run.consumer() as consumer:
            if status == 0:
                await consumer.wait_for_line("kafka_unreachable")
                consumer.signal(signal.SIGTERM)
            assert await consumer.wait() == status, consumer.output
    nothing_leaks(consumer.output)
    assert "zq9-a-wrong" not in consumer.output
    assert "Traceback" not in consumer.output
