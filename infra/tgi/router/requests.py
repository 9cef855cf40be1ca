"""From a body's bytes to a typed request: a quick check first, the strict reader for the rest."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from infra.tgi.router import request_shapes
from infra.tgi.router.shapes import Shape, to_float32
from infra.tgi.router.strict_json import Reader

_KEYS = re.compile(rb'"(\w+)"\s*:')

#: Bodies beyond this take the strict reader: the duplicate check below isn't worth its time there.
_QUICK_BYTES = 65_536

#: Whole numbers up to here are valid for each of TGI's integer types.
_SMALLEST_HIGH = (1 << 31) - 1

_NUMBER: frozenset[type] = frozenset({int, float, type(None)})
_WHOLE: frozenset[type] = frozenset({int, type(None)})
_BOOL: frozenset[type] = frozenset({bool})
_QUICK: dict[str, frozenset[type]] = {
    "best_of": _WHOLE,
    "temperature": _NUMBER,
    "repetition_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "top_k": _WHOLE,
    "top_p": _NUMBER,
    "typical_p": _NUMBER,
    "do_sample": _BOOL,
    "max_new_tokens": _WHOLE,
    "return_full_text": frozenset({bool, type(None)}),
    "watermark": _BOOL,
    "details": _BOOL,
    "decoder_input_details": _BOOL,
    "seed": _WHOLE,
    "truncate": _WHOLE,
    "top_n_tokens": _WHOLE,
    "adapter_id": frozenset({str, type(None)}),
    "stop": frozenset({list}),
    "grammar": frozenset(),  # always read strictly
}


class Parameters(msgspec.Struct):
    """`parameters` of a generate request, unchecked.

    Defaults are TGI's for `"parameters": {}`; left out altogether, sampling is on.
    """

    best_of: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: int | None = 100
    return_full_text: bool | None = None
    stop: list[str] = []
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    seed: int | None = None
    top_n_tokens: int | None = None
    grammar: tuple[str, Any] | None = None
    adapter_id: str | None = None


class GenerateRequest(msgspec.Struct):
    """One prompt and how to answer it."""

    inputs: str
    parameters: Parameters
    stream: bool = False


class CompletionRequest(msgspec.Struct):
    """An OpenAI-style request: prompts that share their parameters."""

    prompt: list[str]
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool = False
    seed: int | None = None
    suffix: str | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | None = None


class ChatRequest(msgspec.Struct):
    """What matters of a chat request for a model that has no chat template."""

    has_grammar: bool = False
    tools: list[str] | None = None
    tool_choice: Any = None


def _quick(body: bytes) -> GenerateRequest | None:
    """The request, if nothing about the body is unusual; None leaves it to the strict reader."""
    if len(body) > _QUICK_BYTES:
        return None
    keys = _KEYS.findall(body)
    if len(set(keys)) != len(keys):
        return None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if type(value) is not dict or type(value.get("inputs")) is not str:
        return None
    stream = value.get("stream", False)
    parameters = _quick_parameters(value["parameters"]) if "parameters" in value else _sampling()
    if type(stream) is not bool or parameters is None:
        return None
    return GenerateRequest(value["inputs"], parameters, stream)


def _quick_parameters(raw: Any) -> Parameters | None:
    if type(raw) is not dict:
        return None
    parameters = Parameters()
    for name, found in raw.items():
        if name not in _QUICK:
            continue
        if not _usual(name, found):
            return None
        setattr(parameters, name, to_float32(found) if type(found) is float else found)
    return parameters


def _usual(name: str, found: Any) -> bool:
    kind = type(found)
    if kind not in _QUICK[name]:
        return False
    if kind is int:
        return bool(0 <= found <= _SMALLEST_HIGH)
    return kind is not list or all(type(text) is str for text in found)


def _sampling() -> Parameters:
    return Parameters(do_sample=True)


def read(body: bytes, shape: Shape) -> Any:
    """Read a body strictly, up to the end of its first value.

    Raises `SerdeError`. What follows the value is ignored, as TGI does.
    """
    return shape.read(Reader(body))


def generate_request(body: bytes) -> GenerateRequest:
    """The request of /generate, /generate_stream and /tokenize. Raises `SerdeError`."""
    request = _quick(body)
    if request is not None:
        request.stream = False
        return request
    return _as_generate(read(body, request_shapes.GENERATE))


def compat_request(body: bytes) -> GenerateRequest:
    """The request of POST /. Raises `SerdeError`."""
    return _quick(body) or _as_generate(read(body, request_shapes.COMPAT))


def completion_request(body: bytes) -> CompletionRequest:
    """The request of /v1/completions. Raises `SerdeError`."""
    return CompletionRequest(**read(body, request_shapes.COMPLETION))


def chat_request(body: bytes) -> ChatRequest:
    """The request of /v1/chat/completions. Raises `SerdeError`."""
    return _as_chat(read(body, request_shapes.CHAT))


def invocation_request(body: bytes) -> GenerateRequest | ChatRequest | CompletionRequest:
    """The request of /invocations, whichever of the three it is. Raises `SerdeError`."""
    index, value = read(body, request_shapes.INVOCATION)
    if index == 0:
        return _as_generate(value)
    return _as_chat(value) if index == 1 else CompletionRequest(**value)


def vertex_request(body: bytes) -> list[GenerateRequest | ChatRequest]:
    """The instances of /vertex, each with the parameters TGI keeps of them. Raises `SerdeError`."""
    instances: list[GenerateRequest | ChatRequest] = []
    for index, value in read(body, request_shapes.VERTEX)["instances"]:
        if index == 1:
            instances.append(_as_chat(value))
            continue
        asked = value.get("parameters")
        given = Parameters(**asked) if asked is not None else Parameters(max_new_tokens=None)
        kept = Parameters(do_sample=True, max_new_tokens=given.max_new_tokens, seed=given.seed)
        instances.append(GenerateRequest(value["inputs"], kept))
    return instances


def _as_generate(value: dict[str, Any]) -> GenerateRequest:
    parameters = Parameters(**value["parameters"]) if "parameters" in value else _sampling()
    return GenerateRequest(value["inputs"], parameters, value.get("stream", False))


def _as_chat(value: dict[str, Any]) -> ChatRequest:
    tools = value.get("tools")
    return ChatRequest(
        has_grammar=value.get("response_format") is not None,
        tools=None if tools is None else [tool["function"]["name"] for tool in tools],
        tool_choice=value.get("tool_choice"),
    )
