"""The torch engine: any EmoLLM that transformers loads, on a CPU or a CUDA card.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

from emollm.hub import OnHub
from emollm.model_folder import load_error
from infra.tgi.engine import Encoded, EngineInfo, Finish, Job, PrefillToken
from infra.tgi.engines import grammar
from infra.tgi.engines.answer import Answer
from infra.tgi.engines.sampler import Sampler
from infra.tgi.engines.tokenizer import ModelTokenizer
from infra.tgi.errors import StartError

#: Tokens that a model without a stated limit (T5's positions are relative) may be given.
_NO_LIMIT = 2048

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """Answers with a transformers model, a static batch at a time.

    Greedy unless a job asks otherwise: a model's own generation_config (Emobart: four beams, no
    repeated trigram) is not followed, except for its end and start tokens.
    """

    def __init__(
        self, model: Any, tokens: ModelTokenizer, *, model_id: str, revision: str | None = None
    ) -> None:
        config = model.config
        chosen = model.generation_config
        self._model = model.eval()
        self._tokens = tokens
        self._device = next(model.parameters()).device
        self._seq2seq = bool(config.is_encoder_decoder)
        # LLaMA has no padding token; what is masked may be any token.
        pad = getattr(config, "pad_token_id", None)
        self._pad = pad if isinstance(pad, int) and pad >= 0 else 0
        self._start = _first(
            getattr(chosen, "decoder_start_token_id", None),
            getattr(config, "decoder_start_token_id", None),
            getattr(config, "bos_token_id", None),
            self._pad,
        )
        self._forced_first = getattr(chosen, "forced_bos_token_id", None) if self._seq2seq else None
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted and not self._seq2seq
        self._keeps_last = "logits_to_keep" in accepted
        positions = _positions(config)
        self._info = EngineInfo(
            model_id=model_id,
            model_sha=revision,
            pipeline_tag="text2text-generation" if self._seq2seq else "text-generation",
            device=self._device.type,
            dtype=str(model.dtype).removeprefix("torch."),
            max_input_tokens=positions if self._seq2seq else positions - 1,
            max_total_tokens=2 * positions if self._seq2seq else positions,
            max_new_tokens=positions - 1,
            encoder_decoder=self._seq2seq,
            batch_size=64 if self._device.type == "cuda" else 32,
            asked=_asked(config),
            supports_grammar=grammar.available(),
        )

    @classmethod
    def load(
        cls,
        source: str,
        *,
        model_id: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        on_hub: OnHub | None = None,
    ) -> TorchEngine:
        """Load a folder, or a name on the hub as it was found there. Raises `StartError`."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        cached = on_hub is not None and on_hub.cached
        place: dict[str, Any] = {"revision": revision, "local_files_only": cached}
        try:
            config = AutoConfig.from_pretrained(source, **place)
            loader = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            model: Any = loader.from_pretrained(
                source, dtype=_dtype(dtype, device), config=config, **place
            )
            model = model.to(device)
            tokenizer = AutoTokenizer.from_pretrained(source, **place)
        except Exception as error:  # a damaged file makes each library raise its own
            raise StartError(load_error(source, error)) from error
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise StartError(f"{source} has no tokenizer that the `tokenizers` library can run")
        eos = model.generation_config.eos_token_id
        if eos is None:
            eos = tokenizer.eos_token_id
        ids = eos if isinstance(eos, list) else [] if eos is None else [eos]
        return cls(
            model,
            ModelTokenizer(backend, eos_ids=ids),
            model_id=model_id,
            revision=revision or (on_hub.commit if on_hub else None),
        )

    @property
    def info(self) -> EngineInfo:
        """What it is and can do."""
        return self._info

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
        """Tokenize; special tokens written in a text are text."""
        return self._tokens.encode(texts, add_special_tokens=add_special_tokens)

    def check_grammar(self, pattern: str) -> None:
        """Compile a grammar, which is then kept. Raises `EngineError`."""
        grammar.Guide(pattern)

    def batch_key(self, job: Job) -> Hashable:
        """Jobs that need no sampler don't share a pass with those that do, which are slower."""
        return job.needs_sampler

    def close(self) -> None:
        """Free the model's memory."""
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
        """Answer a batch; blocks."""
        rows: list[tuple[Answer, Sampler | None]] = []
        for job in jobs:
            try:
                rows.append((Answer(job, self._tokens), self._sampler(job)))
            except Exception as error:  # noqa: BLE001 - one job's fault is its own
                finish(job, error)
        if not rows:
            return
        decoding = self._begin([answer.job for answer, _ in rows])
        while rows:
            logits = decoding.step()
            best = _Greedy(logits, wanted=any(answer.job.per_token for answer, _ in rows))
            going: list[int] = []
            for index, (answer, _) in enumerate(rows):
                try:
                    if self._advance(rows[index], index, logits, best):
                        if answer.job.want_prefill:
                            answer.prefill = decoding.prefill(index, self._tokens)
                        finish(answer.job, answer.generation())
                    else:
                        going.append(index)
                except Exception as error:  # noqa: BLE001 - one job's fault is its own
                    finish(answer.job, error)
            if len(going) < len(rows):
                rows = [rows[index] for index in going]
                decoding.keep(going)
            decoding.push([answer.ids[-1] for answer, _ in rows])

    def _sampler(self, job: Job) -> Sampler | None:
        if not job.needs_sampler:
            return None
        return Sampler(
            job,
            # As TGI: penalties look at the prompt too where prompt and answer are one text.
            history=[] if self._seq2seq else job.ids,
            eos_ids=self._tokens.eos_ids,
            decode=self._tokens.decode_plain,
        )

    def _begin(self, jobs: Sequence[Job]) -> _Decoding:
        return _Decoding(
            self._model,
            jobs,
            pad=self._pad,
            start=self._start if self._seq2seq else None,
            device=self._device,
            positions=self._takes_positions,
            last_only=self._keeps_last and not any(job.want_prefill for job in jobs),
        )

    def _advance(
        self, row: tuple[Answer, Sampler | None], index: int, logits: torch.Tensor, best: _Greedy
    ) -> bool:
        """Give a row its next token; True when the row ends with it."""
        answer, sampler = row
        if self._forced_first is not None and not answer.ids:
            return answer.advance(int(self._forced_first), 0.0)
        if sampler is None:
            return answer.advance(best.tokens[index], best.logprobs[index])
        return answer.advance(*sampler.next_token(logits[index].cpu().numpy()))


