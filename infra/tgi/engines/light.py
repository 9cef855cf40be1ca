"""The light engine: the small model on CTranslate2, without torch.

A model folder is `tokenizer.json` and `ct2/` (what CTranslate2's converter writes). int8 answers
as well as float32 there, 1.7 times as fast as transformers, in a quarter of the size (measured;
the small model's card has the figures).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.tgi.engine import Encoded, EngineInfo, Finish, Generation, Job, PrefillToken
from infra.tgi.engines import grammar
from infra.tgi.engines.answer import Answer
from infra.tgi.engines.sampler import Logits, Sampler
from infra.tgi.engines.tokenizer import ModelTokenizer, read_json
from infra.tgi.errors import StartError

#: Three ways to answer; jobs of different ways never share a pass.
_WHOLE, _PER_TOKEN, _SAMPLED = range(3)

#: Threads of one pass: a model this small doesn't feed more; further cores run further passes.
_PASS_THREADS = 4

#: Prompts of one pass: measured, 16 to 64 take the same CPU each, and fewer wait for one another.
_BATCH = 32

_Options = dict[str, float | int]


class LightEngine:
    """Answers with a CTranslate2 encoder-decoder model.

    `folder` holds tokenizer.json and ct2/. `threads` is CPU threads, 0 for as many as there are
    cores. Raises `StartError` when the folder or the package isn't there.
    """

    def __init__(
        self, folder: Path, *, model_id: str, revision: str | None = None, threads: int = 0
    ) -> None:
        try:
            import ctranslate2  # noqa: PLC0415 - a missing package isn't a missing model
        except ImportError as error:
            raise StartError(
                "The light engine needs CTranslate2: pip install 'emostream[embedded]'"
            ) from error
        if not (folder / "ct2" / "model.bin").is_file():
            raise StartError(f"{folder} has no ct2/model.bin: the light engine can't serve it")
        config = read_json(folder / "config.json")
        ct2_config = read_json(folder / "ct2" / "config.json")
        # It warns that int8_float16 runs as int8_float32 on a CPU: known, and nothing to do about.
        ctranslate2.set_log_level(logging.ERROR)
        cores = threads or len(os.sched_getaffinity(0))
        passes = max(1, cores // _PASS_THREADS)
        try:
            self._translator: Any = ctranslate2.Translator(
                str(folder / "ct2"),
                device="cpu",
                inter_threads=passes,
                intra_threads=min(cores, _PASS_THREADS),
            )
        except (RuntimeError, ValueError) as error:
            raise StartError(f"CTranslate2 can't load {folder}/ct2: {error}") from error
        self._tokens = ModelTokenizer.load(folder, eos_token=ct2_config.get("eos_token"))
        self._end = next(iter(self._tokens.eos_ids), -1)
        self._candidates = _candidates(folder / "ct2" / "vmap.txt", self._tokens, ct2_config)
        self._check_candidates()
        self._candidate_count = (
            self._tokens.size if self._candidates is None else len(self._candidates)
        )
        positions = int(config.get("max_position_embeddings") or 512)
        self._info = EngineInfo(
            model_id=model_id,
            model_sha=revision or _digest(folder),
            pipeline_tag="text2text-generation",
            dtype=str(self._translator.compute_type),
            max_input_tokens=positions,
            max_total_tokens=2 * positions,
            max_new_tokens=positions - 1,
            encoder_decoder=True,
            parallel=passes,
            batch_size=_BATCH,
            supports_grammar=grammar.available(),
        )

    def _check_candidates(self) -> None:
        """Answer once: warms up, and checks that candidates are numbered as `_candidates` says."""
        if self._candidates is None:
            return
        probe = self._translate(
            [Job(self.encode(["a"])[0].ids, 1)], max_decoding_length=1, return_logits_vocab=True
        )
        scored = probe[0].logits[0]
        if not scored or len(np.array(scored[0])) != len(self._candidates):
            self._candidates = None

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
        """Jobs answered in the same way and with the same sampling options share a pass."""
        options = _sampling_options(job, self._candidate_count)
        if options is None:
            return _SAMPLED, ()
        return (_PER_TOKEN if job.per_token else _WHOLE), tuple(options.items())

    def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
        """Answer a batch; blocks without holding the interpreter's lock."""
        options = _sampling_options(jobs[0], self._candidate_count)
        if options is None:
            self._sampled(jobs, finish)
        elif jobs[0].per_token:
            self._steps(jobs, finish, options)
        else:
            self._whole(jobs, finish, options)

    def close(self) -> None:
        """Free the model's memory."""
        self._translator.unload_model()

    def _translate(self, jobs: Sequence[Job], **options: Any) -> list[Any]:
        results: list[Any] = self._translator.translate_batch(
            [self._tokens.texts(job.ids) for job in jobs],
            beam_size=1,
            max_input_length=0,
            min_decoding_length=0,
            use_vmap=self._candidates is not None,
            **options,
        )
        return results

    def _limit(self, jobs: Sequence[Job]) -> int:
        return min(max(job.max_new_tokens for job in jobs), self._info.max_new_tokens)

    def _whole(self, jobs: Sequence[Job], finish: Finish, options: _Options) -> None:
        """Answers of which only the text is wanted: one call, nothing per token."""
        results = self._translate(
            jobs, max_decoding_length=self._limit(jobs), return_end_token=True, **options
        )
        answers = [
            self._tokens.ids(result.hypotheses[0])[: job.max_new_tokens]
            for job, result in zip(jobs, results, strict=True)
        ]
        texts = self._tokens.decode_many(answers)
        for job, ids, text in zip(jobs, answers, texts, strict=True):
            ended = len(ids) < job.max_new_tokens and ids[-1:] == [self._end]
            made = Generation(text, "eos_token" if ended else "length", len(ids))
            if job.want_prefill:
                made.prefill = self._prefill(job)
            finish(job, made)

    def _steps(self, jobs: Sequence[Job], finish: Finish, options: _Options) -> None:
        """Answers reported token by token: streams, stop strings, details."""
        answers = [Answer(job, self._tokens) for job in jobs]
        unfinished = set(range(len(jobs)))

        def step(result: Any) -> bool:
            index = result.batch_id
            if index not in unfinished:
                return True
            token = (
                result.token_id
                if self._candidates is None
                else int(self._candidates[result.token_id])
            )
            if not answers[index].advance(token, result.log_prob or 0.0):
                return False
            unfinished.discard(index)
            self._finish(answers[index], finish)
            return True

        callback = _Callback(step)
        try:
            self._translate(
                jobs,
                max_decoding_length=self._limit(jobs),
                return_scores=True,
                callback=callback,
                **options,
            )
        finally:
            callback.detach()
        for index in sorted(unfinished):
            self._finish(answers[index], finish)

    def _sampled(self, jobs: Sequence[Job], finish: Finish) -> None:
        """Seeds, penalties, grammars, top tokens: each token comes from our sampler.

        CTranslate2 keeps no state between calls, so each step runs the answer so far again; the
        answers of an affect model are a few tokens long.
        """
        running: list[tuple[Answer, Sampler]] = []
        for job in jobs:
            try:
                sampler = Sampler(
                    job,
                    history=[],
                    eos_ids=self._tokens.eos_ids,
                    decode=self._tokens.decode_plain,
                )
            except Exception as error:  # noqa: BLE001 - one job's fault is its own
                finish(job, error)
                continue
            running.append((Answer(job, self._tokens), sampler))
        for made in range(self._limit(jobs)):
            if not running:
                return
            results = self._translate(
                [answer.job for answer, _ in running],
                target_prefix=[self._tokens.texts(answer.ids) for answer, _ in running],
                max_decoding_length=made + 1,
                return_logits_vocab=True,
            )
            still: list[tuple[Answer, Sampler]] = []
            for row, result in zip(running, results, strict=True):
                answer, sampler = row
                try:
                    ended = answer.advance(
                        *sampler.next_token(self._full_logits(result.logits[0][made]))
                    )
                except Exception as error:  # noqa: BLE001 - one job's fault is its own
                    finish(answer.job, error)
                    continue
                if ended:
                    self._finish(answer, finish)
                else:
                    still.append(row)
            running = still
        for answer, _ in running:
            self._finish(answer, finish)

    def _full_logits(self, logits: Any) -> Logits:
        """The candidates' logits, spread over the whole vocabulary."""
        row: Logits = np.array(logits)
        if self._candidates is None:
            return row
        wide = np.full(self._tokens.size, -np.inf, dtype=np.float32)
        wide[self._candidates] = row
        return wide

    def _finish(self, answer: Answer, finish: Finish) -> None:
        if answer.job.want_prefill:
            answer.prefill = self._prefill(answer.job)
        finish(answer.job, answer.generation())

    def _prefill(self, job: Job) -> list[PrefillToken]:
        """The prompt's tokens; an encoder gives them no probability."""
        return [
            PrefillToken(one, self._tokens.decode([one], skip_special=False), None)
            for one in job.ids
        ]


