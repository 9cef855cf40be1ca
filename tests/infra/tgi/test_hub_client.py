"""Hugging Face's own client sees here what it sees on TGI."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import OverloadedError, ValidationError

from infra.tgi import ServerSettings, TgiServer
from tests.infra.tgi.stand_in import StandIn


@pytest_asyncio.fixture
async def client() -> AsyncIterator[AsyncInferenceClient]:
    async with (
        TgiServer(ServerSettings(port=0), engine=StandIn()) as server,
        AsyncInferenceClient(server.url) as client,
    ):
        yield client


async def test_it_gets_a_text(client: AsyncInferenceClient) -> None:
    answer = await client.text_generation("emotion: ", max_new_tokens=20, return_full_text=False)
    assert answer == "joy, optimism."


async def test_it_gets_the_prompt_before_the_answer_unless_told_otherwise(
    client: AsyncInferenceClient,
) -> None:
    answer = await client.text_generation("emotion: ", max_new_tokens=20)
    assert answer == "emotion: joy, optimism."


async def test_it_gets_details(client: AsyncInferenceClient) -> None:
    answer = await client.text_generation(
        "intensity", max_new_tokens=20, details=True, return_full_text=False
    )
    assert answer.generated_text == "0.734"
    assert answer.details is not None
    assert answer.details.finish_reason == "eos_token"
    assert answer.details.generated_tokens == 6
    assert [token.text for token in answer.details.tokens] == ["0", ".", "7", "3", "4", "</s>"]


async def test_it_gets_a_stream(client: AsyncInferenceClient) -> None:
    stream = await client.text_generation("intensity", max_new_tokens=20, stream=True)
    assert "".join([token async for token in stream]) == "0.734</s>"


async def test_it_gets_a_stream_with_details(client: AsyncInferenceClient) -> None:
    stream = await client.text_generation(
        "intensity", max_new_tokens=3, stream=True, details=True, return_full_text=False
    )
    events = [event async for event in stream]
    assert events[-1].details is not None
    assert events[-1].details.finish_reason == "length"
    assert events[-1].generated_text == "0.7"


async def test_it_reads_a_refusal(client: AsyncInferenceClient) -> None:
    with pytest.raises(ValidationError, match="temperature"):
        await client.text_generation("emotion", temperature=-1.0)


async def test_it_reads_an_overload() -> None:
    settings = ServerSettings(port=0, max_concurrent_requests=0)
    async with (
        TgiServer(settings, engine=StandIn()) as server,
        AsyncInferenceClient(server.url) as client,
    ):
        with pytest.raises(OverloadedError):
            await client.text_generation("emotion")
