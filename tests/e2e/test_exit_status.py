"""`emostream consume` as a platform sees it: a process, its exit status and its last words."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra.kafka import create_topics, default_topics
from producer import Broker, LoadSettings, send_load
from tests.process import Process, emostream
from tests.tgi import FakeTgi
from tests.topics import topic_names

NAMES = topic_names("status")


@pytest.fixture
async def tgi() -> AsyncIterator[FakeTgi]:
    async with FakeTgi() as server:
        yield server


def config(folder: Path, bootstrap: str, model_server: str, *, posts: str) -> Path:
    path = folder / "emostream.toml"
    path.write_text(
        f"""
kafka.bootstrap = "{bootstrap}"
input.topics = ["{posts}"]
output = {{ events_topic = "{NAMES.events}", dlq_topic = "{NAMES.dead_letters}" }}
model.servers = ["{model_server}"]
log.format = "json"
""",
        encoding="utf-8",
    )
    return path


async def ended(path: Path) -> tuple[int, dict[str, Any]]:
    """The consumer's exit status, and the last event of its log."""
    free_port = {"EMOSTREAM_HTTP__PORT": "0"}
    async with emostream("consume", "--config", str(path), environment=free_port) as consumer:
        return await consumer.wait(), consumer.events[-1]


async def test_a_missing_topic_is_2_with_the_command_that_makes_it(
    tmp_path: Path, bootstrap: str, tgi: FakeTgi
) -> None:
    status, last = await ended(config(tmp_path, bootstrap, tgi.url, posts="status.nowhere"))
    assert status == last["exit_code"] == 2
    assert "status.nowhere" in last["reason"]
    assert "emostream topics create" in last["reason"]


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
async def test_closed_standard_streams_change_no_status(
    tmp_path: Path, bootstrap: str, tgi: FakeTgi, closed: str
) -> None:
    """A socket took their numbers, and uvloop aborted (134) when it was closed."""
    path = config(tmp_path, bootstrap, tgi.url, posts="status.nowhere")
    command = f'exec "$0" -m emostream consume --config "$1" {closed}'
    free_port = {"EMOSTREAM_HTTP__PORT": "0"}
    async with Process(
        "sh", "-c", command, sys.executable, str(path), environment=free_port
    ) as consumer:
        assert await consumer.wait() == 2


async def test_a_wrong_model_is_3_and_named_with_its_server(
    tmp_path: Path, bootstrap: str, tgi: FakeTgi
) -> None:
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(NAMES))
    tgi.answer = lambda _: "Sure! I'd be happy to help."
    status, last = await ended(config(tmp_path, bootstrap, tgi.url, posts=NAMES.posts))
    assert status == last["exit_code"] == 3
    assert tgi.info["model_id"] in last["reason"]
    assert tgi.url in last["reason"]


async def test_a_blown_fuse_is_3_and_sends_to_the_dead_letters(
    tmp_path: Path, bootstrap: str, tgi: FakeTgi
) -> None:
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(NAMES))
    junk = LoadSettings(topic=NAMES.posts, count=600, bad_input=1.0, bad_kinds=("not_json",))
    assert (await send_load(junk, Broker(bootstrap=bootstrap))).ok
    status, last = await ended(config(tmp_path, bootstrap, tgi.url, posts=NAMES.posts))
    assert status == last["exit_code"] == 3
    assert last["error"] == "FuseBlown"
    assert "emostream dlq list" in last["reason"]
