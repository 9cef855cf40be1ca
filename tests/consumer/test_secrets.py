"""No secret leaves through a log line, a repr, an error or an event, whichever is configured."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from consumer.app import kafka_options, run, server_options
from consumer.assembly import second_server_options
from consumer.options import Until
from consumer.settings import Settings
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import KafkaFault
from runtime.kafka.security import client_security
from runtime.settings.section import Section
from runtime.telemetry.logging import setup_logging
from tests.runtime.kafka.fake_kafka import FakeKafka
from tests.tgi import FakeTgi

MARK = "sekrit"


def secrets(model: type[BaseModel] = Settings, path: str = "") -> Iterator[tuple[str, str]]:
    """Every secret setting by its path: one that is added later is held, too."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from secrets(kind, f"{path}{name}.")
            yield from (
                (f"{path}{name}.{one}", f"{MARK}-of-{one}-0123456") for one in kind.secrets()
            )


def whole(url: str, second: str = "http://127.0.0.1:2") -> Settings:
    values: dict[str, Any] = {
        "kafka": {
            "bootstrap": "127.0.0.1:1",
            "tls": {"enabled": True},
            "sasl": {"mechanism": "SCRAM-SHA-512", "username": f"{MARK}-user"},
        },
        "model": {"servers": [url], "wait_s": 5, "second": {"servers": [second]}},
        "http": {"port": 0},
        # Nobody listens there: what the exporter says of that is searched, too.
        "tracing": {"endpoint": "http://127.0.0.1:1", "sample_ratio": 1},
        "registry": {"username": f"{MARK}-user"},
    }
    for path, secret in secrets():
        *sections, name = path.split(".")
        table = values
        for section in sections:
            table = table.setdefault(section, {})
        if path != "registry.token":  # it goes instead of the password
            table[name] = f"x-key={secret}" if name == "headers" else secret
    return Settings(**values)


@pytest.fixture
def out() -> io.StringIO:
    """A log of everything, until the end of the test: `tests/conftest.py` puts logging back."""
    stream = io.StringIO()
    setup_logging("json", "debug", stream)
    logging.getLogger().setLevel(logging.DEBUG)
    return stream


def test_all_secrets_are_known() -> None:
    assert {path for path, _ in secrets()} == {
        *("kafka.tls.key_password", "kafka.sasl.password", "kafka.sasl.client_secret"),
        *("output.author_key", "model.token", "model.second.token", "tracing.headers"),
        *("registry.password", "registry.token", "registry.key_password"),
    }


def test_no_repr_shows_one() -> None:
    settings = whole("http://127.0.0.1:1")
    options = kafka_options(settings)
    assert MARK in str(options.security)
    shown = (
        repr([*server_options(settings), *second_server_options(settings)])
        + repr(options)
        + f"{options}"
    )
    model = settings.model
    tokens = (
        settings.kafka.sasl.password,
        model.token,
        model.second.token,
        settings.tracing.headers,
        settings.registry.password,
        settings.registry.key_password,
    )
    for one in (*tokens, settings.output.author_key):
        assert one.get_secret_value() not in repr(settings)
    assert MARK not in shown
    oauth = settings.kafka.sasl.model_copy(
        update={"mechanism": "OAUTHBEARER", "token_url": "http://x"}
    )
    assert f"{MARK}-of" not in repr(
        client_security(settings.kafka.model_copy(update={"sasl": oauth}))
    )


async def test_a_run_with_all_of_them_set_tells_none(out: io.StringIO) -> None:
    broker = FakeKafka({"posts": 1, "affect.events": 1, "affect.dlq": 1})
    post = {"id": "1", "text": "Hello there.", "author": "ann@x"}
    broker.produce("posts", [json.dumps(post).encode(), b"junk", None])
    async with FakeTgi() as tgi, FakeTgi() as small:
        settings = whole(tgi.url, small.url)
        bounds = {"until": Until(max_records=3), "signals": False, "make_brokers": broker.brokers}
        assert await run(settings, **bounds) == 0  # type: ignore[arg-type]
        small.status = 401
        tgi.status = 401
        assert await run(settings, **bounds) == 3  # type: ignore[arg-type]
    consumer = AiokafkaBrokers(kafka_options(settings)).consumer()
    with pytest.raises(KafkaFault) as error:
        await consumer.start()
    written = out.getvalue() + repr(error.value) + repr(broker.values("affect.events"))
    assert '"event": "stopped"' in written
    assert "Unauthorized" in written
    assert MARK not in written
    for headers in (record.headers for log in broker.logs.values() for record in log.records):
        assert MARK not in repr(headers)
