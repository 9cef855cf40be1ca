"""From a request to its answer: permit, rules, tokens, queue, engine.

A permit is taken before anything is looked at (an invalid request says 429 under load), and is
kept for as long as its answer lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from infra.tgi.engine import Encoded, Engine, Generation, Job, Token
from infra.tgi.errors import EngineError
from infra.tgi.router import validation
from infra.tgi.router.batcher import Batcher, QueuedJob
from infra.tgi.router.errors import (
    GenerationError,
    InferError,
    InvalidRequestError,
    OverloadedError,
)
from infra.tgi.router.metrics import Metrics
from infra.tgi.router.requests import GenerateRequest, Grammar
from infra.tgi.router.validation import Limits, ValidParameters
from infra.tgi.router.validation_workers import ValidationWorkers

_T = TypeVar("_T")

#: Beyond these an answer of /tokenize is written off the event loop: 800,000 held it for 2 s.
_MANY_TOKENS = 4_096


@dataclass(slots=True)
class InferResponse:
    """An answer with its times (seconds) and its prompt's length (tokens)."""

    generation: Generation
    input_length: int
    seed: int | None
    total: float
    validation: float
    queue: float
    inference: float
    best_of: list[InferResponse] | None = None

    @property
    def per_token(self) -> float:
        """Seconds per token of the answer."""
        return self.inference / max(1, self.generation.generated_tokens)


@dataclass(slots=True)
class StreamEnd:
    """The end of a stream: the whole answer."""

    response: InferResponse
    token: Token | None


