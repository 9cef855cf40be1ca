"""Where traces go: the collector's address and the headers it wants. Nothing of OpenTelemetry."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

TRACES_PATH: Final = "/v1/traces"
"""OTLP over HTTP's own; it is added to a base URL."""
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADERS_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")


def traces_url(endpoint: str) -> str:
    """Give the URL that spans are posted to, for a base URL or that URL itself.

    Raises:
        ValueError: it is no such URL; the message says what to write.
    """
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a broken IPv6 address
        usable = False
    if not usable:
        raise ValueError("endpoint must be a URL such as http://localhost:4318")
    if parts.username is not None or parts.password is not None:
        raise ValueError("endpoint carries credentials: use headers or headers_file")
    if parts.query or parts.fragment:
        raise ValueError("endpoint ends at its path: give a key as a header")
    base = endpoint.rstrip("/")
    return base if base.endswith(TRACES_PATH) else base + TRACES_PATH


def read_headers(text: str) -> dict[str, str]:
    """Read headers as OpenTelemetry's variables have them: `name=value,other=value`.

    Percent encoding is undone, so `%2C` is a comma within a value. Names are in lower case.

    Raises:
        ValueError: it has another form; the message holds no value, which may be a secret.
    """
    found: dict[str, str] = {}
    for one in text.split(","):
        if not one.strip():
            continue
        name, equals, value = (part.strip() for part in one.partition("="))
        value = unquote(value)
        if not (equals and _HEADER_NAME.fullmatch(name)):
            raise ValueError("headers must be name=value, several separated by commas")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"headers: the value of {name} holds a character no header can carry")
        found[name.lower()] = value
    return found


def refuse_plain_headers(endpoint: str, *, allowed: bool) -> None:
    """Refuse to send headers unencrypted to another machine, unless the user allows it.

    Raises:
        ValueError: the URL is http and its host isn't this machine; the message says what to do.
    """
    parts = urlsplit(endpoint)
    if allowed or parts.scheme == "https" or _is_this_machine(parts.hostname or ""):
        return
    raise ValueError(
        f"the headers would go to {parts.hostname} unencrypted, and anyone on the way could read"
        " them: use an https:// endpoint, or set allow_plain_headers = true if the network encrypts"
    )


def variables_headers(env: Mapping[str, str]) -> str:
    """Give the headers that OpenTelemetry's own variables add; empty where they are unset."""
    return next((env[name] for name in _HEADERS_VARIABLES if env.get(name)), "")


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
