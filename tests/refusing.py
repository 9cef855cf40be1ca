"""A port at which nobody listens, and that nobody else can take meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refusing_port() -> Iterator[int]:
    """Hold a port of 127.0.0.1 that refuses connections.

    The port of a server that has ended may be given to anybody, another test's server included.
    """
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
