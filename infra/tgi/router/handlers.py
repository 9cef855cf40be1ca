"""What each route does with its body. Those of the OpenAI API are in completions.py."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from aiohttp import web

from infra.tgi.engine import Encoded
from infra.tgi.router import requests
from infra.tgi.router.completions import Completions, chat
from infra.tgi.router.errors import (
    InferError,
    TemplateError,
    UnhealthyError,
    VertexEmptyError,
    VertexError,
)
from infra.tgi.router.http import Request
from infra.tgi.router.infer import Infer
from infra.tgi.router.requests import ChatRequest, CompatRequest, CompletionRequest, GenerateRequest
from infra.tgi.router.responses import (
    empty_response,
    error_response,
    generated,
    json_response,
    sse_error,
    stream_event,
    stream_headers,
    timing_headers,
)


class Handlers:
    """The POST routes. Each takes the request and its body; raises `InferError`, `BodyError`."""

    def __init__(
        self, infer: Infer, completions: Completions, *, compute_type: str, full_text: bool
    ) -> None:
        self._infer = infer
        self._completions = completions
        self._compute_type = compute_type
        self._full_text = full_text

    async def health(self) -> web.StreamResponse:
        """GET /health: empty while the engine answers, else 503."""
        if await self._infer.healthy():
            return empty_response()
        return error_response(UnhealthyError())

    async def generate(self, _http: Request, body: bytes) -> web.StreamResponse:
        """POST /generate: one prompt, one answer."""
        return await self._generate(requests.generate_request(body), as_list=False)

    async def generate_stream(self, http: Request, body: bytes) -> web.StreamResponse:
        """POST /generate_stream: one prompt, its answer token by token; errors in-band."""
        return await self._stream(http, requests.generate_request(body))

    async def compat(self, http: Request, body: bytes) -> web.StreamResponse:
        """POST /: as /generate within a list, or as /generate_stream where `stream` is true."""
        return await self._compat(http, requests.compat_request(body))

    async def completions(self, http: Request, body: bytes) -> web.StreamResponse:
        """POST /v1/completions."""
        return await self._completions.answer(http, requests.completion_request(body))

    async def chat(self, _http: Request, body: bytes) -> web.StreamResponse:
        """POST /v1/chat/completions: always refused, the EmoLLMs have no chat template."""
        chat(requests.chat_request(body))

    async def chat_tokenize(self, _http: Request, body: bytes) -> web.StreamResponse:
        """POST /chat_tokenize: likewise."""
        chat(requests.chat_request(body))

    async def invocations(self, http: Request, body: bytes) -> web.StreamResponse:
        """POST /invocations (SageMaker): any of the above."""
        request = requests.invocation_request(body)
        if isinstance(request, CompatRequest):
            return await self._compat(http, request)
        if isinstance(request, CompletionRequest):
            return await self._completions.answer(http, request)
        return chat(request)

    async def vertex(self, _http: Request, body: bytes) -> web.StreamResponse:
        """POST /vertex (Google): several prompts; any failure is a 500."""
        instances = requests.vertex_request(body)
        if not instances:
            raise VertexEmptyError
        prompts: list[GenerateRequest] = []
        for instance in instances:
            if isinstance(instance, ChatRequest):
                raise TemplateError
            prompts.append(instance)
        results = await asyncio.gather(
            *(self._infer.generate(prompt) for prompt in prompts), return_exceptions=True
        )
        predictions: list[str] = []
        for result in results:
            if isinstance(result, InferError):
                raise VertexError from result
            if isinstance(result, BaseException):
                raise result
            predictions.append(result.generation.text)
        return json_response({"predictions": predictions})

    async def tokenize(self, _http: Request, body: bytes) -> web.StreamResponse:
        """POST /tokenize: the prompt's tokens and where they are in it."""
        text = requests.generate_request(body).inputs

        def write(encoded: Encoded) -> web.Response:
            return json_response(
                [
                    {"id": one, "text": text[start:stop], "start": start, "stop": stop}
                    for one, (start, stop) in zip(encoded.ids, encoded.offsets, strict=True)
                ]
            )

        return await self._infer.tokenized(text, write)

    async def _compat(self, http: Request, request: CompatRequest) -> web.StreamResponse:
        if request.parameters.return_full_text is None:
            request.parameters.return_full_text = self._full_text
        if request.stream:
            return await self._stream(http, request)
        return await self._generate(request, as_list=True)

    async def _generate(self, request: GenerateRequest, *, as_list: bool) -> web.Response:
        response = await self._infer.generate(request)
        given = request.parameters
        body = generated(
            response,
            prompt=request.inputs if given.return_full_text else None,
            details=given.details or given.decoder_input_details,
        )
        return json_response(
            [body] if as_list else body,
            headers=timing_headers(
                response, compute_type=self._compute_type, characters=len(request.inputs)
            ),
        )

    async def _stream(self, http: Request, request: GenerateRequest) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                **stream_headers(compute_type=self._compute_type, characters=len(request.inputs)),
                **http.cors,
            }
        )
        await response.prepare(http)
        given = request.parameters
        prompt = request.inputs if given.return_full_text else None
        try:
            async with aclosing(self._infer.stream(request)) as items:
                index = 0
                async for item in items:
                    index += 1
                    await response.write(
                        stream_event(index, item, prompt=prompt, details=given.details)
                    )
        except InferError as error:
            await response.write(sse_error(error))
        await response.write_eof()
        return response
