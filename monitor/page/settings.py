"""How the page is served, and which ways of serving it are refused."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

_MIN_TOKEN = 16  # characters; a random one of 16 can't be guessed within the limit on attempts


class PageError(Exception):
    """The page can't be served like this: wrong usage, exit status 2. The message says why."""


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """Where the page is served and to whom. Made once; `check` refuses what isn't safe."""

    host: str = "127.0.0.1"
    """Address to listen on. Another than this machine's own needs `token` or `user_header`."""
    port: int = 8765
    """0: any free one; `PageServer.url` says which."""
    token: str | None = field(default=None, repr=False)
    """What people type once to get in, 16 characters at least; a secret."""
    user_header: str | None = None
    """Header in which a proxy says who someone is, e.g. `X-Forwarded-User`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (`10.0.0.0/8`) whose `user_header` counts; nobody else's does."""
    actions: bool = True
    """False: read-only, nobody can acknowledge, note, mute or report a false alarm."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers reach the page, without a port, e.g. `mood.example.org`.

    `host` and this machine's own names count always.
    """
    max_connections: int = 300
    """Open connections in all; for one more, one that is idle is closed, else it is refused. A
    viewer holds one or two."""
    max_viewers: int = 200
    """Live streams in all; one more gets status 503."""

    def check(self) -> None:
        """Refuse what can't work or isn't safe.

        Raises:
            PageError: with the sentence that says what to change.
        """
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise PageError(
                f"monitor.page.token must have {_MIN_TOKEN} characters at least, e.g. from"
                " `openssl rand -hex 16`"
            )
        if (self.user_header is None) != (not self.trusted_proxies):
            raise PageError(
                "monitor.page.user_header and monitor.page.trusted_proxies belong together: who the"
                " header names counts only when one of these proxies sent it"
            )
        self.proxies()
        if self.max_connections < 1 or self.max_viewers < 1:
            raise PageError(
                "monitor.page.max_connections and monitor.page.max_viewers must be 1 at least"
            )
        if is_loopback(self.host):
            return
        if self.token is None and self.user_header is None:
            raise PageError(
                f"monitor.page.host {self.host} can be reached by others: set monitor.page.token,"
                " or monitor.page.user_header with monitor.page.trusted_proxies, or listen on"
                " 127.0.0.1"
            )
        if self.host in {"0.0.0.0", "::", ""} and not self.allowed_hosts:  # noqa: S104 - refused
            raise PageError(
                f"monitor.page.host {self.host or '(all)'} listens on every address: name the hosts"
                " under which browsers reach the page in monitor.page.allowed_hosts"
            )

    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of `trusted_proxies`.

        Raises:
            PageError: one is no address and no network.
        """
        try:
            return tuple(ip_network(one) for one in self.trusted_proxies)
        except ValueError as error:
            raise PageError(f"monitor.page.trusted_proxies: {error}") from None

    def hosts(self) -> frozenset[str]:
        """The host names that a request may carry, in lower case, without a port."""
        own = {"localhost", "127.0.0.1", "[::1]"} if is_loopback(self.host) else set()
        named = {self.host, *self.allowed_hosts}
        return frozenset(own | {_as_in_header(one.lower()) for one in named})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _as_in_header(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
