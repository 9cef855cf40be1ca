"""The consumer's parts, made from the settings."""

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.cache import AnswerCache
from consumer.analysis.canary import prover
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder, Pseudonyms
from consumer.analysis.inference import Answer, Inference
from consumer.analysis.model import make_builder
from consumer.analysis.plan import Plan
from consumer.options import BatchLimits, DrainBudget, FuseLimits, InFlightLimits, ServiceLimits
from consumer.settings import Settings
from consumer.telemetry.meter import Meter
from emollm.clients import ServerOptions
from emollm.pool import Pool, PoolOptions, open_pool
from runtime.kafka.options import KafkaOptions
from runtime.kafka.security import client_security

_HEARTBEATS = 3
"""Of a session timeout: two may be lost. Kafka's own advice."""


def kafka_options(settings: Settings) -> KafkaOptions:
    """Where posts come from and events go, as the core takes it.

    Raises:
        ConfigError: a certificate or key file can't be used.
    """
    kafka, source, output = settings.kafka, settings.input, settings.output
    return KafkaOptions(
        bootstrap=kafka.bootstrap,
        group_id=source.group_id,
        input_topics=source.topics,
        input_pattern=source.pattern or None,
        output_topic=output.events_topic,
        dlq_topic=output.dlq_topic,
        security=client_security(kafka),
        client_id=kafka.client_id,
        group_instance_id=source.group_instance_id or None,
        auto_offset_reset=source.auto_offset_reset,
        session_timeout_s=kafka.session_timeout_s,
        heartbeat_interval_s=kafka.session_timeout_s / _HEARTBEATS,
        rebalance_timeout_s=kafka.rebalance_timeout_s,
        max_poll_interval_s=kafka.max_poll_interval_s,
        request_timeout_s=kafka.request_timeout_s,
        compression=output.compression,
        max_request_bytes=output.max_event_bytes,
    )


def service_limits(settings: Settings) -> ServiceLimits:
    """Give the bounds that the core keeps."""
    batch, in_flight, drain = settings.batch, settings.in_flight, settings.drain
    return ServiceLimits(
        batch=BatchLimits(
            max_records=batch.max_posts,
            max_bytes=batch.max_bytes,
            max_wait_s=batch.max_wait_s,
            max_concurrent=batch.max_concurrent,
            max_concurrent_records=batch.max_concurrent_posts,
        ),
        in_flight=InFlightLimits(max_records=in_flight.max_posts, max_bytes=in_flight.max_bytes),
        drain=DrainBudget(revoke_s=drain.revoke_s, stop_s=drain.stop_s),
        fuse=FuseLimits(window=settings.fuse.window, share=settings.fuse.share),
    )


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
    settings: Settings, plan: Plan, pool: Pool, meter: Meter | None = None
) -> Analyzer:
    """Make the analysis that asks this pool.

    Raises:
        ValueError: the model is unknown, or its limits leave no room for a post.
    """
    cache = AnswerCache[Answer](
        max_entries=settings.cache.max_entries,
        max_bytes=settings.cache.max_bytes,
        ttl_s=settings.cache.ttl_s,
    )
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
            signature=plan.signature,
            pseudonyms=Pseudonyms(settings.output.author_key.get_secret_value()),
            include_text=settings.output.include_text,
        ),
        model_name=settings.model.name,
        model_revision=settings.model.revision,
        observer=meter,
    )
