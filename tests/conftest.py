"""Fixtures that every suite may lean on: the real broker."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from infra.kafka import EmbeddedKafka
from tests.runtime.kafka.guarded import Guarded, guarded_kafka

# A busy machine makes examples slow, and nothing wrong: no test fails for its time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
# For `make unit-light`, where a change is tried in seconds (`make test` draws a hundred), and for
# `make coverage`, which slows an example down.
settings.register_profile("light", settings.get_profile("suite"), max_examples=10)

# A shell that runs the tests in the background (`make test &` in a script) has its children ignore
# Ctrl-C, and theirs: the commands that tests interrupt would run on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real Kafka or a browser: `make unit-light` leaves it out."""
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        if {"kafka", "guarded"} & set(fixtures) or hasattr(
            getattr(item, "module", None), "EmbeddedKafka"
        ):
            item.add_marker("kafka")
        if "chromium" in fixtures:
            item.add_marker("browser")


@pytest.fixture(scope="session")
async def kafka() -> AsyncIterator[EmbeddedKafka]:
    """One real Apache Kafka for the whole run; each test makes topics of its own."""
    async with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """Another, with TLS, SASL and rights: it lets in only whom a test told it to."""
    async with guarded_kafka(tmp_path_factory.mktemp("guarded")) as found:
        yield found


@pytest.fixture
def bootstrap(kafka: EmbeddedKafka) -> str:
    return kafka.bootstrap


@pytest.fixture
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What asyncio complains of; of what is forgotten, once `gc.collect()` finds it.

    Tests share one loop: what others have left is collected before.
    """
    gc.collect()
    loop, heard = asyncio.get_running_loop(), list[dict[str, Any]]()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    yield heard
    gc.collect()
    loop.set_exception_handler(before)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets logging up; the next test starts without."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configured = structlog.is_configured()
    libraries = {name: logging.getLogger(name).level for name in ("aiokafka", "apprise")}
    yield
    for name, own_level in libraries.items():  # commands silence them
        logging.getLogger(name).setLevel(own_level)
    if structlog.is_configured() and not configured:
        structlog.reset_defaults()
        root.handlers[:] = [one for one in root.handlers if one in handlers] or handlers
        root.setLevel(level)
