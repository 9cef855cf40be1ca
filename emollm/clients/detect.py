"""Which dialect a server speaks."""

from typing import TYPE_CHECKING

import msgspec

from emollm.clients.address import ServerOptions
from emollm.clients.answers import error_of, no_answer
from emollm.clients.completions import CompletionsClient
from emollm.clients.http_transport import HttpTransport
from emollm.clients.scheme import other_scheme
from emollm.clients.tgi import TgiClient
from emollm.clients.transport import Transport, TransportError
from emollm.errors import ModelError, Refused, Unavailable, WrongRequest
from emollm.protocol import ModelClient

if TYPE_CHECKING:
    from emollm.clients.transport import Response


class _Marks(msgspec.Struct):
    """What only TGI's `/info` has; its `/v1/models` looks like anyone's."""

    model_id: str | None = None
    router: str | None = None
    max_concurrent_requests: int | None = None


async def detect(
    options: ServerOptions, *, timeout_s: float, transport: Transport | None = None
) -> ModelClient | ModelError:
    """Make the client for a server: of the configured dialect, or of the one it shows.

    A server whose `/info` reads like TGI's is TGI, one that has `/v1/models` speaks OpenAI's
    completions. Each question has its own deadline of `timeout_s`. An error is returned, not
    raised, and means that the server can't be told yet; the transport is closed then. One that
    speaks the other of http and https is a `WrongRequest`, unless a `transport` is given.

    Raises OSError for a CA file that can't be read.
    """
    real = transport is None
    transport = transport or HttpTransport(options)
    made = make_client(options, transport)
    if made is not None:
        return made
    found: ModelClient | ModelError | None = None
    try:
        found = await _found(options, transport, timeout_s)
        # Whoever answers anything but 400 speaks the scheme that it was asked in.
        if real and isinstance(found, Unavailable | Refused) and found.status in (None, 400):
            words = await other_scheme(options)
            found = found if words is None else WrongRequest(words, server=transport.url)
    finally:  # cancelled while waiting, too: nobody else knows of the transport yet
        if found is None or isinstance(found, ModelError):
            await transport.aclose()
    return found


def make_client(options: ServerOptions, transport: Transport) -> ModelClient | None:
    """Make the client of the configured dialect; None where the server is to be asked."""
    if options.dialect == "tgi":
        return _tgi(options, transport)
    if options.dialect != "auto":
        return CompletionsClient(
            transport,
            model=options.model,
            dialect=options.dialect,
            grammar=options.grammar,
            secrets=options.secrets,
        )
    return None


def _tgi(options: ServerOptions, transport: Transport) -> TgiClient:
    return TgiClient(transport, grammar=options.grammar, secrets=options.secrets)


async def _found(
    options: ServerOptions, transport: Transport, timeout_s: float
) -> ModelClient | ModelError:
    server = transport.url
    try:
        info = await transport.get("/info", timeout_s)
        if info.status == 200 and _is_tgi(info):
            return _tgi(options, transport)
        if info.status >= 500 or info.status in (401, 403, 429):
            return error_of(info, "/info", server=server, secrets=options.secrets)
        models = await transport.get("/v1/models", timeout_s)
    except TransportError as error:
        return no_answer(error, server=server)
    if models.status == 200:
        return CompletionsClient(
            transport, model=options.model, grammar=options.grammar, secrets=options.secrets
        )
    failure = error_of(models, "/v1/models", server=server, secrets=options.secrets)
    if isinstance(failure, WrongRequest) and models.status in (404, 405):
        return WrongRequest(
            "it has neither TGI's /info nor OpenAI's /v1/models", server=server, status=404
        )
    return failure


def _is_tgi(response: "Response") -> bool:
    try:
        marks = msgspec.json.decode(response.body, type=_Marks)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return marks.model_id is not None and (
        marks.router is not None or marks.max_concurrent_requests is not None
    )
