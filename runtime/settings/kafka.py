"""How to reach Kafka."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from runtime.kafka.options import REBALANCE_TIMEOUT_S
from runtime.settings.section import Section, is_set

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class Tls(Section):
    """Encryption to the brokers."""

    enabled: bool = False
    """Encrypt the connection to the brokers and check their certificate."""
    ca_file: str = ""
    """PEM file of the certificate authority; empty means the machine's own."""
    cert_file: str = ""
    """PEM file of the client's certificate, for mutual TLS."""
    key_file: str = ""
    """PEM file of the client's private key."""
    key_password: SecretStr = SecretStr("")
    """Password of the private key."""
    key_password_file: str = ""
    """File to read `key_password` from."""
    check_hostname: bool = True
    """Whether the broker's certificate must carry its host name."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("mutual TLS needs both cert_file and key_file: give the other one too")
        given = self.ca_file or self.cert_file or is_set(self.key_password)
        if given and not self.enabled:
            raise ValueError("TLS files are given but TLS is off: set enabled = true")
        return self


class Sasl(Section):
    """Who we are to the brokers."""

    mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    """How to authenticate; empty means not at all."""
    username: str = ""
    """User name, for PLAIN and SCRAM."""
    password: SecretStr = SecretStr("")
    """Password, for PLAIN and SCRAM."""
    password_file: str = ""
    """File to read `password` from."""
    token_file: str = ""
    """OAUTHBEARER: file that holds the access token, read again at each connection."""
    token_url: str = ""
    """OAUTHBEARER: token endpoint, for the client-credentials grant."""
    client_id: str = ""
    """OAUTHBEARER: client id, for the client-credentials grant."""
    client_secret: SecretStr = SecretStr("")
    """OAUTHBEARER: client secret, for the client-credentials grant."""
    client_secret_file: str = ""
    """File to read `client_secret` from."""
    scope: str = ""
    """OAUTHBEARER: scope to ask for."""
    allow_plaintext: bool = False
    """Send the credentials over an unencrypted connection."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.mechanism == "":
            if self.username or is_set(self.password) or self.token_file or self.token_url:
                raise ValueError("credentials are given but no mechanism: set mechanism")
        elif self.mechanism == "OAUTHBEARER":
            if bool(self.token_file) == bool(self.token_url):
                raise ValueError(
                    "OAUTHBEARER needs either token_file, or token_url with client_id and"
                    " client_secret"
                )
            if "@" in urlsplit(self.token_url).netloc:
                raise ValueError(
                    "token_url carries credentials: use client_id and client_secret (or"
                    " client_secret_file)"
                )
            if self.token_url and not (self.client_id and is_set(self.client_secret)):
                raise ValueError("token_url needs client_id and client_secret")
            if self.token_url and not (_unheard(self.token_url) or self.allow_plaintext):
                raise ValueError(
                    "token_url without https sends client_secret readable by everyone on the way:"
                    " name an https:// address, or set allow_plaintext = true if you must"
                )
        elif not (self.username and is_set(self.password)):
            raise ValueError(f"{self.mechanism} needs username and password (or password_file)")
        return self


def _unheard(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1", "::1"}


class Kafka(Section):
    """How to reach Kafka, and how patient to be with it."""

    removed: ClassVar[Mapping[str, str]] = {
        "max_poll_interval_s": "it follows from kafka.rebalance_timeout_s",
    }

    bootstrap: str = "localhost:9092"
    """Brokers to start from: `host:port`, several separated by commas."""
    cluster_id: str = ""
    """The cluster's id, part of every event's id; empty asks the brokers for it."""
    client_id: str = "emostream"
    """Name of this program in the brokers' logs and quotas."""
    session_timeout_s: Annotated[float, Field(gt=0, le=1800)] = 10.0
    """Seconds without a heartbeat after which the group takes this member for dead."""
    rebalance_timeout_s: Annotated[float, Field(gt=0, le=3600)] = REBALANCE_TIMEOUT_S
    """Seconds the group waits for this member to drain when partitions move."""
    request_timeout_s: Annotated[float, Field(gt=0, le=600)] = 40.0
    """Seconds to wait for any answer of a broker."""
    tls: Tls = Tls()
    sasl: Sasl = Sasl()

    @property
    def security_protocol(self) -> SecurityProtocol:
        """Kafka's name for the combination of TLS and SASL."""
        if self.sasl.mechanism:
            return "SASL_SSL" if self.tls.enabled else "SASL_PLAINTEXT"
        return "SSL" if self.tls.enabled else "PLAINTEXT"

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if "@" in self.bootstrap:
            raise ValueError("bootstrap carries credentials: use sasl.username and sasl.password")
        for broker in self.bootstrap.split(","):
            scheme, found, address = broker.strip().rpartition("://")
            if found:
                raise ValueError(
                    f"bootstrap takes no {scheme}://: write {address.rstrip('/') or 'host:port'}"
                )
            host, colon, port = address.rpartition(":")
            if not (colon and _is_host(host) and _is_port(port)):
                raise ValueError("bootstrap must be host:port, several separated by commas")
        clear = self.sasl.mechanism in {"PLAIN", "OAUTHBEARER"} and not self.tls.enabled
        if clear and not self.sasl.allow_plaintext:
            raise ValueError(
                f"{self.sasl.mechanism} without TLS sends the credentials readable by everyone on"
                " the way: set tls.enabled = true, or sasl.allow_plaintext = true if you must"
            )
        return self


def _is_host(name: str) -> bool:
    """Whether a resolver takes it: others it doesn't answer, it raises UnicodeError."""
    try:
        return bool(name.encode("idna"))
    except UnicodeError:  # an empty part, or one of more than 63 characters
        return False


def _is_port(number: str) -> bool:
    return number.isdecimal() and len(number) <= 5 and int(number) < 1 << 16
