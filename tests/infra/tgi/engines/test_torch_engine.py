"""The torch engine answers what plain transformers answers, for each architecture."""

from __future__ import annotations

import asyncio
import builtins
import io
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sentencepiece
import torch
from huggingface_hub import constants

from infra.tgi import ServerSettings, StartError, TgiServer
from infra.tgi.engine import Job, Sampling
from infra.tgi.engines.loading import load_engine
from infra.tgi.engines.tokenizer import ModelTokenizer
from infra.tgi.engines.torch_engine import TorchEngine
from tests.infra.tgi import tiny
from tests.infra.tgi.engines.answers import generate

KINDS = ["bart", "t5", "llama", "opt", "bloom"]
PROMPTS = [[0, 5, 6, 7], [0, 8, 9, 10, 11, 12, 13], [20], [0, 33, 34, 35, 36]]


def _engine(kind: str) -> TorchEngine:
    return TorchEngine(
        tiny.model(kind), ModelTokenizer(tiny.tokenizer(), eos_ids=[2]), model_id=kind
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_batch_answers_as_transformers_does_one_by_one(kind: str) -> None:
    jobs = [Job(prompt, 8 + 2 * at, want_tokens=True) for at, prompt in enumerate(PROMPTS)]
    plain = tiny.model(kind)
    seq2seq = plain.config.is_encoder_decoder
    for job, answer in zip(jobs, generate(_engine(kind), jobs), strict=True):
        out = plain.generate(
            torch.tensor([job.ids]),
            attention_mask=torch.ones(1, len(job.ids), dtype=torch.long),
            max_new_tokens=job.max_new_tokens,
            num_beams=1,
            early_stopping=False,
            no_repeat_ngram_size=0,
            do_sample=False,
            pad_token_id=1,
        )[0].tolist()
        expected = out[1:] if seq2seq else out[len(job.ids) :]
        assert [token.id for token in answer.tokens] == expected
        assert answer.generated_tokens == len(expected)


def test_a_llama_that_ships_no_tokenizer_json_is_loaded_by_its_tokenizer_model(
    tmp_path: Path,
) -> None:
    """As Emollama-7b and Emollama-chat-7b are published."""
    tiny.save(tmp_path, "llama")
    (tmp_path / "tokenizer.json").unlink()
    names = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    learnt = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["sea rain bread town", "the sad day", "a nice walk"] * 20),
        model_writer=learnt,
        model_type="bpe",
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
    )
    (tmp_path / "tokenizer.model").write_bytes(learnt.getvalue())
    engine = TorchEngine.load(str(tmp_path), model_id="tiny", dtype="float32", device="cpu")
    (encoded,) = engine.encode(["the sea"])
    processor = sentencepiece.SentencePieceProcessor(model_proto=learnt.getvalue())
    assert list(encoded.ids)[-2:] == processor.encode("the sea")[-2:]
    (answer,) = generate(engine, [Job(encoded.ids, 3)])
    assert 1 <= answer.generated_tokens <= 3


@pytest.mark.parametrize("kind", ["bart", "llama"])
def test_an_answer_does_not_depend_on_its_neighbours(kind: str) -> None:
    engine = _engine(kind)
    alone = [generate(engine, [Job(prompt, 12)])[0].text for prompt in PROMPTS]
    together = [one.text for one in generate(engine, [Job(prompt, 12) for prompt in PROMPTS])]
    assert together == alone


def test_logprobs_and_the_prompts_own_are_the_models() -> None:
    engine = _engine("llama")
    ids = [0, 8, 9, 10]
    answer = generate(engine, [Job(ids, 1, want_tokens=True, want_prefill=True, top_n_tokens=3)])[0]
    with torch.inference_mode():
        scores = tiny.model("llama")(torch.tensor([ids])).logits[0].log_softmax(-1)
    best = scores[-1].topk(3)
    assert [one.id for one in answer.tokens[0].top] == best.indices.tolist()
    assert [one.logprob for one in answer.tokens[0].top] == pytest.approx(best.values.tolist())
    assert answer.tokens[0].logprob == pytest.approx(float(best.values[0]), abs=1e-5)
    logprobs = [scores[at, ids[at + 1]].item() for at in range(3)]
    assert answer.prefill[0].logprob is None
    assert [one.logprob for one in answer.prefill[1:]] == pytest.approx(logprobs, abs=1e-5)


def test_a_seed_gives_the_same_answer_again_and_another_seed_another() -> None:
    engine = _engine("bart")

    def ask(seed: int) -> str:
        sampling = Sampling(do_sample=True, temperature=3.0, seed=seed)
        return generate(engine, [Job([5, 6, 7], 20, sampling=sampling)])[0].text

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)


def test_a_cancelled_row_ends_and_the_others_go_on() -> None:
    engine = _engine("llama")
    left, stays = Job([5, 6], 30), Job([5, 6, 7], 30)
    left.cancelled = True
    first, second = generate(engine, [left, stays])
    assert first.generated_tokens == 1
    assert second.generated_tokens > 1


def test_special_tokens_within_a_text_are_text() -> None:
    assert _engine("llama").encode(["w1</s>w2"])[0].ids == [0, 3]  # one unknown word


async def test_a_model_folder_is_served_with_the_limits_of_its_model(tmp_path: Path) -> None:
    folder = await asyncio.to_thread(tiny.save, tmp_path / "llama", "llama")
    settings = ServerSettings(model_id=str(folder), port=0, engine="torch", dtype="float32")
    async with TgiServer(settings) as server, aiohttp.ClientSession(server.url) as client:
        async with client.get("/info") as response:
            info = await response.json()
        assert (info["max_input_tokens"], info["max_total_tokens"]) == (63, 64)
        ask = {"inputs": "w1 w2", "parameters": {"max_new_tokens": 4, "details": True}}
        async with client.post("/generate", json=ask) as response:
            assert response.status == 200
            assert (await response.json())["details"]["generated_tokens"] <= 4


def test_without_torch_the_extra_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return real(name, *rest)

    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="ascii")
    (tmp_path / "model.safetensors").touch()
    monkeypatch.delitem(sys.modules, "infra.tgi.engines.torch_engine", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StartError, match=r"pip install 'emostream\[torch\]'"):
        load_engine(str(tmp_path))


def test_a_folder_that_holds_no_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"is no model's folder, it has no config\.json"):
        load_engine(str(tmp_path))
    with pytest.raises(StartError, match="there is no folder"):
        load_engine("/nowhere/at/all")


def test_a_model_of_the_hub_says_its_commit_and_loads_without_the_hub_from_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models--someone--tiny"
    tiny.save(folder / "snapshots" / "c0ffee", "opt")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c0ffee", encoding="ascii")
    nobody = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nobody)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    engine = load_engine("someone/tiny", device="cpu")
    assert engine.info.model_sha == "c0ffee"
    engine.close()
