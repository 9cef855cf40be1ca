"""Logs are facts by name, and never a post's text, a handle or a secret."""

import ast
import io
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog

import consumer
import runtime
from consumer.telemetry import log_events as consumer_events
from emollm.errors import Refused
from runtime.telemetry import log_events
from runtime.telemetry.logging import REDACTED, setup_logging

ROOT = Path(__file__).parents[3]


@pytest.fixture
def out() -> io.StringIO:
    """A log, until the end of the test: `tests/conftest.py` puts logging back."""
    stream = io.StringIO()
    setup_logging("json", "info", stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_event_first(out: io.StringIO) -> None:
    structlog.get_logger("consumer").info("started", group="g")
    assert list(lines(out)[0]) == ["timestamp", "level", "event", "group"]
    assert lines(out)[0]["group"] == "g"


def test_what_is_below_the_level_is_not_written(out: io.StringIO) -> None:
    structlog.get_logger("consumer").debug("started")
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    "key",
    [
        *("text", "author", "handle", "password", "sasl_password", "token", "author_key"),
        *("prompt", "answer", "value", "Authorization", "client_secret", "meta", "username"),
    ],
)
def test_sensitive_keys_are_redacted(out: io.StringIO, key: str) -> None:
    structlog.get_logger("consumer").info("started", **{key: "sekrit", "deep": {key: "sekrit"}})
    assert "sekrit" not in out.getvalue()
    assert lines(out)[0][key] == REDACTED


@pytest.mark.parametrize(
    "value",
    ["http://user:sekrit@gpu:80/x", "sent Bearer sekrit", b"sekrit", ["http://u:sekrit@h"]],
)
def test_secrets_inside_values_are_redacted(out: io.StringIO, value: object) -> None:
    structlog.get_logger("consumer").info("started", seen=value)
    assert "sekrit" not in out.getvalue()


def test_counts_by_a_name_are_no_secrets(out: io.StringIO) -> None:
    log = structlog.get_logger()
    log.info("progress", skipped={"lang": 1, "not_a_post": 2, "post": "words", "known": 3}, post=4)
    line = json.loads(out.getvalue())
    assert line["skipped"] == {"lang": 1, "not_a_post": 2, "post": "[redacted]", "known": 3}
    assert list(line["skipped"]) == ["lang", "not_a_post", "post", "known"]
    assert line["post"] == "[redacted]"


def test_a_value_that_is_too_long_to_be_a_fact_is_cut(out: io.StringIO) -> None:
    structlog.get_logger("consumer").info("started", seen="x" * 100_000)
    assert len(out.getvalue()) < 3_000


def test_an_exceptions_message_is_written_only_when_it_is_ours(out: io.StringIO) -> None:
    try:
        try:
            raise ValueError("sekrit post")
        except ValueError as error:
            raise Refused("inputs too long") from error
    except Refused:
        structlog.get_logger("consumer").exception("failed")
    assert "sekrit" not in out.getvalue()
    exception = lines(out)[0]["exception"]
    assert "ValueError\n" in exception
    assert exception.endswith("Refused: inputs too long")
    assert "test_logging.py" in exception


def test_libraries_log_the_same_way(out: io.StringIO) -> None:
    logging.getLogger("aiokafka").info("not this")
    try:
        raise ValueError("sekrit post")
    except ValueError:
        logging.getLogger("aiokafka").exception("gone %s", "wrong")
    (line,) = lines(out)
    assert (line["event"], line["logger"], line["level"]) == ("gone wrong", "aiokafka", "error")
    assert "sekrit" not in out.getvalue()


def test_there_are_colours_only_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    written = []
    for stream in (Terminal(), io.StringIO()):
        setup_logging("console", "info", stream)
        structlog.get_logger().info("started")
        written.append(stream.getvalue())
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
    assert "\x1b[" in written[0]
    assert "\x1b[" not in written[1]


@pytest.mark.parametrize(
    ("package", "own"),
    [(consumer, consumer_events), (runtime, log_events)],
    ids=lambda p: p.__name__,
)
def test_every_event_that_is_logged_is_documented_and_every_documented_one_logged(
    package: ModuleType, own: ModuleType
) -> None:
    logged: set[str] = set()
    for path in ROOT.joinpath(package.__name__).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log")), args=[event, *_]):
                    match event:
                        case ast.Attribute(value=ast.Name(id="log_events"), attr=name):
                            logged.add(getattr(own, name))
                        case ast.Attribute(value=ast.Name(id="shared_events")):
                            pass
                        case _:
                            problem = f"{path.name}:{node.lineno}: no name of log_events"
                            assert path.name == "waiting.py", problem  # which is given the name
                case ast.Call(
                    func=ast.Name(id="Waiting"),
                    args=[ast.Attribute(value=ast.Name(id="log_events"), attr=name), *_],
                ):
                    logged.add(getattr(own, name))
    declared = own.EVENTS.meanings
    shared = {
        log_events.HEALTH_LISTENS,
        log_events.KAFKA_REACHABLE,
        log_events.KAFKA_UNREACHABLE,
    }
    elsewhere = shared if own is log_events else set()
    assert logged | elsewhere == declared.keys()
    assert all(meaning.endswith(".") for meaning in declared.values())


def test_an_event_is_declared_once() -> None:
    events = log_events.LogEvents()
    assert events.declare("started", "It is running.") == "started"
    assert "| `started` | It is running. |" in events.to_markdown()
    with pytest.raises(ValueError, match="declared twice"):
        events.declare("started", "It is running again.")
