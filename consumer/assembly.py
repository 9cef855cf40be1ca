"""The consumer's parts, made from the settings."""

from functools import partial

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.asked_model import AskedModel
from consumer.analysis.cache import AnswerCache
from consumer.analysis.canary import prover
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.kept_pool import KeptPool
from consumer.analysis.model import make_builder, sends_by_length
from consumer.analysis.plan import Plan
from consumer.analysis.second_opinion import SecondOpinion
from consumer.registry import ConsumerRegistry
from consumer.settings import ModelServers, Settings
from consumer.telemetry.meter import Meter
from emollm.clients import ServerOptions
from emollm.pool import Pool, PoolOptions, make_pool
from emollm.tasks import TASKS, Task
from runtime.kafka.options import KafkaOptions
from runtime.kafka.security import client_security
from schemas.headers import JSON_CONTENT


def kafka_options(settings: Settings) -> KafkaOptions:
    """Where posts come from and events go; reads the TLS files.

    Raises:
        ConfigError: a certificate or key file can't be used.
    """
    return settings.kafka_options(client_security(settings.kafka))


def identifiers(settings: Settings) -> Identifiers:
    """What events and dead letters say of people and posts."""
    output = settings.output
    return Identifiers(output.author_key.get_secret_value(), output.identifiers)


def server_options(settings: Settings) -> list[ServerOptions]:
    """Give the model servers, as the pool takes them."""
    return _server_options(settings.model)


def second_server_options(settings: Settings) -> list[ServerOptions]:
    """Give the second model's servers, as its pool takes them; none where it isn't configured."""
    return _server_options(settings.model.second)


def _server_options(model: ModelServers) -> list[ServerOptions]:
    return [
        ServerOptions(
            url=url,
            dialect=model.dialect,
            token=model.token.get_secret_value() or None,
            ca_file=model.ca_file or None,
            model=model.served_name or None,
            grammar=model.grammar,
        )
        for url in model.servers
    ]


async def open_model(settings: Settings, plan: Plan, observer: Meter | None = None) -> Pool:
    """Open the pool of model servers, each proven by the canary.

    Raises:
        emollm.errors.WrongModel: a server answers as no EmoLLM would; names model and server.
        emollm.errors.Stop: no server can be used until a human acts.
        emollm.errors.Retry: none answered within `model.wait_s`.
    """
    pool = make_model_pool(settings.model, plan.tasks, observer)
    await pool.start(wait_s=settings.model.wait_s or None)
    return pool


def make_model_pool(
    model: ModelServers, tasks: tuple[Task, ...], observer: Meter | None = None
) -> Pool:
    """Make the pool of one model's servers, each to be proven by the canary once it is started."""
    return make_pool(
        _server_options(model),
        PoolOptions(
            timeout_s=model.timeout_s,
            max_concurrency=model.max_concurrency,
            section=model.section,
            by_length=partial(sends_by_length, model),
        ),
        prove=prover(model, tasks),
        observer=observer,
    )


def keep_second(settings: Settings, plan: Plan, observer: Meter | None = None) -> KeptPool | None:
    """Make what keeps the second model's pool open; None where no second is configured."""
    second = settings.model.second
    if not second.servers:
        return None
    tasks = second_tasks(settings, plan)
    return KeptPool(lambda: make_model_pool(second, tasks, observer))


def second_tasks(settings: Settings, plan: Plan) -> tuple[Task, ...]:
    """The tasks that the second model is asked: the EmoLLMs' own, and those named for it."""
    names = {*TASKS, *settings.model.second.second_tasks}
    return tuple(task for task in plan.tasks if task.name in names)


def make_analyzer(
    settings: Settings,
    plan: Plan,
    pool: Pool,
    meter: Meter | None = None,
    *,
    cluster_id: str = "",
    second: KeptPool | None = None,
    registry: ConsumerRegistry | None = None,
) -> Analyzer:
    """Make the analysis that asks this pool, and the second model's where there is one.

    Raises:
        ValueError: the model is unknown, or its limits leave no room for a post.
    """
    cache = AnswerCache[Answer](max_entries=settings.cache.max_entries)
    if meter is not None:
        meter.cache_size = lambda: (len(cache), cache.nbytes)
    options = settings.model
    model = AskedModel(
        pool,
        lambda info: make_builder(options, info, plan.tasks),
        cache,
        observer=meter,
        name=options.name,
        revision=options.revision,
    )
    model.look()
    return Analyzer(
        model=model,
        plan=plan,
        decoder=Decoder(settings.input, schemas=None if registry is None else registry.reader),
        events=EventBuilder(
            ids=EventIds(
                plan.signature,
                cluster_id=cluster_id,
                model=options.name,
                revision=options.revision,
                second=(options.second.name, options.second.revision) if second else ("", ""),
            ),
            identifiers=identifiers(settings),
            include_text=settings.output.include_text,
            frame=None if registry is None else registry.frame,
            content_type=JSON_CONTENT if registry is None else registry.content_type,
        ),
        second=None if second is None else _opinion(settings, plan, second, cache, meter),
        observer=meter,
    )


def _opinion(
    settings: Settings,
    plan: Plan,
    pool: KeptPool,
    cache: AnswerCache[Answer],
    meter: Meter | None,
) -> SecondOpinion:
    options, tasks = settings.model.second, second_tasks(settings, plan)
    model = AskedModel(
        pool,
        lambda info: make_builder(options, info, tasks),
        cache,
        name=options.name,
        revision=options.revision,
        role="second",
    )
    return SecondOpinion(model, options, observer=meter)
