"""Where the live page is served, and to whom."""

from typing import Annotated

from pydantic import Field, SecretStr

from runtime.settings.section import Section


class Page(Section):
    """The live page."""

    enabled: bool = True
    """Whether to serve it at all."""
    host: str = "127.0.0.1"
    """Address to listen on; another than this machine's own needs `token` or `user_header`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    """Port to listen on; 0 takes a free one."""
    url: Annotated[str, Field(pattern=r"^(https?://[^\s?#@]+)?$")] = ""
    """Where others reach the page, for links in notifications; empty: where it listens."""
    token: SecretStr = SecretStr("")
    """What people type once to get in, 16 characters at least."""
    token_file: str = ""
    """File to read `token` from."""
    user_header: str = ""
    """Header in which a proxy says who someone is, e.g. `X-Forwarded-User`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (`10.0.0.0/8`) whose `user_header` counts; nobody else's does."""
    actions: bool = True
    """Whether people may acknowledge, note, mute and report false alarms; else read-only."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers reach the page, without a port, e.g. `mood.example.org`."""
    max_connections: Annotated[int, Field(ge=1)] = 300
    """Open connections in all; for one more, one that is idle is closed, else it is refused."""
    max_viewers: Annotated[int, Field(ge=1)] = 200
    """Live viewers in all; one more is told to come back."""
