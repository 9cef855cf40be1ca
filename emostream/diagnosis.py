"""What `emostream doctor` looks at: configuration, Kafka, the data, model servers, canary."""

import asyncio
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumer.analysis.canary import prover
from consumer.analysis.plan import make_plan
from consumer.app import kafka_options, server_options
from consumer.assembly import second_server_options, second_tasks
from consumer.delivery.checks import check_topics
from consumer.settings import ModelServers, Settings
from consumer.traces import is_on
from emollm.clients import ServerOptions, detect
from emollm.errors import ModelError, WrongModel
from emollm.pool import advice
from emollm.protocol import ModelClient, ServerInfo
from emollm.tasks import Task
from emostream.collector_check import CollectorRefusesError, check_collector
from emostream.custom_questions import ask_custom_tasks
from emostream.findings import Finding, bad, ok, skipped
from emostream.recent_records import describe, healthy, recent_records, sample
from emostream.registry_findings import look_at_registry, schemas_for
from emostream.two_models import POSTS, agreement, judged
from runtime.errors import Misconfigured
from runtime.kafka import unclosed
from runtime.kafka.access import refusal
from runtime.kafka.connection import Broker
from runtime.kafka.diagnosis import diagnose as why_kept_out
from runtime.kafka.errors import KafkaFault
from runtime.kafka.group_rights import group_facts
from runtime.kafka.options import KafkaOptions
from runtime.kafka.rights import missing_rights
from runtime.kafka.transaction_support import transaction_support
from runtime.settings import ConfigError

_KAFKA_S = 10.0
_SERVER_S = 10.0
_DATA_S = 20.0
"""For twenty records; a topic log itself waits 30 s for a broker that stalls."""
_CANARY_S = 120.0
"""A 13-billion model on a busy GPU takes seconds; past this, posts would fare no better."""


