"""What `emostream doctor` looks at: configuration, broker, topics, model servers, canary."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumer.analysis.canary import prover
from consumer.analysis.plan import make_plan
from consumer.app import kafka_options, server_options
from consumer.delivery.checks import check_topics
from consumer.settings import Settings
from emollm.clients import ServerOptions, detect
from emollm.errors import ModelError, WrongModel
from emollm.pool import advice
from emollm.protocol import ModelClient
from runtime.errors import Misconfigured
from runtime.kafka.access import refusal
from runtime.settings import ConfigError

_KAFKA_S = 10.0
_SERVER_S = 10.0
_CANARY_S = 120.0
"""A 13-billion model on a busy GPU takes seconds; past this, posts would fare no better."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    part: str
    state: Literal["ok", "bad", "skipped"]
    message: str
    """What was found; where it is bad, what to change."""


async def diagnose(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything the consumer needs, in the order in which it needs it."""
    existing: set[str] | None = None
    try:
        options = kafka_options(settings)
        existing, brokers = await _cluster(settings, options.security)
        yield _ok("broker", f"{settings.kafka.bootstrap} answers, {brokers} in the cluster")
    except ConfigError as error:
        yield _bad("broker", str(error))
    except (KafkaError, OSError, TimeoutError) as error:
        refused = await refusal(settings.kafka.bootstrap, options.security)
        why = type(error).__name__ if refused is None else f"{type(refused).__name__}: {refused}"
        yield _bad(
            "broker",
            f"{settings.kafka.bootstrap} doesn't let us in ({why}): is it"
            " running, are kafka.tls and kafka.sasl right? `emostream broker` runs one here",
        )
    if existing is None:
        yield _skipped("topics", "no broker to ask")
    else:
        try:
            check_topics(options, existing)
            yield _ok("topics", _topics(settings, existing))
        except Misconfigured as error:
            yield _bad("topics", str(error))
    for server in server_options(settings):
        async for finding in _server(settings, server):
            yield finding


async def _cluster(settings: Settings, security: dict[str, object]) -> tuple[set[str], int]:
    async with asyncio.timeout(_KAFKA_S):
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap, **security)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            return set(await admin.list_topics()), len(cluster["brokers"])
        finally:
            await admin.close()


def _topics(settings: Settings, existing: set[str]) -> str:
    read = sorted(topic for topic in existing if settings.input.reads(topic))
    if not read:
        return f"none matches {settings.input.pattern!r} yet; new ones are found as they come"
    output = settings.output
    return f"{', '.join(read)} → {output.events_topic}, {output.dlq_topic}"


async def _server(settings: Settings, server: ServerOptions) -> AsyncIterator[Finding]:
    part = f"server {server.shown}"
    client: ModelClient | Exception
    try:
        client = await detect(server, timeout_s=_SERVER_S)
    except OSError as error:  # a CA file that can't be read
        client = error
    if isinstance(client, Exception):
        yield _bad(part, advice(client) if isinstance(client, ModelError) else str(client))
        yield _skipped("canary", "no model to ask")
        return
    try:
        info = await client.info(timeout_s=_SERVER_S)
        if isinstance(info, ModelError):
            yield _bad(part, advice(info))
            yield _skipped("canary", "no model to ask")
            return
        limit = info.max_concurrent_requests
        yield _ok(
            part,
            f"{settings.model.name or info.model_id}, {info.dialect} {info.version or ''}".rstrip()
            + (f", {limit} requests at once" if limit else ""),
        )
        plan = make_plan(settings.tasks, settings.tasks.custom_tasks())
        async with asyncio.timeout(_CANARY_S):
            problem = await prover(settings.model, plan.tasks)(client)
        if problem is None:
            yield _ok("canary", f"known texts are answered as an EmoLLM would ({plan.signature})")
        else:
            # What is wrong with the model, the canary itself says best.
            yield _bad(
                "canary", str(problem) if isinstance(problem, WrongModel) else advice(problem)
            )
    except TimeoutError:
        yield _bad("canary", f"not answered within {_CANARY_S:g} s: is the GPU busy or missing?")
    finally:
        await client.aclose()


def _ok(part: str, message: str) -> Finding:
    return Finding(part=part, state="ok", message=message)


def _bad(part: str, message: str) -> Finding:
    return Finding(part=part, state="bad", message=message)


def _skipped(part: str, message: str) -> Finding:
    return Finding(part=part, state="skipped", message=message)
