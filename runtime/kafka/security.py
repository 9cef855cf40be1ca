"""TLS and SASL as aiokafka takes them, from the settings."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from runtime.settings import ConfigError, Kafka, Sasl, Tls
from runtime.settings.section import absolute

_TOKEN_TIMEOUT_S = 10.0
"""For the token endpoint: below aiokafka's own 40 s for a connection."""
_RENEW_BEFORE_S = 60.0
"""A token is renewed this long before it expires, for clocks differ and connecting takes time."""


def client_security(kafka: Kafka) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client. Holds secrets: never log it.

    Raises:
        ConfigError: a certificate or key file can't be used.
    """
    options: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.tls.enabled:
        options["ssl_context"] = tls_context(kafka.tls)
    sasl = kafka.sasl
    if sasl.mechanism:
        options["sasl_mechanism"] = sasl.mechanism
    if sasl.mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = (
            FileToken(sasl.token_file) if sasl.token_file else ClientCredentials(sasl)
        )
    elif sasl.mechanism:
        options["sasl_plain_username"] = sasl.username
        options["sasl_plain_password"] = sasl.password.get_secret_value()
    return options


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS context of the configured files; the machine's authorities where none is named.

    Raises:
        ConfigError: a file can't be read, or is no such thing.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"kafka.tls.ca_file: {_unusable(error, tls.ca_file)}"]) from None
    context.check_hostname = tls.check_hostname
    if tls.cert_file:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            password = tls.key_password.get_secret_value()
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: password)
        except (OSError, ssl.SSLError) as error:
            why = _unusable(error, tls.cert_file, tls.key_file)
            raise ConfigError([f"kafka.tls: {why} (wrong file, or key_password)"]) from None
    return context


def _unusable(error: OSError, *files: str) -> str:
    """Which files can't be used, where they were looked for, and why; an SSLError has no path."""
    paths = " and ".join(str(absolute(file)) for file in files)
    why = str(error) if isinstance(error, ssl.SSLError) else error.strerror
    return f"{paths} can't be used: {why}"


class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """The token that a file holds now: whoever rotates it needs not tell us."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def token(self) -> str:
        """Read the token.

        Raises:
            AuthenticationFailedError: the file can't be read, or is empty.
        """
        try:
            text = await asyncio.to_thread(self._path.read_text)
        except (OSError, UnicodeDecodeError) as error:
            raise AuthenticationFailedError(f"no token in {self._path}: {error}") from None
        if not (token := text.strip()):
            raise AuthenticationFailedError(f"{self._path} is empty")
        return token


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens of an OAuth 2.0 token endpoint by the client-credentials grant (RFC 6749, 4.4)."""

    def __init__(self, sasl: Sasl, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sasl = sasl
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._token = ""
        self._renew_at = 0.0

    def __repr__(self) -> str:
        return f"ClientCredentials({self._sasl.token_url})"

    async def token(self) -> str:
        """Give a token that is good for a while; many connections share one.

        Raises:
            AuthenticationFailedError: the endpoint refuses us, or answers something else.
            KafkaConnectionError: it doesn't answer; may be tried again.
        """
        async with self._lock:
            if self._monotonic() >= self._renew_at:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        sasl = self._sasl
        form = {"grant_type": "client_credentials"} | ({"scope": sasl.scope} if sasl.scope else {})
        # Both are form-encoded first (RFC 6749, 2.3.1): a secret may hold any character.
        login, secret = quote_plus(sasl.client_id), sasl.client_secret.get_secret_value()
        headers = {"Authorization": aiohttp.encode_basic_auth(login, quote_plus(secret))}
        timeout = aiohttp.ClientTimeout(total=_TOKEN_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.post(sasl.token_url, data=form) as response,
            ):
                if response.status >= 500:
                    raise KafkaConnectionError(f"{sasl.token_url} answers {response.status}")
                if response.status != 200:
                    raise AuthenticationFailedError(
                        f"{sasl.token_url} refuses the client with {response.status}"
                    )
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise KafkaConnectionError(
                f"{sasl.token_url} does not answer: {type(error).__name__}"
            ) from None
        except ValueError:
            answer = None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise AuthenticationFailedError(f"{sasl.token_url} answers without an access_token")
        assert isinstance(answer, dict)
        lifetime = answer.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) else 0.0
        self._token = token
        # One that lives shorter than the margin is asked for at each connection.
        self._renew_at = self._monotonic() + max(0.0, seconds - _RENEW_BEFORE_S)
