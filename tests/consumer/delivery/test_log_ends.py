"""Where the logs end, asked while nothing is fetched."""

from types import SimpleNamespace
from typing import Any

from consumer.delivery.log_ends import LogEnds
from runtime.kafka.protocol import Partition
from tests.runtime.fake_clock import FakeClock

POSTS = Partition("posts", 0)


async def test_an_answer_about_a_topic_that_is_another_one_by_now_is_none() -> None:
    """It was created again between question and answer: its lag would be too great forever."""

    class Consumer:
        def assignment(self) -> frozenset[Partition]:
            return frozenset({POSTS})

        async def end_offsets(self, *_: Any, timeout_s: float) -> dict[Partition, int]:
            log_ends.forget()
            return {POSTS: 1_000}

    consumer: Any = Consumer()
    poller: Any = SimpleNamespace(paused="unavailable", held={})
    log_ends = LogEnds(poller, FakeClock(), lambda: consumer)
    await log_ends.ask()
    assert log_ends.of(POSTS, 3) == 3
