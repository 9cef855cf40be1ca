"""Where a model server is and how to get in; what is secret of it is never shown."""

import base64
import ipaddress

import msgspec
from yarl import URL

DIALECTS = ("auto", "tgi", "openai", "vllm", "sglang", "llamacpp")
"""How a server is spoken to. `openai` is any `/v1/completions`; the last three also say where a
grammar goes. `auto` asks the server."""


_ROUTES = ("/generate", "/generate_stream", "/v1/completions", "/v1/chat/completions", "/v1/models")
"""What is asked below the base URL, and gets copied into it."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One model server, as the configuration names it. Its repr shows neither token nor userinfo.

    Raises ValueError for a URL that isn't http(s), or one with a query or fragment (a key in a
    query would be written into every access log on the way), and for an unknown dialect.
    """

    url: str
    """Base URL, with a path prefix where a gateway wants one. `user:password@` in it is sent as
    HTTP Basic, unless `token` is given, and never shown."""
    dialect: str = "auto"
    """One of `DIALECTS`."""
    token: str | None = None
    """Sent as `Authorization: Bearer …`."""
    ca_file: str | None = None
    """PEM file with the authorities to trust instead of the system's."""
    model: str | None = None
    """What `/v1/completions` is to be asked for; the first of `/v1/models` where absent."""
    grammar: bool = False
    """Send the tasks' regular expressions along. Off by default: compiling one blocks a TGI for
    0.3 to 10 seconds, once for each grammar (TGI 3.3, read and measured)."""

    def __post_init__(self) -> None:
        """Refuse what can't be asked. Messages don't repeat the URL: it may hold a password."""
        try:
            url = URL(self.url)
        except ValueError:
            raise ValueError("a model server's URL can't be read") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("a model server's URL must begin with http:// or https://")
        try:
            url.host.encode("idna")  # as the resolver does
        except UnicodeError:
            raise ValueError(
                f"a model server's URL has a host that can't be one: {url.host}"
            ) from None
        if url.raw_query_string or url.raw_fragment:
            raise ValueError(
                f"a model server's URL ends at its path (at {url.host}): give a key as token"
            )
        for route in _ROUTES:
            if url.path.rstrip("/").endswith(route):
                raise ValueError(
                    f"a model server's URL ends before {route}, which is added to it: write"
                    f" {self.shown.removesuffix(route)}"
                )
        if self.dialect not in DIALECTS:
            raise ValueError(f"dialect {self.dialect!r} is none of {', '.join(DIALECTS)}")
        if self.token is not None and (not self.token.isprintable() or not self.token.isascii()):
            raise ValueError(f"the token for {url.host} holds a character no header can carry")

    @property
    def base(self) -> URL:
        """The URL without credentials and without a slash at its end."""
        url = URL(self.url).with_user(None)
        return url.with_path(url.raw_path.rstrip("/") or "/", encoded=True)

    @property
    def shown(self) -> str:
        """The URL as logs, metrics and errors may have it."""
        return str(self.base).rstrip("/")

    @property
    def authorization(self) -> str | None:
        """The Authorization header's value: a secret."""
        if self.token:
            return f"Bearer {self.token}"
        url = URL(self.url)
        if url.user is None and url.password is None:
            return None
        pair = f"{url.user or ''}:{url.password or ''}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold, should a server say it back to us."""
        url = URL(self.url)
        found = (self.token, url.password, (self.authorization or "").partition(" ")[2])
        return tuple(dict.fromkeys(one for one in found if one))

    def __repr__(self) -> str:
        return f"ServerOptions(url={self.shown!r}, dialect={self.dialect!r})"

    def __rich_repr__(self) -> "list[tuple[str, str]]":
        """Rich would read the fields past __repr__."""
        return [("url", self.shown), ("dialect", self.dialect)]


def refuse_plain_token(url: str, *, allowed: bool, section: str = "model") -> None:
    """Refuse to send a token unencrypted to another machine, unless the user allows it.

    `section` is the part of the configuration that has the token.

    Raises:
        ValueError: the URL is http and its host isn't this machine; the message says what to do.
    """
    parsed = URL(url)
    if allowed or parsed.scheme != "http" or _is_this_machine(parsed.host or ""):
        return
    raise ValueError(
        f"{section}.token would go to {parsed.host} unencrypted, and anyone on the way could read"
        f" it: use an https:// URL, or set {section}.allow_plain_token = true if the network"
        " encrypts"
    )


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
