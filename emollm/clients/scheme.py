"""Whether a server speaks the other of http and https, found out where it gave no usable answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from emollm.clients.address import ServerOptions

_STEP_S = 3.0
"""For connecting, and for the first bytes of an answer: asked only when something is wrong."""
_HELLO = b"GET / HTTP/1.0\r\n\r\n"


async def other_scheme(options: ServerOptions) -> str | None:
    """Say that the URL's scheme is the wrong one, and which to write; None where it isn't.

    Nothing secret is sent: no token, and no path.
    """
    url = options.base
    if url.scheme == "https":
        if await _answers_plain(options):
            return _write("http", "https", options)
    elif await _speaks_tls(options):
        return _write("https", "http", options)
    return None


def _write(right: str, wrong: str, options: ServerOptions) -> str:
    url = str(options.base.with_scheme(right)).rstrip("/")
    return f"it speaks {right}, not {wrong}: write {url} in model.servers"


async def _speaks_tls(options: ServerOptions) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only whether it is TLS is asked
    with suppress(OSError, ValueError):  # a timeout, what isn't TLS, a name that can't be one
        async with _opened(options, context):
            return True
    return False


async def _answers_plain(options: ServerOptions) -> bool:
    with suppress(OSError, ValueError):
        async with _opened(options, None) as (reader, writer), asyncio.timeout(_STEP_S):
            writer.write(_HELLO)
            return (await reader.read(5)).startswith(b"HTTP/")
    return False


@asynccontextmanager
async def _opened(
    options: ServerOptions, context: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = options.base
    async with asyncio.timeout(_STEP_S):
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            async with asyncio.timeout(_STEP_S):
                await writer.wait_closed()
