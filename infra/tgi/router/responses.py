"""The bodies and headers of answers, as TGI writes them."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aiohttp import web

from infra.tgi.engine import FinishReason, Generation, Token
from infra.tgi.router.errors import InferError
from infra.tgi.router.infer import InferResponse, StreamEnd

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


def json_response(
    value: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A JSON answer."""
    return _response(_encode(value), _JSON, status, headers)


def text_response(text: str, *, status: int = 200) -> web.Response:
    """A plain text answer."""
    return _response(text.encode(), _TEXT, status, None)


def empty_response(status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer without a body, and so without a type."""
    return web.Response(status=status, headers=headers)


def error_response(error: InferError) -> web.Response:
    """A refusal as JSON."""
    return _response(error.body(), _JSON, error.status, None)


def _response(
    body: bytes, content_type: str, status: int, headers: dict[str, str] | None
) -> web.Response:
    return web.Response(
        body=body, status=status, headers={"Content-Type": content_type, **(headers or {})}
    )


def generated(response: InferResponse, *, prompt: str | None, details: bool) -> dict[str, Any]:
    """The body of /generate; `prompt` is put before the answer where one is given."""
    text = response.generation.text
    body: dict[str, Any] = {"generated_text": text if prompt is None else prompt + text}
    if details:
        body["details"] = _sequence(response)
        if response.best_of is not None:
            body["details"]["best_of_sequences"] = [
                {
                    "generated_text": (prompt or "") + other.generation.text,
                    **_sequence(other),
                }
                for other in response.best_of
            ]
    return body


def _sequence(response: InferResponse) -> dict[str, Any]:
    made = response.generation
    details: dict[str, Any] = {
        "finish_reason": made.finish_reason,
        "generated_tokens": made.generated_tokens,
        "seed": response.seed,
        "prefill": [
            {"id": one.id, "text": one.text, "logprob": one.logprob} for one in made.prefill
        ],
        "tokens": [_token(one) for one in made.tokens],
    }
    if any(one.top for one in made.tokens):
        details["top_tokens"] = [_top(one) for one in made.tokens]
    return details


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "text": token.text,
        "logprob": round(token.logprob, 7),
        "special": token.special,
    }


def _top(token: Token) -> list[dict[str, Any]]:
    return [
        {"id": one.id, "text": one.text, "logprob": round(one.logprob, 7), "special": one.special}
        for one in token.top
    ]


def timing_headers(
    response: InferResponse, *, compute_type: str, characters: int
) -> dict[str, str]:
    """The x- headers of an answer: milliseconds, except x-compute-time (seconds)."""
    return {
        "x-compute-type": compute_type,
        "x-compute-time": f"{response.total:.9f}",
        "x-compute-characters": str(characters),
        "x-total-time": _milliseconds(response.total),
        "x-validation-time": _milliseconds(response.validation),
        "x-queue-time": _milliseconds(response.queue),
        "x-inference-time": _milliseconds(response.inference),
        "x-time-per-token": _milliseconds(response.per_token),
        "x-prompt-tokens": str(response.input_length),
        "x-generated-tokens": str(response.generation.generated_tokens),
    }


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def stream_headers(*, compute_type: str, characters: int) -> dict[str, str]:
    """The headers of a stream; its times aren't known when it begins."""
    return {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        "x-compute-type": compute_type,
        "x-compute-characters": str(characters),
        "x-accel-buffering": "no",
    }


def sse(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + _encode(value) + b"\n\n"


def sse_error(error: InferError) -> bytes:
    """A refusal within a stream."""
    return b"data: " + error.body() + b"\n\n"


def stream_event(
    index: int, item: Token | StreamEnd, *, prompt: str | None, details: bool
) -> bytes:
    """One event of /generate_stream; `index` counts from 1."""
    if isinstance(item, Token):
        return sse(_stream_body(index, item, None, None))
    made = item.response.generation
    text = made.text if prompt is None else prompt + made.text
    end = (
        {
            "finish_reason": made.finish_reason,
            "generated_tokens": made.generated_tokens,
            "seed": item.response.seed,
            "input_length": item.response.input_length,
        }
        if details
        else None
    )
    token = item.token or Token(0, "", 0.0, special=True)
    return sse(_stream_body(index, token, text, end))


def _stream_body(
    index: int, token: Token, text: str | None, details: dict[str, Any] | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"index": index, "token": _token(token)}
    if token.top:
        body["top_tokens"] = _top(token)
    return {**body, "generated_text": text, "details": details}


class CompletionBodies:
    """The bodies of /v1/completions for one model."""

    def __init__(self, model: str, fingerprint: str) -> None:
        self._model = model
        self._fingerprint = fingerprint

    def whole(self, answers: list[tuple[int, InferResponse]]) -> dict[str, Any]:
        """All prompts' answers, in the order they came."""
        prompt = sum(response.input_length for _, response in answers)
        completion = sum(response.generation.generated_tokens for _, response in answers)
        return self._final(
            [
                _choice(index, response.generation.text, _openai_reason(response.generation))
                for index, response in answers
            ],
            prompt,
            completion,
        )

    def chunk(self, index: int, item: Token | StreamEnd) -> dict[str, Any]:
        """One event of a stream: a token of prompt `index`, or its last one with the usage."""
        if isinstance(item, Token):
            return {
                "object": "text_completion",
                "id": "",
                "created": int(time.time()),
                "choices": [_choice(index, item.text, "")],
                "model": self._model,
                "system_fingerprint": self._fingerprint,
            }
        made = item.response.generation
        text = item.token.text if item.token is not None else ""
        return self._final(
            [_choice(index, text, made.finish_reason)],
            item.response.input_length,
            made.generated_tokens,
        )

    def _final(self, choices: list[dict[str, Any]], prompt: int, completion: int) -> dict[str, Any]:
        return {
            "object": "text_completion",
            "id": "",
            "created": int(time.time()),
            "model": self._model,
            "system_fingerprint": self._fingerprint,
            "choices": choices,
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }


def _choice(index: int, text: str, reason: FinishReason | str) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _openai_reason(made: Generation) -> str:
    return "stop" if made.finish_reason == "eos_token" else made.finish_reason
