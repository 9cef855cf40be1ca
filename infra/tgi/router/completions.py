"""TGI's version of the OpenAI API: /v1/completions, and chats, which are always refused."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import NoReturn

from aiohttp import web

from infra.tgi.router.errors import (
    BatchSizeError,
    InferError,
    SuffixError,
    TemplateError,
    ToolError,
)
from infra.tgi.router.http import Request
from infra.tgi.router.infer import Infer, InferResponse
from infra.tgi.router.metrics import Metrics
from infra.tgi.router.requests import ChatRequest, CompletionRequest, GenerateRequest, Parameters
from infra.tgi.router.responses import (
    CompletionBodies,
    json_response,
    sse,
    stream_headers,
    timing_headers,
)

#: Within a stream TGI says 422 for every error.
_STREAM_STATUS = 422

_DONE = b"data: [DONE]\n\n"


class Completions:
    """Answers /v1/completions: a list of prompts, all of them or none."""

    def __init__(
        self,
        infer: Infer,
        bodies: CompletionBodies,
        metrics: Metrics,
        *,
        max_prompts: int,
        compute_type: str,
    ) -> None:
        self._infer = infer
        self._bodies = bodies
        self._metrics = metrics
        self._max_prompts = max_prompts
        self._compute_type = compute_type

    async def answer(self, http: Request, request: CompletionRequest) -> web.StreamResponse:
        """Answer a request. Raises `InferError`."""
        self._metrics.requests.add()
        try:
            if request.suffix is not None:
                raise SuffixError
            if len(request.prompts) > self._max_prompts:
                raise BatchSizeError(self._max_prompts)
        except InferError as error:
            self._metrics.failures.add(label=error.label)
            raise
        prompts = [GenerateRequest(prompt, _parameters(request)) for prompt in request.prompts]
        if request.stream:
            return await self._stream(http, prompts)
        return await self._whole(prompts)

    async def _whole(self, prompts: list[GenerateRequest]) -> web.Response:
        async def one(index: int, prompt: GenerateRequest) -> tuple[int, InferResponse]:
            return index, await self._infer.generate(prompt)

        tasks = [asyncio.ensure_future(one(*pair)) for pair in enumerate(prompts)]
        answers: list[tuple[int, InferResponse]] = []
        try:
            answers.extend([await done for done in asyncio.as_completed(tasks)])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        slowest = max((response for _, response in answers), key=lambda one: one.total)
        headers = timing_headers(
            slowest,
            compute_type=self._compute_type,
            characters=sum(len(prompt.inputs) for prompt in prompts),
        )
        del headers["x-compute-time"]
        body = self._bodies.whole(answers)
        headers["x-prompt-tokens"] = str(body["usage"]["prompt_tokens"])
        headers["x-generated-tokens"] = str(body["usage"]["completion_tokens"])
        return json_response(body, headers=headers)

    async def _stream(self, http: Request, prompts: list[GenerateRequest]) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                **stream_headers(
                    compute_type=self._compute_type,
                    characters=sum(len(prompt.inputs) for prompt in prompts),
                ),
                **http.cors,
            }
        )
        await response.prepare(http)
        events: asyncio.Queue[bytes | None] = asyncio.Queue()
        tasks = [
            asyncio.ensure_future(self._feed(index, prompt, events))
            for index, prompt in enumerate(prompts)
        ]
        try:
            open_ = len(tasks)
            while open_:
                event = await events.get()
                if event is None:
                    open_ -= 1
                else:
                    await response.write(event)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await response.write(_DONE)
        await response.write_eof()
        return response

    async def _feed(
        self, index: int, prompt: GenerateRequest, events: asyncio.Queue[bytes | None]
    ) -> None:
        try:
            async with aclosing(self._infer.stream(prompt)) as items:
                async for item in items:
                    events.put_nowait(sse(self._bodies.chunk(index, item)))
        except InferError as error:
            refusal = {"message": str(error), "http_status_code": _STREAM_STATUS}
            events.put_nowait(sse({"error": refusal}))
        finally:
            events.put_nowait(None)


def _parameters(request: CompletionRequest) -> Parameters:
    """The request's parameters as /generate's: greedy only where temperature is 0."""
    greedy = request.temperature == 0
    return Parameters(
        temperature=None if greedy else request.temperature,
        repetition_penalty=request.repetition_penalty,
        frequency_penalty=request.frequency_penalty,
        top_p=request.top_p,
        do_sample=not greedy,
        max_new_tokens=100 if request.max_tokens is None else request.max_tokens,
        stop=request.stop or [],
        seed=request.seed,
    )


def chat(request: ChatRequest) -> NoReturn:
    """Refuse a chat as TGI does for a model without a chat template."""
    if request.tools is not None:
        if request.response_format is not None:
            raise ToolError("Grammar and tools are mutually exclusive")
        choice = request.tool_choice
        function = choice.get("function") if isinstance(choice, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if name is not None and all(name != tool.function.name for tool in request.tools):
            raise ToolError(f"Tool with name {name} not found")
    raise TemplateError
