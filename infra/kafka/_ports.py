"""Free ports of this machine."""

from __future__ import annotations

import secrets
import socket

from infra.kafka.errors import BrokerError

# Below the ranges that Linux (32768 up) and macOS (49152 up) give to outgoing connections: a
# client that keeps reconnecting to a killed broker's port in those ranges can be given that very
# port as its own, connect to itself, and so keep the broker from ever coming back.
_FIRST, _LAST = 20000, 32000
_TRIES = 200


def address(host: str, port: int) -> str:
    """Write `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_free(host: str, port: int) -> bool:
    """Say whether `port` can be listened on now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As Java does: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str, *, other_than: int = 0) -> int:
    """Draw a port that is free now; another program may still be quicker, so callers retry.

    Raises:
        BrokerError: none is free, or `host` is no address of this machine.
    """
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if port != other_than and is_free(host, port):
            return port
    raise BrokerError(f"no free port on {host}: is it an address of this machine?")
