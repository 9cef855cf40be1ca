"""The EmoLLMs' five architectures, tiny and random, served over HTTP and driven by the pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import torch

from emollm.clients import ServerOptions
from emollm.errors import Refused
from emollm.models import MODELS
from emollm.pool import Pool, PoolOptions, open_pool
from emollm.protocol import GenerateParams, PoolAnswer, Prompt
from infra.tgi import ServerSettings, TgiServer
from infra.tgi.engine import Finish, Job
from infra.tgi.engines.torch_engine import TorchEngine
from tests.infra.tgi import tiny

KINDS = ["llama", "opt", "bloom", "t5", "bart"]
ARCHITECTURES: dict[str, str] = {card.family: card.architecture for card in MODELS}
NEW_TOKENS = 6
TEXTS = [" ".join(f"w{(7 * at + n) % 60}" for n in range(1 + 5 * at % 23)) for at in range(9)]
"""From one word to twenty-one: a batch of them is mostly padding."""


@asynccontextmanager
async def served(
    kind: str, folder: Path, batches: list[int] | None = None
) -> AsyncIterator[TgiServer]:
    """Serve a checkpoint of this kind; note how many prompts each pass had."""
    await asyncio.to_thread(tiny.save, folder, kind)
    engine = await asyncio.to_thread(
        TorchEngine.load, str(folder), model_id=kind, dtype="float32", device="cpu"
    )
    answer = engine.generate

    def generate(jobs: Sequence[Job], finish: Finish) -> None:
        if batches is not None:
            batches.append(len(jobs))
        answer(jobs, finish)

    engine.generate = generate  # type: ignore[method-assign]
    async with TgiServer(ServerSettings(port=0), engine=engine) as server:
        yield server


@asynccontextmanager
async def asking(server: TgiServer) -> AsyncIterator[Pool]:
    pool = await open_pool(
        [ServerOptions(url=server.url)], PoolOptions(by_length=lambda _: True), wait_s=60
    )
    try:
        yield pool
    finally:
        await pool.aclose()


def prompt(text: str, new_tokens: int = NEW_TOKENS) -> Prompt:
    return Prompt(text=text, params=GenerateParams(max_new_tokens=new_tokens), task="tiny")


def said(answer: object) -> str:
    assert isinstance(answer, PoolAnswer), answer
    return answer.text


def plain(kind: str, text: str) -> str:
    """What transformers' own generate answers to this prompt alone, greedily."""
    tokens, model = tiny.tokenizer(), tiny.model(kind)
    ids = tokens.encode(text).ids
    out: list[int] = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=NEW_TOKENS,
        num_beams=1,
        early_stopping=False,
        no_repeat_ngram_size=0,
        do_sample=False,
        pad_token_id=1,
    )[0].tolist()
    return tokens.decode(out[1:] if kind in {"t5", "bart"} else out[len(ids) :])


@pytest.mark.parametrize("kind", KINDS)
async def test_batched_answers_are_those_to_each_prompt_alone(kind: str, tmp_path: Path) -> None:
    """Padding, attention masks and position ids are right: over HTTP, in every architecture."""
    batches: list[int] = []
    async with served(kind, tmp_path, batches) as server, asking(server) as pool:
        together = [said(one) for one in await pool.ask([prompt(text) for text in TEXTS])]
        assert max(batches) >= 3
        batches.clear()
        alone = [said((await pool.ask([prompt(text)]))[0]) for text in TEXTS]
        assert max(batches) == 1
    assert together == alone
    assert together == [plain(kind, text) for text in TEXTS]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_class_that_is_loaded_is_the_one_of_the_table(kind: str, tmp_path: Path) -> None:
    async with served(kind, tmp_path) as server:
        assert isinstance(server._engine, TorchEngine)
        assert type(server._engine._model).__name__ == ARCHITECTURES[kind]
        assert server.info["model_pipeline_tag"] == (
            "text2text-generation" if kind in {"t5", "bart"} else "text-generation"
        )


@pytest.mark.parametrize("kind", KINDS)
async def test_limits_are_the_models_and_what_is_beyond_is_refused_alone(
    kind: str, tmp_path: Path
) -> None:
    """A prompt that is too long is refused; those beside it are answered as ever."""
    async with served(kind, tmp_path) as server, asking(server) as pool:
        info = pool.info
        assert info.max_input_tokens is not None
        too_long = prompt(" ".join(["w1"] * (info.max_input_tokens + 1)))
        first, refused, last = await pool.ask([prompt("w1 w2"), too_long, prompt("w1 w2")])
        assert isinstance(refused, Refused)
        assert refused.status == 422
        assert said(first) == said(last) == plain(kind, "w1 w2")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_contract_is_the_same_for_each(kind: str, tmp_path: Path) -> None:
    """Details count the answer's own tokens; a wrong parameter is 422 with TGI's words."""
    async with served(kind, tmp_path) as server, aiohttp.ClientSession(server.url) as client:
        ask = {"inputs": "w1 w2 w3", "parameters": {"max_new_tokens": 3, "details": True}}
        async with client.post("/generate", json=ask) as response:
            details = (await response.json())["details"]
        ended = "length" if details["generated_tokens"] == 3 else "eos_token"
        assert details["finish_reason"] == ended
        assert len(details["tokens"]) == details["generated_tokens"] <= 3
        ask = {"inputs": "w1", "parameters": {"max_new_tokens": 0}}
        async with client.post("/generate", json=ask) as response:
            assert response.status == 422
            assert (await response.json())["error_type"] == "validation"
