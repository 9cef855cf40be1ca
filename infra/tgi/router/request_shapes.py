"""Each of TGI's request bodies as a shape. Names, order and types are those of TGI 3.3."""

from __future__ import annotations

from typing import Any

from infra.tgi.router.shapes import (
    Anything,
    Flag,
    Float32,
    Integer,
    ListOf,
    Maybe,
    Struct,
    Text,
    Untagged,
    refuse,
)
from infra.tgi.router.strict_json import Reader, SerdeError

_U32 = Integer("u32", 0, (1 << 32) - 1)
_U64 = Integer("u64", 0, (1 << 64) - 1)
_USIZE = Integer("usize", 0, (1 << 64) - 1)
_I32 = Integer("i32", -(1 << 31), (1 << 31) - 1)
_TEXTS = ListOf(Text())
_GRAMMARS = ("json", "json_object", "regex", "json_schema")


class Grammar:
    """`{"type": "regex" | "json" | "json_object" | "json_schema", "value": …}`.

    Gives (type, value), with json_object as json and json_schema as its schema.
    """

    def read(self, reader: Reader) -> tuple[str, Any]:
        """Read it."""
        if reader.peek() != ord("{"):
            refuse(reader, "adjacently tagged enum GrammarType")
        reader.position += 1
        found: dict[str, Any] = {}
        first = True
        while (key := reader.next_key(first=first)) is not None:
            first = False
            if key not in {"type", "value"}:
                reader.colon()
                reader.ignore()
                continue
            if key in found:
                reader.wrong(f"duplicate field `{key}`")
            reader.colon()
            try:
                found[key] = self._kind(reader) if key == "type" else reader.anything()
                self._check(found, reader)
            except SerdeError as error:
                error.path.insert(0, key)
                raise
        for key in ("type", "value"):
            if key not in found:
                reader.wrong(f"missing field `{key}`")
        kind, value = found["type"], found["value"]
        if kind == "json_schema":
            return "json", value["schema"]
        return ("json" if kind == "json_object" else kind), value

    @staticmethod
    def _kind(reader: Reader) -> str:
        kind = Text().read(reader)
        if kind not in _GRAMMARS:
            known = ", ".join(f"`{name}`" for name in _GRAMMARS)
            reader.wrong(f"unknown variant `{kind}`, expected one of {known}")
        return kind

    @staticmethod
    def _check(found: dict[str, Any], reader: Reader) -> None:
        if len(found) < 2:
            return
        kind, value = found["type"], found["value"]
        if kind == "regex" and not isinstance(value, str):
            reader.wrong("invalid type, expected a string")
        if kind == "json_schema" and not isinstance(value, dict):
            reader.wrong("invalid type, expected struct JsonSchemaConfig")
        if kind == "json_schema" and "schema" not in value:
            reader.wrong("missing field `schema`")


class Prompt:
    """A string or a list of strings that isn't empty; gives a list."""

    _either = Untagged("PromptDeserializer", (Text(), _TEXTS))

    def read(self, reader: Reader) -> list[str]:
        """Read it."""
        index, value = self._either.read(reader)
        if index == 0:
            return [value]
        if not value:
            reader.wrong("Empty array detected. Do not use an empty array for the prompt.")
        return list(value)


PARAMETERS = Struct(
    "GenerateParameters",
    {
        "best_of": Maybe(_USIZE),
        "temperature": Maybe(Float32()),
        "repetition_penalty": Maybe(Float32()),
        "frequency_penalty": Maybe(Float32()),
        "top_k": Maybe(_I32),
        "top_p": Maybe(Float32()),
        "typical_p": Maybe(Float32()),
        "do_sample": Flag(),
        "max_new_tokens": Maybe(_U32),
        "return_full_text": Maybe(Flag()),
        "stop": _TEXTS,
        "truncate": Maybe(_USIZE),
        "watermark": Flag(),
        "details": Flag(),
        "decoder_input_details": Flag(),
        "seed": Maybe(_U64),
        "top_n_tokens": Maybe(_U32),
        "grammar": Maybe(Grammar()),
        "adapter_id": Maybe(Text()),
    },
)

GENERATE = Struct(
    "GenerateRequest", {"inputs": Text(), "parameters": PARAMETERS}, frozenset({"inputs"})
)

COMPAT = Struct(
    "CompatGenerateRequest",
    {"inputs": Text(), "parameters": PARAMETERS, "stream": Flag()},
    frozenset({"inputs"}),
)

COMPLETION = Struct(
    "CompletionRequest",
    {
        "model": Maybe(Text()),
        "prompt": Prompt(),
        "max_tokens": Maybe(_U32),
        "temperature": Maybe(Float32()),
        "top_p": Maybe(Float32()),
        "stream": Flag(),
        "seed": Maybe(_U64),
        "suffix": Maybe(Text()),
        "repetition_penalty": Maybe(Float32()),
        "frequency_penalty": Maybe(Float32()),
        "stop": Maybe(_TEXTS),
    },
    frozenset({"prompt"}),
)

_CONTENT_PART = Struct("MessageChunk", {"type": Text()}, frozenset({"type"}))
_CONTENT = Untagged("MessageContent", (Text(), ListOf(_CONTENT_PART)))
_MESSAGE = Untagged(
    "MessageBody",
    (
        Struct(
            "Message",
            {"role": Text(), "content": _CONTENT, "name": Maybe(Text())},
            frozenset({"role", "content"}),
        ),
        Struct(
            "Message",
            {"role": Text(), "tool_calls": ListOf(Anything()), "name": Maybe(Text())},
            frozenset({"role", "tool_calls"}),
        ),
    ),
)

_FUNCTION = Struct("FunctionDefinition", {"name": Text()}, frozenset({"name"}))
_TOOL = Struct("Tool", {"type": Text(), "function": _FUNCTION}, frozenset({"type", "function"}))

CHAT = Struct(
    "ChatRequest",
    {
        "model": Maybe(Text()),
        "messages": ListOf(_MESSAGE),
        "frequency_penalty": Maybe(Float32()),
        "logit_bias": Maybe(ListOf(Float32())),
        "logprobs": Maybe(Flag()),
        "top_logprobs": Maybe(_U32),
        "max_tokens": Maybe(_U32),
        "n": Maybe(_U32),
        "presence_penalty": Maybe(Float32()),
        "stop": Maybe(_TEXTS),
        "stream": Flag(),
        "seed": Maybe(_U64),
        "temperature": Maybe(Float32()),
        "top_p": Maybe(Float32()),
        "tools": Maybe(ListOf(_TOOL)),
        "tool_prompt": Maybe(Text()),
        "tool_choice": Anything(),
        "response_format": Maybe(Grammar()),
        "guideline": Maybe(Text()),
        "stream_options": Maybe(Struct("StreamOptions", {"include_usage": Flag()})),
    },
    frozenset({"messages"}),
    {"max_completion_tokens": "max_tokens"},
)

INVOCATION = Untagged("SagemakerRequest", (COMPAT, CHAT, COMPLETION))

_VERTEX_GENERATE = Struct(
    "GenerateVertexInstance",
    {"inputs": Text(), "parameters": Maybe(PARAMETERS)},
    frozenset({"inputs"}),
)
VERTEX = Struct(
    "VertexRequest",
    {"instances": ListOf(Untagged("VertexInstance", (_VERTEX_GENERATE, CHAT)))},
    frozenset({"instances"}),
)
