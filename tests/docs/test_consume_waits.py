"""What `emostream consume` says in a terminal while it waits: plain sentences, and no library's."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.kafka import TopicNames, create_topics, default_topics
from tests.docs.terminal import Terminal
from tests.refusing import refusing_port
from tests.tgi import FakeTgi


@asynccontextmanager
async def consume(folder: Path, **environment: str) -> AsyncIterator[Terminal]:
    terminal = await Terminal.open(
        "emostream consume", folder, {"EMOSTREAM_HTTP__PORT": "0", **environment}
    )
    try:
        yield terminal
    finally:
        await terminal.close()


async def test_no_broker_is_one_line_with_the_key_and_none_of_aiokafkas(tmp_path: Path) -> None:
    with refusing_port() as port:
        nowhere = f"127.0.0.1:{port}"
        async with consume(tmp_path, EMOSTREAM_KAFKA__BOOTSTRAP=nowhere) as terminal:
            await terminal.shows(f"nothing listens at {nowhere}")
            await terminal.shows("since=20")
            assert await terminal.interrupt() == 0
    assert "kafka.bootstrap" in terminal.text
    assert "aiokafka" not in terminal.text
    assert "Traceback" not in terminal.text
    assert len(re.findall("kafka_unreachable", terminal.text)) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:PORT", "model.servers"),
        ("https://127.0.0.1:SERVER", "it speaks http, not https: write http://"),
        ("http://127.0.0.1:SERVER/generate", "ends before /generate"),
    ],
)
async def test_a_wrong_address_of_the_model_is_its_own_sentence(
    url: str, said: str, bootstrap: str, tmp_path: Path
) -> None:
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(TopicNames()))
    with refusing_port() as nobodys:
        async with FakeTgi() as tgi:
            url = url.replace("SERVER", tgi.url.rpartition(":")[2])
            url = url.replace("PORT", str(nobodys))
            async with consume(
                tmp_path,
                EMOSTREAM_KAFKA__BOOTSTRAP=bootstrap,
                EMOSTREAM_MODEL__SERVERS=url,
            ) as terminal:
                await terminal.shows(re.escape(said))
                if url.endswith("/generate") or url.startswith("https"):
                    assert await terminal.ended() == 2
                else:
                    await terminal.shows(r"waiting_for_model.*\n?.*since=20")
                    assert await terminal.interrupt() == 0
            assert "Traceback" not in terminal.text


async def test_a_misspelt_topic_is_answered_with_the_one_that_is_there(
    bootstrap: str, tmp_path: Path
) -> None:
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(TopicNames()))
    async with consume(
        tmp_path,
        EMOSTREAM_KAFKA__BOOTSTRAP=bootstrap,
        EMOSTREAM_OUTPUT__EVENTS_TOPIC="affect.event",
    ) as terminal:
        assert await terminal.ended() == 2
    assert "affect.event (did you mean affect.events?)" in re.sub(r"\s+", " ", terminal.text)
