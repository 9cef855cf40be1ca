"""The consumer's parts, made from the settings."""

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.cache import AnswerCache
from consumer.analysis.canary import prover
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.inference import Inference
from consumer.analysis.model import make_builder
from consumer.analysis.plan import Plan
from consumer.settings import Settings
from consumer.telemetry.meter import Meter
from emollm.clients import ServerOptions
from emollm.pool import Pool, PoolOptions, open_pool
from runtime.kafka.options import KafkaOptions
from runtime.kafka.security import client_security


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
    model = settings.model
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
    model = settings.model
    return await open_pool(
        server_options(settings),
        PoolOptions(
            timeout_s=model.timeout_s,
            max_concurrency=model.max_concurrency,
            padded=True,  # costs a sort, and spares padded servers (OPT, T5, BART) their padding
        ),
        prove=prover(model, plan.tasks),
        observer=observer,
        wait_s=model.wait_s or None,
    )


def make_analyzer(
    settings: Settings,
    plan: Plan,
    pool: Pool,
    meter: Meter | None = None,
    *,
    cluster_id: str = "",
) -> Analyzer:
    """Make the analysis that asks this pool.

    Raises:
        ValueError: the model is unknown, or its limits leave no room for a post.
    """
    cache = AnswerCache[Answer](max_entries=settings.cache.max_entries)
    if meter is not None:
        meter.cache_size = lambda: (len(cache), cache.nbytes)
    builder = make_builder(settings.model, pool.info, plan.tasks)
    return Analyzer(
        pool=pool,
        plan=plan,
        decoder=Decoder(settings.input),
        builder=builder,
        inference=Inference(pool, builder, cache, meter),
        events=EventBuilder(
            ids=EventIds(
                plan.signature,
                cluster_id=cluster_id,
                model=settings.model.name,
                revision=settings.model.revision,
            ),
            identifiers=identifiers(settings),
            include_text=settings.output.include_text,
        ),
        model_name=settings.model.name,
        model_revision=settings.model.revision,
        observer=meter,
    )
