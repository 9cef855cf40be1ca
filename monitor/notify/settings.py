"""`[[monitor.notify]]`: who is told, of what, and how often."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from monitor.notify.message import State
from runtime.settings import Section, is_set
from schemas.alert import Severity

Kind = Literal["alertmanager", "slack", "webhook", "apprise"]

APPRISE_SCHEMES = (
    "mailto", "mailtos", "msteams", "discord", "mmost", "mmosts", "rocket", "rockets", "matrix",
    "matrixs", "tgram", "pover", "opsgenie", "pagerduty", "ntfy", "ntfys", "gchat", "zulip",
    "signal", "signals", "twilio", "webex", "workflows",
)  # fmt: skip
"""Services of apprise that carry a message to people. None of them runs a command or writes a file,
as `exec://`, `syslog://` and others of apprise do."""


class NotifySettings(Section):
    """One receiver of notifications. Its address is a secret: it is never logged or shown."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
    """What logs, metrics and the page call it."""
    kind: Kind
    """How it is spoken to."""
    url: SecretStr = SecretStr("")
    """Its address. Of several Alertmanagers, the addresses separated by commas."""
    url_file: str = ""
    """File to read `url` from."""
    secret: SecretStr = SecretStr("")
    """Key of a webhook's signature (Standard Webhooks): `whsec_` and base64 of 24 bytes or more."""
    secret_file: str = ""
    """File to read `secret` from."""
    transitions: tuple[State, ...] = ("firing", "resolved", "stale")
    """Transitions that are told."""
    min_severity: Severity = "info"
    """Least severity that is told: of an alert the one with which it fired, for its end, too."""
    tracks: tuple[str, ...] = ()
    """Tracks that are told; empty means all."""
    include_text: bool = False
    """Whether up to five example posts are quoted: strangers' words leave your house then."""
    group_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Seconds that transitions of one track wait for each other, to become one message."""
    max_per_hour: Annotated[int, Field(ge=1, le=3600)] = 60
    """Messages an hour; past it they wait, and those of one track become one."""
    give_up_after_s: Annotated[float, Field(gt=0, le=86_400)] = 3_600.0
    """Seconds of trying after which a message counts as undelivered."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds of one try."""
    resend_s: Annotated[float, Field(ge=10, le=3600)] = 60.0
    """Alertmanager only: how often what fires is sent again; it ends after four times that."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not is_set(self.url):
            raise ValueError("name an address: url, or url_file")
        if self.kind == "alertmanager" and "resolved" not in self.transitions:
            raise ValueError(
                "transitions must have resolved: what fires is sent to an Alertmanager again and"
                " again, until it ends"
            )
        if self.kind == "webhook" and is_set(self.secret):
            signing_key(self.secret.get_secret_value())
        for url in self.urls:
            scheme = urlsplit(url).scheme.lower()
            if self.kind == "apprise":
                if scheme not in APPRISE_SCHEMES:
                    raise ValueError(
                        f"apprise's scheme {scheme!r} is not among those that tell people:"
                        f" {', '.join(APPRISE_SCHEMES)}"
                    )
            elif scheme not in {"http", "https"}:
                raise ValueError("url must begin with http:// or https://")
            elif not _reachable(url):
                raise ValueError("url must name a host, and a port up to 65535 if any")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address; one, but for Alertmanagers."""
        text = self.url.get_secret_value()
        if self.kind != "alertmanager":
            return (text,)
        return tuple(part.strip() for part in text.split(",") if part.strip())


def _reachable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none
        return False


def signing_key(secret: str) -> bytes:
    """The bytes of a Standard Webhooks secret, `whsec_…`.

    Raises:
        ValueError: it isn't one.
    """
    import base64  # noqa: PLC0415 - only webhooks with a signature need it
    import binascii  # noqa: PLC0415

    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 24:
        raise ValueError(
            "secret must be whsec_ and the base64 of 24 bytes or more:"
            " echo whsec_$(openssl rand -base64 32)"
        )
    return key
