"""The client of Text Generation Inference's `/generate`."""

from collections.abc import Sequence

import msgspec
import structlog

from emollm.clients.answers import error_of, garbage, no_answer
from emollm.clients.bodies import Bodies
from emollm.clients.events import GRAMMAR_OFF
from emollm.clients.transport import Response, Transport, TransportError
from emollm.errors import ModelError, Refused
from emollm.protocol import GenerateParams, Generation, ServerInfo

_log = structlog.stdlib.get_logger(__name__)


class _Answer(msgspec.Struct):
    generated_text: str


class _Asked(msgspec.Struct):
    """What `emostream serve` adds for a model that says how it wants to be asked."""

    family: str
    wrapper: str


class _Info(msgspec.Struct):
    """Read leniently: the fields vary by version."""

    model_id: str
    model_sha: str | None = None
    max_concurrent_requests: int | None = None
    max_input_tokens: int | None = None
    max_input_length: int | None = None  # its name before 2.0
    max_total_tokens: int | None = None
    version: str | None = None
    router: str | None = None
    docker_label: str | None = None
    emostream: _Asked | None = None


_encode = msgspec.json.encode
_answer_decoder = msgspec.json.Decoder(_Answer)
_info_decoder = msgspec.json.Decoder(_Info)
_Undecodable = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class TgiClient:
    """One TGI server, or whatever keeps its contract (infra/tgi).

    Always greedy: `do_sample` false, and none of temperature, top_k and top_p, of which the
    neutral values are refused and the others sample in spite of `do_sample` (TGI 3.3).

    A grammar is sent only with `grammar=True`. A build without grammars answers 422 to it; then
    this client warns once, sends none from there on, and asks that one prompt again: otherwise
    every prompt in flight would count as poison for a switch of the server.
    """

    def __init__(
        self, transport: Transport, *, grammar: bool = False, secrets: Sequence[str] = ()
    ) -> None:
        """`secrets` are what no error may hold, whatever the server says."""
        self._transport = transport
        self._url = transport.url
        self._secrets = secrets
        self._grammar = grammar
        self._bodies = Bodies(self._write_around)

    def __repr__(self) -> str:
        return f"TgiClient({self._transport.url!r})"

    @property
    def url(self) -> str:
        """Base URL, without credentials."""
        return self._url

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        """Answer one prompt, or say why not, within `timeout_s`. Never raises a ModelError."""
        body = self._bodies.body(prompt, params, server=self._url)
        if isinstance(body, Refused):
            return body
        try:
            response = await self._transport.post("/generate", body, timeout_s)
        except TransportError as error:
            return no_answer(error, server=self.url)
        if response.status == 200:
            return _read(response, self._url)
        failure = error_of(
            response, "/generate", server=self.url, prompt=prompt, secrets=self._secrets
        )
        # Of this request: another one may have switched grammars off meanwhile. A prompt's own
        # quotes are escaped in the body.
        if b',"grammar":{' in body and _grammar_unsupported(failure):
            self._send_no_grammar()
            return await self.generate(prompt, params, timeout_s=timeout_s)
        return failure

    async def info(self, *, timeout_s: float) -> ServerInfo | ModelError:
        """Ask the server what it serves."""
        try:
            response = await self._transport.get("/info", timeout_s)
        except TransportError as error:
            return no_answer(error, server=self.url)
        if response.status != 200:
            return error_of(response, "/info", server=self.url, secrets=self._secrets)
        try:
            info = _info_decoder.decode(response.body)
        except _Undecodable:
            return garbage(response, "/info", server=self.url)
        return ServerInfo(
            dialect="tgi",
            model_id=info.model_id,
            model_revision=info.model_sha,
            max_concurrent_requests=info.max_concurrent_requests,
            max_input_tokens=info.max_input_tokens or info.max_input_length,
            max_total_tokens=info.max_total_tokens,
            version=info.version,
            software=software(info.router, info.docker_label),
            family=info.emostream.family if info.emostream else None,
            wrapper=info.emostream.wrapper if info.emostream else None,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _send_no_grammar(self) -> None:
        if self._grammar:
            self._grammar = False
            self._bodies.forget()
            _log.warning(GRAMMAR_OFF, server=self.url)

    def _write_around(self, params: GenerateParams) -> tuple[bytes, bytes]:
        """The request's bytes before and after the prompt."""
        parameters: dict[str, object] = {
            "max_new_tokens": params.max_new_tokens,
            "do_sample": False,
            "return_full_text": False,
        }
        if self._grammar and params.grammar is not None:
            parameters["grammar"] = {"type": "regex", "value": params.grammar}
        return (b'{"inputs":', b',"parameters":' + _encode(parameters) + b"}")


def software(router: str | None, docker_label: str | None) -> str | None:
    """Tell TGI from `emostream serve`, which keeps its contract, by their `/info`."""
    if router is None:
        return None
    return "emostream" if docker_label == "emostream" else "tgi"


def _read(response: Response, server: str) -> Generation | ModelError:
    try:
        answer = _answer_decoder.decode(response.body)
    except _Undecodable:
        return garbage(response, "/generate", server=server)
    return Generation(text=answer.generated_text)


def _grammar_unsupported(error: ModelError) -> bool:
    """TGI: "Input validation error: grammar is not supported"."""
    words = str(error).lower()
    return error.status == 422 and "grammar" in words and "not supported" in words
