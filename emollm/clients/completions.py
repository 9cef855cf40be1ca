"""The client of OpenAI's `/v1/completions`, as vLLM, SGLang and llama.cpp speak it."""

from collections.abc import Sequence

import msgspec

from emollm.clients.answers import error_of, garbage, no_answer
from emollm.clients.bodies import Bodies
from emollm.clients.tgi import software
from emollm.clients.transport import Transport, TransportError
from emollm.errors import ModelError, Refused, Unavailable
from emollm.protocol import GenerateParams, Generation, ServerInfo


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(msgspec.Struct):
    text: str
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Card(msgspec.Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None  # vLLM and SGLang
    meta: _Meta | None = None  # llama.cpp

    @property
    def context(self) -> int | None:
        """Tokens of prompt and answer together, where the server says."""
        if self.max_model_len is not None or self.meta is None:
            return self.max_model_len
        return self.meta.n_ctx or self.meta.n_ctx_train


class _Info(msgspec.Struct):
    """TGI's, which speaks this dialect, too, but tells its limits elsewhere."""

    max_input_tokens: int | None = None
    max_input_length: int | None = None  # its name before 2.0
    max_total_tokens: int | None = None
    max_concurrent_requests: int | None = None
    router: str | None = None
    docker_label: str | None = None


class _Models(msgspec.Struct):
    data: list[_Card]


_NO_USAGE = _Usage()
_encode = msgspec.json.encode
_completion_decoder = msgspec.json.Decoder(_Completion)
_models_decoder = msgspec.json.Decoder(_Models)
_info_decoder = msgspec.json.Decoder(_Info)
_Undecodable = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class CompletionsClient:
    """One server that speaks `/v1/completions`. Greedy: temperature 0; one prompt a call.

    A grammar is sent (with `grammar=True`) where its place is certain: vLLM from 0.12 takes
    `structured_outputs.regex`, SGLang `regex`. llama.cpp has GBNF only and other servers are
    unknown: none is sent to them.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        model: str | None = None,
        dialect: str = "openai",
        grammar: bool = False,
        secrets: Sequence[str] = (),
    ) -> None:
        """`model` as the server names it; where absent, `info` finds it and must come first.

        `secrets` are what no error may hold, whatever the server says.
        """
        self._transport = transport
        self._secrets = secrets
        self._configured = model
        self._model = model
        self._dialect = dialect
        self._grammar = grammar
        self._bodies = Bodies(self._write_around)

    def __repr__(self) -> str:
        return f"CompletionsClient({self._transport.url!r}, dialect={self._dialect!r})"

    @property
    def url(self) -> str:
        """Base URL, without credentials."""
        return self._transport.url

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        """Answer one prompt, or say why not, within `timeout_s`. Never raises a ModelError."""
        body = self._bodies.body(prompt, params, server=self.url)
        if isinstance(body, Refused):
            return body
        try:
            response = await self._transport.post("/v1/completions", body, timeout_s)
        except TransportError as error:
            return no_answer(error, server=self.url)
        if response.status != 200:
            return error_of(
                response, "/v1/completions", server=self.url, prompt=prompt, secrets=self._secrets
            )
        try:
            completion = _completion_decoder.decode(response.body)
            choice = completion.choices[0]
        except (*_Undecodable, IndexError):
            return garbage(response, "/v1/completions", server=self.url)
        usage = completion.usage or _NO_USAGE
        return Generation(
            text=choice.text,
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            generated_tokens=usage.completion_tokens,
        )

    async def info(self, *, timeout_s: float) -> ServerInfo | ModelError:
        """Ask the server what it serves; which of several, the configuration says."""
        try:
            response = await self._transport.get("/v1/models", timeout_s)
        except TransportError as error:
            return no_answer(error, server=self.url)
        if response.status != 200:
            return error_of(response, "/v1/models", server=self.url, secrets=self._secrets)
        try:
            cards = _models_decoder.decode(response.body).data
        except _Undecodable:
            return garbage(response, "/v1/models", server=self.url)
        if not cards:
            return Unavailable("it serves no model yet", server=self.url, status=200)
        card = next((card for card in cards if card.id == self._configured), cards[0])
        model = self._configured or card.id
        if model != self._model:
            self._model = model
            self._bodies.forget()
        if self._dialect == "openai" and card.owned_by in ("vllm", "sglang", "llamacpp"):
            self._dialect = card.owned_by
            self._bodies.forget()
        limits = _Info()
        if card.context is None:
            limits = await self._limits(timeout_s)
        return ServerInfo(
            dialect="openai",
            model_id=model,
            max_concurrent_requests=limits.max_concurrent_requests,
            max_input_tokens=limits.max_input_tokens or limits.max_input_length,
            max_total_tokens=card.context or limits.max_total_tokens,
            software=self._software(limits),
        )

    def _software(self, limits: _Info) -> str | None:
        told = None if self._dialect == "openai" else self._dialect
        return software(limits.router, limits.docker_label) or told

    async def _limits(self, timeout_s: float) -> _Info:
        """Ask for TGI's `/info`; nothing is known where there is none."""
        try:
            response = await self._transport.get("/info", timeout_s)
            return _info_decoder.decode(response.body) if response.status == 200 else _Info()
        except (TransportError, *_Undecodable):
            return _Info()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _write_around(self, params: GenerateParams) -> tuple[bytes, bytes]:
        """The request's bytes before and after the prompt."""
        rest: dict[str, object] = {
            "max_tokens": params.max_new_tokens,
            "temperature": 0,
            "n": 1,
            "stream": False,
        }
        if self._grammar and params.grammar is not None:
            if self._dialect == "vllm":
                rest["structured_outputs"] = {"regex": params.grammar}
            elif self._dialect == "sglang":
                rest["regex"] = params.grammar
        before = b'{"model":' + _encode(self._model or "default") + b',"prompt":'
        return (before, b"," + _encode(rest)[1:])
