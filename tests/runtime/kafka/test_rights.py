"""Which rights are missing is told before they are needed, as the brokers themselves know it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from runtime.kafka.options import KafkaOptions
from runtime.kafka.rights import Right, group_facts, missing_rights
from tests.runtime.kafka.guarded import Guarded


@asynccontextmanager
async def admin_of(
    bootstrap: str, login: dict[str, object] | None = None
) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **(login or {}))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def options(guarded: Guarded) -> KafkaOptions:
    """Topics and a group of the test's own."""
    mark = uuid.uuid4().hex[:8]
    async with admin_of(guarded.plain) as admin:
        names = [f"{mark}.{part}" for part in ("posts", "events", "dlq")]
        await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    return KafkaOptions(
        bootstrap=guarded.sasl,
        group_id=f"{mark}.group",
        input_topics=(names[0],),
        output_topic=names[1],
        dlq_topic=names[2],
        security=guarded.login("ann"),
    )


async def test_who_may_everything_lacks_nothing(guarded: Guarded, options: KafkaOptions) -> None:
    async with admin_of(guarded.plain) as admin:
        assert await missing_rights(admin, options, options.input_topics) == []


async def test_each_right_is_missed_until_it_is_granted(
    guarded: Guarded, options: KafkaOptions
) -> None:
    posts = options.input_topics[0]
    needed = [
        Right("READ", "topic", posts),
        Right("WRITE", "topic", options.output_topic),
        Right("WRITE", "topic", options.dlq_topic),
        Right("READ", "group", options.group_id),
    ]
    # To see a topic at all is a right of its own; without it the topic is missing.
    await guarded.grant("ann", [("DESCRIBE", "topic", right.name) for right in needed[:3]])
    await guarded.grant("ann", [("DESCRIBE", "group", options.group_id)])
    async with admin_of(guarded.sasl, guarded.login("ann")) as admin:
        missing = await missing_rights(admin, options, [posts])
        assert missing[:4] == needed
        for right in needed:
            await guarded.grant("ann", [(right.operation, right.resource, right.name)])
        assert await missing_rights(admin, options, [posts]) == []


async def test_a_group_that_may_not_be_seen_is_a_missing_right(
    guarded: Guarded, options: KafkaOptions
) -> None:
    async with admin_of(guarded.sasl, guarded.login("bob")) as admin:
        missing = await missing_rights(admin, options, [])
    assert Right("READ", "group", options.group_id) in missing


def test_a_right_reads_as_one_would_ask_for_it() -> None:
    assert str(Right("WRITE", "topic", "affect.dlq")) == "WRITE on topic affect.dlq"
    assert str(Right("IDEMPOTENT_WRITE", "cluster", "")) == "IDEMPOTENT_WRITE on cluster"


async def test_a_group_of_another_assignor_is_foreign_while_it_has_members(
    guarded: Guarded, options: KafkaOptions
) -> None:
    member = AIOKafkaConsumer(
        *options.input_topics,
        bootstrap_servers=guarded.plain,
        group_id=options.group_id,
        partition_assignment_strategy=(RangePartitionAssignor,),
    )
    async with admin_of(guarded.plain) as admin:
        before = await group_facts(admin, options.group_id)
        await member.start()
        during = await group_facts(admin, options.group_id)
        await member.stop()
    assert before is not None
    assert not before.foreign
    assert during is not None
    assert during.foreign
    assert (during.assignor, during.members) == ("range", 1)
