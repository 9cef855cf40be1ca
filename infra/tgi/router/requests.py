"""The bodies of requests: names and types are those of TGI 3.3, unknown fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

_U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
_I32 = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
_Unsigned = Annotated[int, msgspec.Meta(ge=0)]  # up to 64 bits, which msgspec's bounds can't say

_T = TypeVar("_T")


class BodyError(Exception):
    """A body that isn't JSON (status 400) or not the JSON of this route (422): plain text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @classmethod
    def not_json(cls, error: Exception) -> BodyError:
        """The bytes are no JSON."""
        return cls(400, f"Failed to parse the request body as JSON: {error}")

    @classmethod
    def wrong_type(cls, error: object) -> BodyError:
        """It is JSON, with something else in it than this route takes."""
        return cls(422, f"Failed to deserialize the JSON body into the target type: {error}")


class RegexGrammar(msgspec.Struct, tag_field="type", tag="regex"):
    """The answer matches a regular expression."""

    value: str


class JsonGrammar(msgspec.Struct, tag_field="type", tag="json"):
    """The answer is JSON after a schema."""

    value: Any

    @property
    def schema(self) -> Any:
        """The JSON schema, unchecked."""
        return self.value


class JsonObjectGrammar(JsonGrammar, tag="json_object"):
    """Another name of the same."""


class _SchemaConfig(msgspec.Struct):
    schema: Any


class JsonSchemaGrammar(msgspec.Struct, tag_field="type", tag="json_schema"):
    """The schema one level deeper, as OpenAI has it."""

    value: _SchemaConfig

    @property
    def schema(self) -> Any:
        """The JSON schema, unchecked."""
        return self.value.schema


Grammar = RegexGrammar | JsonGrammar | JsonObjectGrammar | JsonSchemaGrammar


class Parameters(msgspec.Struct):
    """`parameters` of a generate request; `validation.py` has the rules.

    Defaults are TGI's for `"parameters": {}`; left out altogether, sampling is on.
    """

    best_of: _Unsigned | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    top_k: _I32 | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: _U32 | None = 100
    return_full_text: bool | None = None
    stop: list[str] = []
    truncate: _Unsigned | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    seed: _Unsigned | None = None
    top_n_tokens: _U32 | None = None
    grammar: Grammar | None = None
    adapter_id: str | None = None

    def __post_init__(self) -> None:
        if max(self.best_of or 0, self.truncate or 0, self.seed or 0) >= 1 << 64:
            raise ValueError("a number has more than 64 bits")


def _sampling() -> Parameters:
    return Parameters(do_sample=True)


class GenerateRequest(msgspec.Struct):
    """One prompt and how to answer it: /generate, /generate_stream, /tokenize."""

    inputs: str
    parameters: Parameters = msgspec.field(default_factory=_sampling)


class CompatRequest(GenerateRequest):
    """The same on POST /, where the body says whether the answer is a stream."""

    stream: bool = False


class CompletionRequest(msgspec.Struct):
    """An OpenAI-style request: prompts that share their parameters."""

    prompt: str | list[str]
    model: str | None = None
    max_tokens: _U32 | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool = False
    seed: _Unsigned | None = None
    suffix: str | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | None = None

    def __post_init__(self) -> None:
        if not self.prompt and isinstance(self.prompt, list):
            raise ValueError("prompt: Empty array detected")
        if (self.seed or 0) >= 1 << 64:
            raise ValueError("a number has more than 64 bits")

    @property
    def prompts(self) -> list[str]:
        """The prompts, also where it is only one."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class _ContentPart(msgspec.Struct):
    type: str


class _Message(msgspec.Struct):
    role: str
    content: str | list[_ContentPart] | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[Any] | msgspec.UnsetType = msgspec.UNSET
    name: str | None = None

    def __post_init__(self) -> None:
        if self.content is msgspec.UNSET and self.tool_calls is msgspec.UNSET:
            raise ValueError("a message has neither content nor tool_calls")


class _Function(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct):
    type: str
    function: _Function


class ChatRequest(msgspec.Struct):
    """A chat. The models have no chat template, so only what decides the refusal is kept."""

    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    response_format: Grammar | None = None
    model: str | None = None
    max_tokens: _U32 | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: _Unsigned | None = None
    stop: list[str] | None = None
    stream: bool = False


class _VertexInstance(msgspec.Struct):
    inputs: str
    parameters: Parameters | None = None


class _VertexRequest(msgspec.Struct):
    instances: list[msgspec.Raw]


_GENERATE = msgspec.json.Decoder(GenerateRequest)
_COMPAT = msgspec.json.Decoder(CompatRequest)
_COMPLETION = msgspec.json.Decoder(CompletionRequest)
_CHAT = msgspec.json.Decoder(ChatRequest)
_VERTEX = msgspec.json.Decoder(_VertexRequest)
_INSTANCE = msgspec.json.Decoder(_VertexInstance)


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BodyError.wrong_type(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyError.not_json(error) from error
    except RecursionError as error:
        raise BodyError.wrong_type("nested too deeply") from error


def generate_request(body: bytes) -> GenerateRequest:
    """The request of /generate, /generate_stream and /tokenize. Raises `BodyError`."""
    return _decode(_GENERATE, body)


def compat_request(body: bytes) -> CompatRequest:
    """The request of POST /. Raises `BodyError`."""
    return _decode(_COMPAT, body)


def completion_request(body: bytes) -> CompletionRequest:
    """The request of /v1/completions. Raises `BodyError`."""
    return _decode(_COMPLETION, body)


def chat_request(body: bytes) -> ChatRequest:
    """The request of /v1/chat/completions. Raises `BodyError`."""
    return _decode(_CHAT, body)


def invocation_request(body: bytes) -> CompatRequest | ChatRequest | CompletionRequest:
    """The request of /invocations: the first of the three that fits. Raises `BodyError`."""
    for read in (compat_request, chat_request, completion_request):
        try:
            return read(body)
        except BodyError as error:
            if error.status == 400:
                raise
    raise BodyError.wrong_type("it fits neither of the requests that /invocations takes")


def vertex_request(body: bytes) -> list[GenerateRequest | ChatRequest]:
    """The instances of /vertex, each with the parameters TGI keeps of them. Raises `BodyError`."""
    return [_vertex_instance(instance) for instance in _decode(_VERTEX, body).instances]


def _vertex_instance(body: msgspec.Raw) -> GenerateRequest | ChatRequest:
    try:
        asked = _decode(_INSTANCE, body)
    except BodyError:
        return _decode(_CHAT, body)
    given = asked.parameters or Parameters(max_new_tokens=None)
    kept = Parameters(do_sample=True, max_new_tokens=given.max_new_tokens, seed=given.seed)
    return GenerateRequest(asked.inputs, kept)
