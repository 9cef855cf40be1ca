"""A coordinator that can't tell a group's offsets now isn't taken for one that knows of none."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from runtime.kafka import offset_fetches

PLACE = TopicPartition("posts", 0)
LOADING, ELSEWHERE, DENIED = 14, 16, 30


class Client:
    """Answers with these error codes, then with the offset 7."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0

    async def send(self, *_: Any, **__: Any) -> OffsetFetchResponse_v3:
        self.asked += 1
        if self.codes:
            return OffsetFetchResponse_v3(0, [], self.codes.pop(0))
        return OffsetFetchResponse_v3(0, [("posts", [(0, 7, "words", 0)])], 0)


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """The part that asks for offsets."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.group_id = "group"
        self.coordinator_id: int | None = 1
        self._retry_backoff_ms = 1
        self.lookups = 0

    async def ensure_coordinator_known(self) -> None:
        if self.coordinator_id is None:
            self.lookups += 1
            self.coordinator_id = 1

    def coordinator_dead(self) -> None:
        self.coordinator_id = None


@pytest.fixture(autouse=True)
def installed() -> None:
    offset_fetches.install()
    offset_fetches.install()


async def test_while_the_coordinator_loads_it_is_asked_again() -> None:
    client = Client(LOADING, LOADING)
    found = await Coordinator(client).fetch_committed_offsets([PLACE])
    assert (found[PLACE].offset, client.asked) == (7, 3)


async def test_one_that_is_not_the_coordinator_any_more_is_looked_up_again() -> None:
    coordinator = Coordinator(Client(ELSEWHERE))
    found = await coordinator.fetch_committed_offsets([PLACE])
    assert (found[PLACE].offset, coordinator.lookups) == (7, 1)


async def test_a_refusal_is_told() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await Coordinator(Client(DENIED)).fetch_committed_offsets([PLACE])
