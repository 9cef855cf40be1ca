"""One contract, two clusters: the fake one and the real one."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.kafka.protocol import KafkaProducer
from tests.runtime.kafka.clusters import Cluster, Fake, Member, Real


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the diagnosis may take as long as a busy machine takes, which isn't Kafka's fault.

    It has 3 s, and a test of some of them has been seen to take more than one.
    """
    monkeypatch.setattr("runtime.kafka.diagnosis._STEP_S", 60.0)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.kafka)])
def chosen(request: pytest.FixtureRequest) -> Fake | Real:
    if request.param == "fake":
        return Fake()
    return Real(request.getfixturevalue("bootstrap"))


@pytest.fixture
async def cluster(chosen: Fake | Real) -> Cluster:
    if isinstance(chosen, Real):
        await chosen.prepare()
    return chosen


@pytest.fixture
async def members(cluster: Cluster) -> AsyncIterator[Callable[..., Member]]:
    made: list[Member] = []

    def make(**changed: Any) -> Member:
        made.append(Member(cluster.consumer(**changed)))
        return made[-1]

    yield make
    for member in made:
        await member.consumer.stop()


@pytest.fixture
async def producer(cluster: Cluster) -> AsyncIterator[KafkaProducer]:
    producer = cluster.producer()
    await producer.start()
    yield producer
    await producer.stop(timeout_s=5)
