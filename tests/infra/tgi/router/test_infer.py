"""From a request to the job that an engine gets."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import pytest

from infra.tgi import ServerSettings, TgiServer
from infra.tgi.engine import Finish, Job
from tests.infra.tgi.stand_in import StandIn

_TEXT = "one two three four five"


class _Recording(StandIn):
    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[list[int]] = []

    def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
        self.prompts.extend(job.ids for job in jobs)
        super().generate(jobs, finish)


@pytest.mark.parametrize("kept", [1, 2, 4])
async def test_truncate_keeps_the_last_tokens_of_a_prompt(kept: int) -> None:
    """As TGI: the instruction at its beginning is what goes."""
    engine = _Recording()
    whole = engine.encode([_TEXT])[0].ids
    async with (
        TgiServer(ServerSettings(port=0), engine=engine) as server,
        aiohttp.ClientSession(server.url) as client,
        client.post(
            "/generate", json={"inputs": _TEXT, "parameters": {"truncate": kept}}
        ) as response,
    ):
        assert response.status == 200
        assert response.headers["x-prompt-tokens"] == str(kept)
    assert engine.prompts == [whole[-kept:]]


async def test_a_prompt_shorter_than_truncate_is_kept_whole() -> None:
    engine = _Recording()
    async with (
        TgiServer(ServerSettings(port=0), engine=engine) as server,
        aiohttp.ClientSession(server.url) as client,
        client.post(
            "/generate", json={"inputs": _TEXT, "parameters": {"truncate": 1000}}
        ) as response,
    ):
        assert response.status == 200
    assert engine.prompts == [engine.encode([_TEXT])[0].ids]
