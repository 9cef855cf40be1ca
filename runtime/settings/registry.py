"""Where the schema registry is, and how our topics are framed by it."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from runtime.settings.section import Section, is_set

Format = Literal["", "json-schema", "avro"]
Subjects = Literal["topic", "record", "topic-record"]


class Registry(Section):
    """A schema registry (Confluent's API), for framed input and to frame what is written."""

    urls: tuple[str, ...] = ()
    """Base addresses, asked in this order; without credentials. Empty: no registry is used."""
    format: Format = ""
    """How events, windows, alerts and mutes are written and read: by a schema, or empty: as plain
    JSON. Dead letters are never framed: they are the original's bytes."""
    framing: Literal["prefix", "header"] = "prefix"
    """Where the schema's id is: before the value (each reader knows that), or in a header."""
    subjects: Subjects = "topic"
    """Names of subjects: `TOPIC-value`, the record's name, or `TOPIC-RECORD`."""
    auto_register: bool = False
    """Whether a start registers what is missing; else `emostream schemas register` does."""
    use_latest_version: bool = True
    """Write by the subject's latest schema; off: by exactly this version's own."""
    username: str = ""
    """User name, for basic authentication."""
    password: SecretStr = SecretStr("")
    """Password, for basic authentication."""
    password_file: str = ""
    """File to read `password` from."""
    token: SecretStr = SecretStr("")
    """Bearer token, instead of user name and password."""
    token_file: str = ""
    """File to read `token` from."""
    logical_cluster: str = ""
    """Confluent Cloud, with a token: the registry's logical cluster, as `lsrc-12345`."""
    ca_file: str = ""
    """PEM file of the certificate authority; empty means the usual public ones."""
    cert_file: str = ""
    """PEM file of the client's certificate, for mutual TLS."""
    key_file: str = ""
    """PEM file of the client's private key."""
    key_password: SecretStr = SecretStr("")
    """Password of the private key."""
    key_password_file: str = ""
    """File to read `key_password` from."""
    allow_plaintext: bool = False
    """Send the credentials over an unencrypted connection."""
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Seconds that one request to one address may take."""
    max_schemas: Annotated[int, Field(ge=10)] = 1_000
    """Schemas kept in memory. One that is known is never asked for again."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for url in self.urls:
            _check_url(url)
        if self.format and not self.urls:
            raise ValueError("format needs a registry: name its address in urls")
        if self.auto_register and self.use_latest_version:
            raise ValueError(
                "auto_register registers this version's own schema, so nothing is written by the"
                " latest one: set use_latest_version = false beside it"
            )
        if bool(self.username) != is_set(self.password):
            raise ValueError("basic authentication needs both username and password")
        if self.username and is_set(self.token):
            raise ValueError("give either username and password, or token")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("mutual TLS needs both cert_file and key_file: give the other one too")
        secret = bool(self.username) or is_set(self.token)
        clear = [url for url in self.urls if not _unheard(url)]
        if secret and clear and not self.allow_plaintext:
            raise ValueError(
                "urls without https send the credentials readable by everyone on the way: name an"
                " https:// address, or set allow_plaintext = true if you must"
            )
        return self


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("urls carries credentials: use username and password, or token")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("urls takes addresses such as https://registry.example.org:8081")
    if parts.query or parts.fragment:
        raise ValueError("urls takes base addresses, without a query or a fragment")


def _unheard(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1", "::1"}