async def diagnose(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything the consumer needs, in the order in which it needs it."""
    async for finding in _kafka(settings):
        yield finding
    async for finding in look_at_registry(settings):
        yield finding
    plan = make_plan(settings.tasks, settings.tasks.custom_tasks())
    ours: list[ServerOptions] = []
    theirs: list[ServerOptions] = []
    for server in server_options(settings):
        usable = True
        async for finding in _server(settings.model, server, plan.tasks):
            usable = usable and finding.state == "ok"
            yield finding
        ours += [server] * usable
    for server in second_server_options(settings):
        tasks, usable = second_tasks(settings, plan), True
        async for finding in _server(settings.model.second, server, tasks, of="second "):
            usable = usable and finding.state == "ok"
            yield finding
        theirs += [server] * usable
    if settings.model.second.servers:
        asked = bool(ours and theirs)
        yield await (_agreement(settings, ours[0], theirs[0]) if asked else _no_agreement())
    if is_on(settings):
        yield await _collector(settings)


async def _kafka(settings: Settings) -> AsyncIterator[Finding]:
    try:
        options = kafka_options(settings)
    except ConfigError as error:  # a certificate's file
        yield bad("broker", str(error))
        yield skipped("topics", "no broker to ask")
        return
    unclosed.install()
    admin = AIOKafkaAdminClient(bootstrap_servers=options.bootstrap, **options.security)
    try:
        async with asyncio.timeout(_KAFKA_S):
            await admin.start()
            brokers = len((await admin.describe_cluster())["brokers"])
            existing = set(await admin.list_topics())
        yield ok("broker", f"{options.bootstrap} answers, {brokers} in the cluster")
        try:
            check_topics(options, existing)
            yield ok("topics", _topics(settings, existing))
        except Misconfigured as error:
            yield bad("topics", str(error))
        read = sorted(topic for topic in existing if settings.input.reads(topic))
        async with asyncio.timeout(_KAFKA_S):
            yield await _rights(admin, options, read)
            yield await _group(admin, options)
        if options.guarantee == "exactly-once":
            yield await _transactions(admin, options, brokers)
    except (KafkaError, OSError, TimeoutError) as error:
        yield bad("broker", await _no_way_in(options, error))
        yield skipped("topics", "no broker to ask")
        return
    finally:
        await admin.close()
    yield await _data(
        settings, Broker(bootstrap=options.bootstrap, security=options.security), read
    )


async def _no_way_in(options: KafkaOptions, error: Exception) -> str:
    found = await why_kept_out(options.bootstrap, options.security)
    if found is not None:
        return found.words
    refused = await refusal(options.bootstrap, options.security)
    why = type(error).__name__ if refused is None else f"{type(refused).__name__}: {refused}"
    return f"{options.bootstrap} refuses us ({why}): are kafka.tls and kafka.sasl right?"


async def _rights(
    admin: AIOKafkaAdminClient, options: KafkaOptions, input_topics: list[str]
) -> Finding:
    missing = await missing_rights(admin, options, input_topics)
    if missing:
        words = ", ".join(map(str, missing))
        return bad("rights", f"this user lacks {words}: grant it (docs/security.md has them all)")
    return ok("rights", "to read posts and join the group, to write events and dead letters")


async def _group(admin: AIOKafkaAdminClient, options: KafkaOptions) -> Finding:
    name = options.group_id
    try:
        facts = await group_facts(admin._client, name)  # noqa: SLF001 - it has no way of its own
    except KafkaError as error:  # not one yet, or not ours to see: `rights` says that
        return skipped("group", f"{name} can't be looked at now ({type(error).__name__})")
    if not facts.members:
        return ok("group", f"{name} has no members yet")
    if facts.foreign:
        return bad(
            "group",
            f"{name} is another program's ({facts.protocol_type}, {facts.assignor or 'unknown'}):"
            " give input.group_id a name of its own, or stop that program",
        )
    return ok("group", f"{name} has {facts.members} member{'s' * (facts.members != 1)}")


async def _transactions(admin: AIOKafkaAdminClient, options: KafkaOptions, brokers: int) -> Finding:
    try:
        async with asyncio.timeout(_KAFKA_S):
            found = await transaction_support(admin, options)
    except TimeoutError:
        return bad(
            "transactions",
            "no broker coordinates transactions: transaction.state.log.replication.factor and "
            "transaction.state.log.min.isr must fit the number of brokers that are up",
        )
    if found.problem:
        return bad("transactions", found.problem)
    if found.replicas == 1 and brokers > 1:
        return bad(
            "transactions",
            "the log of transactions has one copy in a cluster of several brokers: give "
            "__transaction_state three (transaction.state.log.replication.factor)",
        )
    copies = f", their log has {found.replicas} copies" if found.replicas > 1 else ""
    return ok("transactions", f"possible for ids that begin with {options.check_id[:-5]}{copies}")


async def _data(settings: Settings, broker: Broker, topics: list[str]) -> Finding:
    try:
        async with asyncio.timeout(_DATA_S):
            records = await recent_records(broker, topics)
            schemas = await schemas_for(settings, records)
    except (KafkaFault, KafkaError, OSError, TimeoutError) as error:
        return bad("data", f"the input topics can't be read: {error or type(error).__name__}")
    if not records:
        return skipped("data", "the input topics hold no records yet")
    found = sample(records, settings, schemas)
    state = ok if healthy(found) else bad
    return state("data", describe(found, settings))


def _topics(settings: Settings, existing: set[str]) -> str:
    read = sorted(topic for topic in existing if settings.input.reads(topic))
    if not read:
        return f"none matches {settings.input.pattern!r} yet; new ones are found as they come"
    output = settings.output
    return f"{', '.join(read)} → {output.events_topic}, {output.dlq_topic}"


async def _collector(settings: Settings) -> Finding:
    try:
        return ok("traces", await check_collector(settings))
    except CollectorRefusesError as error:
        return bad("traces", str(error))


async def _no_agreement() -> Finding:
    return skipped("agreement", "both models have to answer first")


async def _agreement(settings: Settings, ours: ServerOptions, theirs: ServerOptions) -> Finding:
    """Whether the second model knows what is posted: both are asked about recent posts."""
    try:
        options = kafka_options(settings)
        broker = Broker(bootstrap=options.bootstrap, security=options.security)
        async with asyncio.timeout(_DATA_S):
            admin = AIOKafkaAdminClient(bootstrap_servers=options.bootstrap, **options.security)
            try:
                await admin.start()
                existing = await admin.list_topics()
            finally:
                await admin.close()
            topics = sorted(topic for topic in existing if settings.input.reads(topic))
            records = await recent_records(broker, topics, count=POSTS)
            schemas = await schemas_for(settings, records)
    except (ConfigError, KafkaFault, KafkaError, OSError, TimeoutError):
        return skipped("agreement", "the input topics can't be read")
    texts = [post.text for post in sample(records, settings, schemas).posts]
    model = settings.model
    try:
        async with asyncio.timeout(_CANARY_S):
            found = await agreement(
                (model, ours),
                (model.second, theirs),
                texts,
            )
    except (TimeoutError, OSError, ValueError):
        return skipped("agreement", "the models did not answer about recent posts in time")
    return judged(found)


async def _server(
    model: ModelServers, server: ServerOptions, tasks: tuple[Task, ...], *, of: str = ""
) -> AsyncIterator[Finding]:
    part = f"{of}server {server.shown}"
    client: ModelClient | Exception
    try:
        client = await detect(server, timeout_s=_SERVER_S)
    except OSError as error:  # a CA file that can't be read
        client = error
    if isinstance(client, Exception):
        yield bad(
            part, advice(client, model.section) if isinstance(client, ModelError) else str(client)
        )
        yield skipped(f"{of}canary", "no model to ask")
        return
    try:
        info = await client.info(timeout_s=_SERVER_S)
        if isinstance(info, ModelError):
            yield bad(part, advice(info, model.section))
            yield skipped(f"{of}canary", "no model to ask")
            return
        limit = info.max_concurrent_requests
        yield ok(
            part,
            f"{model.name or info.model_id}, {info.dialect} {info.version or ''}".rstrip()
            + (f", {limit} requests at once" if limit else "")
            + _tell_apart(model, info),
        )
        async with asyncio.timeout(_CANARY_S):
            problem = await prover(model, tasks)(client)
        if problem is None:
            asked = ", ".join(task.name for task in tasks)
            yield ok(f"{of}canary", f"known texts are answered as an EmoLLM would ({asked})")
            async for reply in ask_custom_tasks(client, info, model, tasks):
                said = ok if reply.readable else bad
                yield said(f"{of}task {reply.task}", reply.words)
        else:
            # What is wrong with the model, the canary itself says best.
            words = (
                str(problem) if isinstance(problem, WrongModel) else advice(problem, model.section)
            )
            yield bad(f"{of}canary", words)
    except TimeoutError:
        yield bad(
            f"{of}canary", f"not answered within {_CANARY_S:g} s: is the GPU busy or missing?"
        )
    finally:
        await client.aclose()


def _tell_apart(model: ModelServers, info: ServerInfo) -> str:
    """Recommend what makes the model part of events' ids: they hold only what is configured."""
    served = (("name", info.model_id), ("revision", info.model_revision))
    unset = [
        f'{model.section}.{key} = "{value}"'
        for key, value in served
        if value and not getattr(model, key)
    ]
    if not unset:
        return ""
    return f"; recommended, so that event ids tell models apart: {' and '.join(unset)}"
