"""/docs and /api-doc/openapi.json: which routes there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from infra.tgi.replies import empty_reply, json_reply

_ROUTES = {
    "/": ("post", "Answer a prompt, in a list; a stream where `stream` is true"),
    "/generate": ("post", "Answer a prompt"),
    "/generate_stream": ("post", "Answer a prompt token by token (server-sent events)"),
    "/v1/completions": ("post", "Answer prompts in OpenAI's dialect"),
    "/v1/chat/completions": ("post", "Refused: the models have no chat template"),
    "/invocations": ("post", "Any of the above (SageMaker)"),
    "/vertex": ("post", "Answer several prompts (Vertex AI)"),
    "/tokenize": ("post", "A prompt's tokens"),
    "/info": ("get", "The model and the limits"),
    "/health": ("get", "200 while requests are answered"),
    "/metrics": ("get", "Prometheus metrics"),
    "/v1/models": ("get", "The model in OpenAI's dialect"),
}


def pages(version: str) -> dict[str, Callable[[], web.StreamResponse]]:
    """The GET routes of the documentation."""
    document: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": "Text Generation Inference", "version": version},
        "paths": {
            path: {method: {"summary": summary, "responses": {"200": {"description": "OK"}}}}
            for path, (method, summary) in _ROUTES.items()
        },
    }
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{path}</code></td><td>{summary}</td></tr>"
        for path, (method, summary) in _ROUTES.items()
    )
    page = (
        "<!doctype html><title>Text Generation Inference</title>"
        f"<h1>Text Generation Inference, by emostream</h1><table>{rows}</table>"
        '<p><a href="/api-doc/openapi.json">OpenAPI</a></p>'
    )
    return {
        "/docs": lambda: empty_reply(303, {"Location": "/docs/"}),
        "/docs/": lambda: web.Response(text=page, content_type="text/html"),
        "/api-doc/openapi.json": lambda: json_reply(document),
    }
