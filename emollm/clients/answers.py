"""What a server's answer means, by status and body: the one mapping to `emollm.errors`.

After what TGI 3.3's router was recorded to answer; what proxies, vLLM, SGLang
and llama.cpp say besides is noted where it differs.
"""

from collections.abc import Iterator, Sequence

import msgspec

from emollm.clients.transport import (
    ConnectionLost,
    DeadlinePassed,
    NotConnected,
    Response,
    TransportError,
)
from emollm.errors import (
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    WrongRequest,
)

_QUOTE = 12
"""A server's words that repeat this many characters of the prompt in a row are withheld."""
_LONGEST = 200
"""Characters of a server's words that go into a message."""


class _OpenAIError(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    """TGI: `error` and `error_type`; OpenAI: `error.message`; vLLM before 0.10: `message`."""

    error: str | _OpenAIError | None = None
    error_type: str = ""
    message: str = ""


_decoder = msgspec.json.Decoder(_ErrorBody)

_BY_STATUS: dict[int, type[ModelError]] = {
    400: Refused,  # bad JSON or UTF-8; vLLM: too long
    401: Unauthorized,
    402: Unauthorized,  # a hosted server that wants to be paid
    403: Unauthorized,
    404: WrongRequest,
    405: WrongRequest,
    407: Unauthorized,
    408: Unavailable,  # a proxy that lost patience
    413: Refused,
    415: WrongRequest,
    424: GenerationFailed,
    425: Unavailable,
    429: Overloaded,
    500: GenerationFailed,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(
    response: Response,
    path: str,
    *,
    server: str,
    prompt: str = "",
    secrets: Sequence[str] = (),
) -> ModelError:
    """What an answer other than 200 from `path` means; it quotes neither prompt nor secrets."""
    status, content_type, body = response
    message = _message(body)
    if status == 422:
        # TGI's validation speaks JSON with `error`. Plain text is its deserializer and FastAPI's
        # `detail` the like: the shape of the request is wrong, and so is every other request.
        kind: type[ModelError] = Refused if message is not None else WrongRequest
    elif status in _BY_STATUS:
        kind = _BY_STATUS[status]
    elif status >= 500:
        kind = Unavailable
    elif status >= 400:
        kind = Refused  # a gateway's own rule; the pool stops nothing for one prompt
    else:
        kind = WrongRequest  # a redirect or an informational answer: the URL is wrong
    words = f"{path}: status {status}"
    if 300 <= status < 400:
        words += ": it redirects, to https or to another path, and that isn't followed"
    elif message:
        words += f": {_discreet(message, prompt, secrets)}"
    elif body and content_type not in ("application/json", "text/plain"):
        words += f" with {content_type or 'no content type'}"
    return kind(words, server=server, status=status)


def no_answer(error: TransportError, *, server: str) -> ModelError:
    """What the lack of an answer means."""
    if isinstance(error, DeadlinePassed):
        return TimedOut(str(error), server=server)
    return Unavailable(
        str(error),
        server=server,
        unsent=isinstance(error, NotConnected),
        lost=isinstance(error, ConnectionLost),
    )


def garbage(response: Response, path: str, *, server: str) -> ModelError:
    """A 200 that isn't an answer: cut JSON, a captive portal's page, another program's JSON."""
    kind = response.content_type or "no content type"
    return Unavailable(
        f"{path}: status 200, but no answer in it ({kind}, {len(response.body)} bytes)",
        server=server,
        status=response.status,
    )


def _message(body: bytes) -> str | None:
    """The server's own words; None where the body is no error of a model server."""
    try:
        error = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    message = error.error.message if isinstance(error.error, _OpenAIError) else error.error
    if message is None:
        message = error.message or None
    if message is not None and error.error_type:
        message += f" ({error.error_type})"
    return message


def _discreet(message: str, prompt: str, secrets: Sequence[str]) -> str:
    """The words, cut, or a note that they quote: errors hold no post's text and no secret."""
    if any(piece in message for secret in secrets for piece in _pieces(secret)):
        return "(its words quote our credentials and are withheld)"
    message = message[:_LONGEST]
    if len(message) >= _QUOTE and any(piece in prompt for piece in _pieces(message)):
        return "(its words quote the prompt and are withheld)"
    return message


def _pieces(text: str) -> Iterator[str]:
    """All stretches of a text that are long enough for a quote; of a shorter one all of it."""
    for start in range(max(1, len(text) - _QUOTE + 1)):
        yield text[start : start + _QUOTE]
