"""Clients of model servers, one for each dialect. None of them retries: that is the pool's."""

from emollm.clients.address import ServerOptions
from emollm.clients.completions import CompletionsClient
from emollm.clients.detect import detect, make_client
from emollm.clients.http_transport import HttpTransport
from emollm.clients.tgi import TgiClient
from emollm.clients.transport import DeadlinePassed, NoAnswer, Response, Transport, TransportError

__all__ = [
    "CompletionsClient",
    "DeadlinePassed",
    "HttpTransport",
    "NoAnswer",
    "Response",
    "ServerOptions",
    "TgiClient",
    "Transport",
    "TransportError",
    "detect",
    "make_client",
]
