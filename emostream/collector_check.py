"""Whether the collector of traces takes what is sent to it."""

import asyncio
import ssl
from importlib.util import find_spec
from typing import Final

import aiohttp

from consumer.settings import Settings
from consumer.traces import EXTRA, collector_headers
from runtime.errors import Misconfigured
from runtime.telemetry.collector import traces_url

_ANSWER_S: Final = 10.0
_ADVICE: Final = {
    401: "it refuses us: check tracing.headers",
    403: "it refuses us: check tracing.headers",
    404: "it has no /v1/traces: check tracing.endpoint, and that its OTLP receiver has http",
    405: "it takes no POST there: check tracing.endpoint",
    415: "it doesn't take protobuf: check that tracing.endpoint is OTLP over HTTP",
}


class CollectorRefusesError(Exception):
    """Spans would be lost; the message says what to change."""


async def check_collector(settings: Settings) -> str:
    """Send the collector a request without spans; say that it took it.

    Raises:
        CollectorRefusesError: it didn't, or a package is missing.
    """
    options = settings.tracing
    if find_spec("opentelemetry") is None:
        raise CollectorRefusesError(
            f"the packages for traces are missing: pip install 'emostream[{EXTRA}]'"
        )
    url = traces_url(options.endpoint)
    try:
        headers = collector_headers(settings) | {"content-type": "application/x-protobuf"}
        tls = ssl.create_default_context(cafile=options.ca_file or None)
    except (Misconfigured, OSError) as error:
        raise CollectorRefusesError(
            str(error) if isinstance(error, Misconfigured) else f"tracing.ca_file: {error}"
        ) from None
    try:
        async with (
            asyncio.timeout(_ANSWER_S),
            aiohttp.ClientSession() as session,
            # No bytes are a request without spans.
            session.post(url, data=b"", headers=headers, ssl=tls, allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, OSError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        raise CollectorRefusesError(
            f"{url} can't be reached ({why}): check tracing.endpoint and tracing.ca_file"
        ) from None
    if not 200 <= status < 300:
        why = _ADVICE.get(status, "it would take no spans: look at its log")
        raise CollectorRefusesError(f"{url} answers {status}: {why}")
    share = f"{options.sample_ratio:.3%}".rstrip("0%").rstrip(".")
    return f"{url} takes traces; {share} % of the batches are recorded"
