"""Why no client gets in: each broker is asked by hand, and the answer names the key to change.

Of all that may go wrong while it connects, aiokafka says only that it can't bootstrap.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

_STEP_S = 3.0
"""For one step with one broker; on a network where it works each takes milliseconds."""
_SHOWN = 3
"""Brokers of which the answer tells: the others seldom say anything else."""

_MAX_ANSWER = 1_048_576
"""Bytes; what is asked here takes some hundreds, and what isn't Kafka may announce anything."""
_API_VERSIONS, _METADATA, _SASL_HANDSHAKE = 18, 3, 17
_CORRELATION = 7
_UNSUPPORTED_MECHANISM, _ILLEGAL_STATE = 33, 34


class _Closed(Exception):  # noqa: N818 - what happened
    """The other side ended the connection, or sent something that isn't Kafka's."""

    def __init__(self, received: bytes = b"") -> None:
        super().__init__()
        self.received = received


class _Streams(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Diagnosis(NamedTuple):
    """Why nobody is let in."""

    words: str
    """A sentence for each broker, with the key to change."""
    credentials: bool
    """Whether it is about credentials alone: waiting helps nothing then."""


async def diagnose(bootstrap: str, security: Mapping[str, Any]) -> Diagnosis | None:
    """Find out why no broker lets a client in.

    `security` is `client_security`'s. None where a broker lets us in as far as can be told here,
    or where a user, a password or a token is wrong: the broker's own words are best then.
    """
    hosts = [(host, port) for host, port, _ in collect_hosts(bootstrap)][:_SHOWN]
    found = await asyncio.gather(*(_look(host, port, security) for host, port in hosts))
    bad = [one for one in found if one is not None]
    if len(bad) < len(found):
        return None
    words = "; ".join(dict.fromkeys(one.words for one in bad))
    return Diagnosis(words, credentials=all(one.credentials for one in bad))


async def _look(host: str, port: int, security: Mapping[str, Any]) -> Diagnosis | None:
    """What is wrong with one broker."""
    where = _place(host, port)
    credentials = False
    try:
        async with asyncio.timeout(5 * _STEP_S):
            words = await _no_connection(host, port) or await _wrong_protocol(host, port, security)
            if words is None:
                words = await _wrong_login(host, port, security)
                credentials = words is not None
            if words is None:
                words = await _advertised(host, port, security)
    except TimeoutError:
        words = f"{where} takes connections and doesn't answer: is it Kafka, and is it overloaded?"
    except (_Closed, OSError):  # it went away meanwhile
        return None
    return None if words is None else Diagnosis(words, credentials=credentials)


async def _no_connection(host: str, port: int) -> str | None:
    """Why there is no connection; None where there is one."""
    where = _place(host, port)
    try:
        async with _opened(host, port, None):
            return None
    except socket.gaierror:
        return f"there is no machine named {host}: correct kafka.bootstrap"
    except TimeoutError:
        return f"{where} doesn't answer: correct kafka.bootstrap, or let a firewall pass it"
    except ConnectionRefusedError:
        return (
            f"nothing listens at {where}: start Kafka (`emostream broker` runs one here), or"
            " correct the port in kafka.bootstrap"
        )
    except OSError as error:
        return f"{where} can't be reached ({error.strerror or error}): correct kafka.bootstrap"


async def _wrong_protocol(host: str, port: int, security: Mapping[str, Any]) -> str | None:
    """What listens there, where it isn't Kafka as it is configured."""
    where, context = _place(host, port), _context(security)
    refused = await _refused(host, port, context)
    if refused is None:
        return None
    if (words := _certificate(where, refused)) is not None:
        return words
    with suppress(_Closed, OSError):
        await _greet(host, port, None if context is not None else _any_certificate())
        if context is not None:
            return (
                f"the listener at {where} speaks no TLS, and kafka.tls.enabled is true: set it to"
                " false, or name the port of a TLS listener"
            )
        return (
            f"the listener at {where} speaks TLS, and kafka.tls.enabled is false: set it to true,"
            " or name the port of a listener without TLS"
        )
    said = refused.received if isinstance(refused, _Closed) else b""
    if said.startswith(b"HTTP/") or await _is_web(host, port):
        return f"{where} is a web server, not Kafka: correct the port in kafka.bootstrap"
    return f"what listens at {where} doesn't speak Kafka: correct the port in kafka.bootstrap"


async def _refused(
    host: str, port: int, context: ssl.SSLContext | None
) -> _Closed | OSError | None:
    """What comes of a client's first request; None where it is answered."""
    try:
        await _greet(host, port, context)
    except TimeoutError:
        raise
    except (_Closed, OSError) as error:
        return error
    return None


def _certificate(where: str, refused: Exception) -> str | None:
    if isinstance(refused, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {where} isn't accepted ({refused.verify_message}): name its"
            " authority in kafka.tls.ca_file, and the brokers as their certificates do"
        )
    if isinstance(refused, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(refused):
        return (
            f"the listener at {where} wants a client's certificate: set kafka.tls.cert_file and"
            " kafka.tls.key_file"
        )
    return None


async def _greet(host: str, port: int, context: ssl.SSLContext | None) -> None:
    async with _opened(host, port, context) as streams:
        await _ask(streams, _API_VERSIONS)


async def _wrong_login(host: str, port: int, security: Mapping[str, Any]) -> str | None:
    """What a broker says of the way we log in, before it is told who we are."""
    where, mechanism = _place(host, port), security.get("sasl_mechanism")
    async with _opened(host, port, _context(security)) as streams:
        await _ask(streams, _API_VERSIONS)
        if mechanism is None:
            try:
                await _ask(streams, _METADATA, version=1, body=struct.pack(">i", 0))
            except (_Closed, ConnectionError):
                return (
                    f"the listener at {where} wants credentials: set kafka.sasl.mechanism,"
                    " kafka.sasl.username and kafka.sasl.password_file, or name another port"
                )
            return None
        name = str(mechanism).encode()
        body = struct.pack(">h", len(name)) + name
        answer = await _ask(streams, _SASL_HANDSHAKE, version=1, body=body)
    (code,) = struct.unpack(">h", answer[:2])
    if code == _ILLEGAL_STATE:
        return (
            f"the listener at {where} asks for no credentials, and kafka.sasl.mechanism is"
            f" {mechanism}: take [kafka.sasl] out, or name the port of a SASL listener"
        )
    if code == _UNSUPPORTED_MECHANISM:
        return (
            f"the listener at {where} doesn't offer {mechanism}: set kafka.sasl.mechanism to one"
            f" of {', '.join(_texts(answer[2:]))}"
        )
    return None


async def _is_web(host: str, port: int) -> bool:
    with suppress(OSError, TimeoutError):
        async with _opened(host, port, None) as streams:
            streams.writer.write(b"GET / HTTP/1.0\r\n\r\n")
            async with asyncio.timeout(_STEP_S):
                return (await streams.reader.read(5)).startswith(b"HTTP/")
    return False


async def _advertised(host: str, port: int, security: Mapping[str, Any]) -> str | None:
    """Say that the brokers name themselves otherwise than they can be reached from here."""
    try:
        connection = await create_conn(host, port, **security)
        try:
            cluster = await connection.send(MetadataRequest([]))
        finally:
            connection.close()
    except (OSError, KafkaError):
        return None
    for _, name, number, *_ in cluster.brokers:
        if await _no_connection(name, number) is not None:
            return (
                f"{_place(host, port)} answers, but the brokers name themselves"
                f" {_place(name, number)}, which can't be reached from here: correct their"
                " advertised.listeners"
            )
    return None


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _context(security: Mapping[str, Any]) -> ssl.SSLContext | None:
    protocol = str(security.get("security_protocol", "PLAINTEXT"))
    return security.get("ssl_context") if protocol.endswith("SSL") else None


@asynccontextmanager
async def _opened(host: str, port: int, context: ssl.SSLContext | None) -> AsyncIterator[_Streams]:
    async with asyncio.timeout(_STEP_S):
        streams = _Streams(*await asyncio.open_connection(host, port, ssl=context))
    try:
        yield streams
    finally:
        streams.writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_STEP_S):
                await streams.writer.wait_closed()


async def _ask(streams: _Streams, key: int, *, version: int = 0, body: bytes = b"") -> bytes:
    """Send one request of Kafka's protocol; give the answer's body."""
    head = struct.pack(">hhih", key, version, _CORRELATION, -1)  # -1: no client id
    streams.writer.write(struct.pack(">i", len(head) + len(body)) + head + body)
    async with asyncio.timeout(_STEP_S):
        try:
            start = await streams.reader.readexactly(8)
        except asyncio.IncompleteReadError as error:
            raise _Closed(error.partial) from None
        size, correlation = struct.unpack(">ii", start)
        if correlation != _CORRELATION or not 4 <= size <= _MAX_ANSWER:
            raise _Closed(start)
        try:
            return await streams.reader.readexactly(size - 4)
        except asyncio.IncompleteReadError as error:
            raise _Closed(error.partial) from None


def _texts(data: bytes) -> list[str]:
    """An array of Kafka's strings."""
    (count,) = struct.unpack(">i", data[:4])
    found, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack(">h", data[at : at + 2])
        found.append(data[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    return found


def _any_certificate() -> ssl.SSLContext:
    """To find out whether something speaks TLS at all; nothing of ours is sent through it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
