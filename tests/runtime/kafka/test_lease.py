"""One active member of a group, and what ends a membership."""

import secrets

import pytest

from infra.kafka import create_topics, default_topics
from runtime.kafka.errors import TopicMissing
from runtime.kafka.lease import Lease
from runtime.kafka.options import KafkaOptions
from tests.topics import topic_names


class TopicDeleted(Lease):
    """The topic is there at the start, and gone when the group gives this member nothing."""

    looks = 0

    async def _require_topic(self) -> None:
        self.looks += 1
        if self.looks > 1:
            raise TopicMissing("there is no topic any more")


async def test_a_standby_whose_topic_is_gone_says_so_and_leaves_in_order(bootstrap: str) -> None:
    names = topic_names()
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    options = KafkaOptions(bootstrap=bootstrap, group_id=secrets.token_hex(4))
    active, standby = Lease(options, names.alerts), TopicDeleted(options, names.alerts)
    try:
        await active.start()
        await active.held.wait()
        await standby.start()
        with pytest.raises(TopicMissing, match="any more"):
            await standby.ended()
        await standby.stop()
        assert active.held.is_set()
    finally:
        await active.stop()


async def test_a_topic_that_is_not_there_is_not_waited_for(bootstrap: str) -> None:
    lease = Lease(KafkaOptions(bootstrap=bootstrap, group_id="g"), "no-such-topic")
    with pytest.raises(TopicMissing, match="no topic no-such-topic"):
        await lease.start()
    await lease.stop()
