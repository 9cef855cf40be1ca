"""The monitor on framed topics: plain events before a migration, framed ones after it."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from monitor.registry import read_topics, value_reader, value_writer
from monitor.settings import load
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from runtime.registry.client import RegistryClient
from runtime.registry.framing import read_framing
from runtime.registry.writing import subjects
from schemas import AffectEvent
from tests.monitor.live.stage import Stage, closing, folded, make_stage, posts
from tests.runtime.registry.http_registry import HttpRegistry, http_registry


async def registered(registry: HttpRegistry, stage: Stage) -> Stage:
    """The stage with this registry, in which all subjects are."""
    with stage.config.open("a", encoding="utf-8") as file:
        file.write(f'[registry]\nurls = ["{registry.url}"]\nformat = "avro"\n')
    settings = load(stage.config, {})
    client = RegistryClient(settings.registry)
    for subject in subjects(settings.registry, read_topics(settings)):
        await client.register(subject.name, subject.schema())
    values = value_reader(settings.registry, read_topics(settings))
    return replace(
        stage, settings=settings, broker=Broker(bootstrap=stage.broker.bootstrap, values=values)
    )


async def write_framed(stage: Stage, events: Iterable[AffectEvent]) -> None:
    settings, topic = stage.settings, stage.names.events
    writer = await value_writer(settings.registry, read_topics(settings))
    async with kafka_producer(stage.broker) as producer:
        reports = []
        for one in events:
            value, headers = writer.encode(topic, one)
            reports.append(
                await producer.send(
                    topic, key=one.post_id.encode(), value=value, headers=list(headers)
                )
            )
        await asyncio.gather(*reports)


async def test_framed_events_become_framed_windows_that_a_restart_reads_back(
    bootstrap: str, tmp_path: Path
) -> None:
    plain = await make_stage(bootstrap, tmp_path)
    async with http_registry() as registry:
        stage = await registered(registry, plain)
        await plain.write(posts(0, 150))
        await write_framed(stage, posts(150, 300))
        async with stage.running():
            await stage.windows_until(await stage.oracle())
        await write_framed(stage, closing(10_000, at_s=1_200))
        async with stage.running():
            expected = await stage.oracle()
            records = await stage.windows_until(expected)
        raw = await plain.everything(plain.names.windows)
        assert folded(records) == expected
        assert len(records) == len(expected)  # those of before the restart were read back
        assert all(read_framing(one.value or b"", one.headers) for one in raw)
        baselines = await plain.everything(plain.names.baselines)
        assert all((one.value or b"").startswith(b"{") for one in baselines)