class _Greedy:
    """Each row's most likely token, and its log-probability where wanted (else 0)."""

    def __init__(self, logits: torch.Tensor, *, wanted: bool) -> None:
        best = logits.argmax(dim=-1)
        self.tokens: list[int] = best.tolist()
        self.logprobs: list[float] = [0.0] * len(self.tokens)
        if wanted:
            values = logits.gather(1, best.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=-1)
            self.logprobs = values.tolist()


class _Decoding:
    """The tensors of one batch in work: prompts, masks, the key-value cache, the newest tokens."""

    def __init__(
        self,
        model: Any,
        jobs: Sequence[Job],
        *,
        pad: int,
        start: int | None,
        device: torch.device,
        positions: bool,
        last_only: bool,
    ) -> None:
        self._model = model
        self._jobs = list(jobs)
        self._seq2seq = start is not None
        self._positions = positions
        self._last_only = last_only
        self._cache: Any = None
        self._encoded: Any = None
        self._prompt_logprobs: torch.Tensor | None = None
        longest = max(len(job.ids) for job in jobs)
        ids = torch.full((len(jobs), longest), pad, dtype=torch.long)
        mask = torch.zeros((len(jobs), longest), dtype=torch.long)
        for index, job in enumerate(jobs):
            # A causal model's next token comes after the last column: it pads on the left.
            here = slice(0, len(job.ids)) if self._seq2seq else slice(longest - len(job.ids), None)
            ids[index, here] = torch.tensor(job.ids, dtype=torch.long)
            mask[index, here] = 1
        self._mask = mask.to(device)
        self._next = ids.to(device)
        if start is not None:
            self._encoded = model.get_encoder()(
                input_ids=self._next, attention_mask=self._mask, return_dict=True
            )
            self._next = torch.full((len(jobs), 1), start, dtype=torch.long, device=device)

    def step(self) -> torch.Tensor:
        """Run the newest tokens; the logits of the next one, a row a job, in float32."""
        extra: dict[str, Any] = {}
        if self._seq2seq:
            extra = {"encoder_outputs": self._encoded, "decoder_input_ids": self._next}
        else:
            extra = {"input_ids": self._next}
            if self._positions:
                places = (self._mask.cumsum(dim=-1) - 1).clamp(min=0)
                extra["position_ids"] = places[:, -self._next.shape[1] :]
            if self._last_only:
                extra["logits_to_keep"] = 1
        out = self._model(
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            return_dict=True,
            **extra,
        )
        if not self._seq2seq and not self._last_only and self._cache is None:
            scores = out.logits[:, :-1].float().log_softmax(dim=-1)
            logprobs = scores.gather(2, self._next[:, 1:].unsqueeze(2)).squeeze(2)
            self._prompt_logprobs = logprobs.cpu()
        self._cache = out.past_key_values
        logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    def push(self, tokens: Sequence[int]) -> None:
        """Append each row's next token."""
        if not tokens:
            return
        self._next = torch.tensor(tokens, dtype=torch.long, device=self._mask.device).unsqueeze(1)
        if not self._seq2seq:
            self._mask = torch.cat([self._mask, torch.ones_like(self._next)], dim=1)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop the rows that ended."""
        self._jobs = [self._jobs[row] for row in rows]
        if not rows:
            return
        index = torch.tensor(list(rows), dtype=torch.long, device=self._mask.device)
        self._mask = self._mask[index]
        self._cache.batch_select_indices(index)
        if self._encoded is not None:
            self._encoded.last_hidden_state = self._encoded.last_hidden_state[index]
        if self._prompt_logprobs is not None:
            self._prompt_logprobs = self._prompt_logprobs[index.cpu()]

    def prefill(self, row: int, tokens: ModelTokenizer) -> list[PrefillToken]:
        """The prompt's tokens; an encoder gives them no probability, nor has the first one any."""
        ids = self._jobs[row].ids
        logprobs: list[float | None] = [None] * len(ids)
        if self._prompt_logprobs is not None and len(ids) > 1:
            logprobs[1:] = self._prompt_logprobs[row, -(len(ids) - 1) :].tolist()
        return [
            PrefillToken(one, tokens.decode([one], skip_special=False), logprob)
            for one, logprob in zip(ids, logprobs, strict=True)
        ]


def _first(*values: Any) -> int:
    return next(int(value) for value in values if isinstance(value, int))


def _positions(config: Any) -> int:
    """How many tokens the model can hold."""
    known = getattr(config, "max_position_embeddings", None)
    if known is None and not config.is_encoder_decoder:
        known = getattr(config, "n_positions", None) or getattr(config, "seq_length", None)
    return int(known) if isinstance(known, int) and known > 0 else _NO_LIMIT


def _asked(config: Any) -> dict[str, str] | None:
    """What `emostream train` writes into a model's config.json."""
    found = getattr(config, "emostream", None)
    names = ("family", "wrapper")
    if not isinstance(found, dict) or not all(isinstance(found.get(one), str) for one in names):
        return None
    return {one: found[one] for one in names}


def _dtype(name: str, device: str) -> torch.dtype:
    if name != "auto":
        return _DTYPES[name]
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_device_supported", None)
    return torch.bfloat16 if supported is not None and supported() else torch.float32