class Permits:
    """Places for sequences in work or waiting."""

    def __init__(self, size: int) -> None:
        self._free = size

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place. Raises `OverloadedError` when there is none."""
        if self._free <= 0:
            raise OverloadedError
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Infer:
    """Answers requests with an engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        batcher: Batcher,
        workers: ValidationWorkers,
        permits: Permits,
        tokenize_permits: Permits,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._batcher = batcher
        self._engine = engine
        self._workers = workers
        self._permits = permits
        self._limits = limits
        self._metrics = metrics
        self._longest_answer = engine.info.max_new_tokens
        self._tokenize_permits = tokenize_permits

    async def generate(self, request: GenerateRequest) -> InferResponse:
        """Answer one prompt. Raises `InferError`."""
        started = time.perf_counter()
        self._metrics.requests.add()
        try:
            wanted = request.parameters.best_of or 1
            response = (
                await self._best_of(request, wanted, started)
                if wanted > 1
                else await self._one(request, started)
            )
        except InferError as error:
            self._metrics.failures.add(label=error.label)
            raise
        self._succeeded(response)
        return response

    async def tokenized(self, text: str, write: Callable[[Encoded], _T]) -> _T:
        """What `write` makes of a text's tokens, with a permit of their own kind.

        As in TGI, generating doesn't keep others from tokenizing. Raises `OverloadedError`.
        """
        with self._tokenize_permits.one():
            encoded = await self._workers.encode(text)
            if len(encoded.ids) <= _MANY_TOKENS:
                return write(encoded)
            return await self._workers.run(lambda: write(encoded))

    async def healthy(self) -> bool:
        """Whether the engine answers: after a failed pass, by asking it for one token."""
        if self._batcher.healthy:
            return True
        job = Job((await self._workers.encode("liveness")).ids, 1)
        try:
            await self._batcher.submit(job).future
        except InferError:
            return False
        return True

    async def _best_of(
        self, request: GenerateRequest, wanted: int, started: float
    ) -> InferResponse:
        validation.best_of(wanted, self._limits)
        tasks = [asyncio.ensure_future(self._one(request, started)) for _ in range(wanted)]
        try:
            answers = list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        best = max(range(wanted), key=lambda index: _mean_logprob(answers[index]))
        response = answers.pop(best)
        response.best_of = answers
        return response

    async def _one(self, request: GenerateRequest, started: float) -> InferResponse:
        with self._permits.one():
            job = await self._job(request)
            pending = self._batcher.submit(job)
            try:
                generation = await pending.future
            except asyncio.CancelledError:
                self._batcher.cancel(pending)
                raise
            return _response_of(pending, generation, started)

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Token | StreamEnd]:
        """Answer one prompt token by token, its last token within the end.

        Raises `InferError`, also after tokens.
        """
        started = time.perf_counter()
        self._metrics.requests.add()
        try:
            self._check_stream(request)
            with self._permits.one():
                job = await self._job(request)
                async for item in self._tokens(job, started):
                    yield item
        except InferError as error:
            self._metrics.failures.add(label=error.label)
            raise

    @staticmethod
    def _check_stream(request: GenerateRequest) -> None:
        given = request.parameters
        if given.best_of is not None and given.best_of != 1:
            raise InvalidRequestError("`best_of` != 1 is not supported when streaming tokens")
        if given.decoder_input_details:
            raise InvalidRequestError(
                "`decoder_input_details` == true is not supported when streaming tokens"
            )

    async def _tokens(self, job: Job, started: float) -> AsyncGenerator[Token | StreamEnd]:
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[Token | None] = asyncio.Queue()

        def on_token(token: Token) -> None:
            loop.call_soon_threadsafe(made.put_nowait, token)

        job.on_token = on_token
        pending = self._batcher.submit(job)
        pending.future.add_done_callback(lambda _: made.put_nowait(None))
        held: Token | None = None
        try:
            while (token := await made.get()) is not None:
                if held is not None:
                    yield held
                held = token
            try:
                generation = await pending.future
            except InferError:
                if held is not None:
                    yield held
                raise
            response = _response_of(pending, generation, started)
            self._succeeded(response)
            yield StreamEnd(response, held)
        finally:
            if not pending.future.done():
                self._batcher.cancel(pending)

    async def _job(self, request: GenerateRequest) -> Job:
        checked = validation.check(request, self._limits)
        try:
            encoded = await self._workers.encode(request.inputs)
            job = self._build(request, checked, encoded.ids)
            if checked.grammar is not None:
                job.grammar = await self._grammar(checked.grammar)
        except EngineError as error:
            raise GenerationError(str(error)) from error
        return job

    async def _grammar(self, grammar: Grammar) -> str:
        """The grammar as a pattern that the engine has compiled, not on the event loop."""

        def prepare() -> str:
            pattern = validation.grammar_pattern(grammar, self._limits)
            self._engine.check_grammar(pattern)
            return pattern

        return await self._workers.run(prepare)

    def _build(self, request: GenerateRequest, checked: ValidParameters, ids: list[int]) -> Job:
        if checked.truncate is not None:
            ids = ids[-checked.truncate :]
        length = len(ids)
        longest = validation.check_length(length, checked.max_new_tokens, self._limits)
        self._metrics.input_length.record(length)
        self._metrics.max_new_tokens.record(longest)
        given = request.parameters
        details = given.details or given.decoder_input_details
        return Job(
            ids,
            min(longest, self._longest_answer),
            sampling=checked.sampling,
            stop=checked.stop,
            want_tokens=details or (given.best_of or 1) > 1,
            want_prefill=given.decoder_input_details,
            top_n_tokens=checked.top_n_tokens,
        )

    def _succeeded(self, response: InferResponse) -> None:
        metrics = self._metrics
        metrics.successes.add()
        metrics.duration.record(response.total)
        metrics.validation.record(response.validation)
        metrics.waiting.record(response.queue)
        metrics.inference.record(response.inference)
        metrics.per_token.record(response.per_token)
        metrics.generated.record(response.generation.generated_tokens)


def _response_of(pending: QueuedJob, generation: Generation, started: float) -> InferResponse:
    now = time.perf_counter()
    sampling = pending.job.sampling
    return InferResponse(
        generation,
        len(pending.job.ids),
        sampling.seed if sampling.samples else None,
        total=now - started,
        validation=pending.queued - started,
        queue=pending.started - pending.queued,
        inference=now - pending.started,
    )


def _mean_logprob(response: InferResponse) -> float:
    tokens = response.generation.tokens
    return sum(token.logprob for token in tokens) / max(1, len(tokens))