class _Callback:
    """What CTranslate2 calls for each token: a function, until it is detached.

    CTranslate2's worker thread drops its reference to the callback after translate_batch has
    returned. If that was the last reference to the engine, the worker would destroy the
    translator in its own thread, join itself and abort the process. Detached, it leads to nothing.
    """

    def __init__(self, function: Callable[[Any], bool]) -> None:
        self._function: Callable[[Any], bool] | None = function

    def __call__(self, result: Any) -> bool:
        return self._function is None or self._function(result)

    def detach(self) -> None:
        """Drop the function."""
        self._function = None


def _sampling_options(job: Job, words: int) -> _Options | None:
    """CTranslate2's own sampling options for a job; None where the job needs our sampler.

    CTranslate2 has one random generator for all jobs, so it can't repeat an answer by its seed
    (given by the client, or reported in the details). `words` is the size of its vocabulary.
    """
    sampling = job.sampling
    if not job.needs_sampler:
        return {}
    if (
        job.grammar is not None
        or job.top_n_tokens
        or job.want_tokens
        or sampling.seeded
        or not sampling.samples
        or sampling.typical_p < 1.0
        or sampling.repetition_penalty != 1.0
        or sampling.frequency_penalty != 0.0
    ):
        return None
    return {
        "sampling_topk": min(sampling.top_k, words),
        "sampling_topp": sampling.top_p,
        "sampling_temperature": sampling.temperature,
    }


def _digest(folder: Path) -> str:
    """Names the weights and the tokenizer by what they are: event ids change when answers may.

    28 MB take 20 ms. Twelve hexadecimal digits are 48 bits, plenty to tell versions apart.
    """
    digest = hashlib.sha256()
    for name in ("ct2/model.bin", "tokenizer.json"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _candidates(
    file: Path, tokens: ModelTokenizer, config: dict[str, Any]
) -> npt.NDArray[np.int64] | None:
    """The tokens that answers are made of, where the model has a list of them (vmap.txt).

    CTranslate2 then numbers tokens by their place among the candidates, in its callback and its
    logits; its fixed candidates are the three special tokens. None where the list depends on the
    prompt, or there is none: then the whole vocabulary is scored, at a third of the speed.
    """
    if not file.is_file():
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) != 1 or not lines[0].startswith("\t"):
        return None
    named = {*lines[0][1:].split(" "), *(str(config[f"{one}_token"]) for one in _FIXED)}
    return np.array(sorted(tokens.ids(sorted(named - {""}))), dtype=np.int64)


_FIXED = ("bos", "eos", "unk")
