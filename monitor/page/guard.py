"""What every request must get through, on localhost too, and the headers of every answer."""

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from monitor.page import log_events
from monitor.page.settings import PageSettings

_Refusal: TypeAlias = tuple[int, str, str]
"""Status, name of the rule, sentence."""

COOKIE = "emostream_page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_SESSION_S = 30 * 86_400  # an analyst leaves the page open for weeks
_ATTEMPTS = 10  # wrong tokens a minute, from all together: 16 characters hold for ages
_MAX_USER = 80

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks."""

    user: str | None = None
    """As a trusted proxy says; None where nobody vouches for a name."""


VISITOR: web.RequestKey[Visitor] = web.RequestKey("visitor", Visitor)


class Guard:
    """Refuses what doesn't come from the page itself, or from someone who may not see it."""

    def __init__(self, settings: PageSettings, wall: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._wall = wall
        self._hosts = settings.hosts()
        self._proxies = settings.proxies()
        self._wrong: list[float] = []
        # From the token, so that a restart logs nobody out and a new token everybody.
        self._key = sha256(b"emostream page cookie\0" + (settings.token or "").encode()).digest()

    def middleware(self) -> Middleware:
        """The checks, as aiohttp calls them."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = self._refusal(request)
            if refused is not None:
                status, reason, message = refused
                # Who has no cookie yet is no news; who comes from elsewhere is.
                log = _log.debug if status == 401 else _log.info
                log(log_events.PAGE_REFUSED, reason=reason, status=status)
                return web.json_response({"error": message}, status=status, headers=HEADERS)
            return await handler(request)

        return guard

    def _refusal(self, request: web.Request) -> _Refusal | None:
        return self._foreign(request) or _unsafe(request) or self._unknown(request)

    def _foreign(self, request: web.Request) -> _Refusal | None:
        """Another host name (DNS rebinding), or another site's page that asks."""
        host = request.headers.getall(hdrs.HOST, [])
        if len(host) != 1 or _name(host[0]) not in self._hosts:
            return 421, "host", "this host name isn't in monitor.page.allowed_hosts"
        opened = (
            request.method in {"GET", "HEAD"}
            and request.path == "/"
            and request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest") == "document"
        )  # a link to the page, from a chat or a mail: the page itself holds no secret
        site = request.headers.get("Sec-Fetch-Site")
        if site not in {None, "same-origin", "none"} and not opened:
            return 403, "sec-fetch-site", "this request comes from another site"
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not _same(origin, host[0]):
            return 403, "origin", "this request comes from another site"
        return None

    def _unknown(self, request: web.Request) -> _Refusal | None:
        if not request.path.startswith("/api/") or request.path == "/api/login":
            return None  # the page's own files, the same for everybody
        visitor = self._visitor(request)
        if visitor is None:
            return 401, "visitor", self.how_to_get_in
        request[VISITOR] = visitor
        return None

    @property
    def how_to_get_in(self) -> str:
        """A sentence for someone who isn't let in."""
        if self._settings.token is not None:
            return "type the access token (monitor.page.token of the configuration)"
        return "open the page through the proxy that says who you are"

    @property
    def takes_token(self) -> bool:
        """Whether a token can be typed."""
        return self._settings.token is not None

    def _visitor(self, request: web.Request) -> Visitor | None:
        settings = self._settings
        if settings.user_header is not None and self._from_proxy(request):
            named = request.headers.getall(settings.user_header, [])
            user = named[0].strip()[:_MAX_USER] if len(named) == 1 else ""
            if user and user.isprintable():
                return Visitor(user=user)
        if settings.token is not None:
            return Visitor() if self._valid(request.cookies.get(COOKIE, "")) else None
        return None if settings.user_header is not None else Visitor()

    def _from_proxy(self, request: web.Request) -> bool:
        # The socket's address: X-Forwarded-For is whatever the sender likes.
        peer = request.transport.get_extra_info("peername") if request.transport else None
        if not peer:
            return False
        address = ip_address(peer[0].partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._proxies)

    def log_in(self, request: web.Request, token: str) -> web.Response:
        """Exchange the token for a cookie; 403 for a wrong one, 429 after ten within a minute."""
        now = self._wall()
        self._wrong = [at for at in self._wrong if now - 60 < at <= now]
        if len(self._wrong) >= _ATTEMPTS:
            return web.json_response(
                {"error": "too many wrong tokens; try again in a minute"},
                status=429,
                headers={"Retry-After": "60"},
            )
        expected = self._settings.token
        if expected is None or not hmac.compare_digest(token.encode(), expected.encode()):
            self._wrong.append(now)
            return web.json_response({"error": "this isn't the token"}, status=403)
        answer = web.json_response({})
        answer.set_cookie(
            COOKIE,
            self._signed(int(now) + _SESSION_S),
            max_age=_SESSION_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.headers.get(hdrs.ORIGIN, "").startswith("https://"),
        )
        return answer

    def _signed(self, until: int) -> str:
        return f"{until}.{hmac.new(self._key, str(until).encode(), sha256).hexdigest()}"

    def _valid(self, cookie: str) -> bool:
        until = cookie.partition(".")[0]
        if not (until.isascii() and until.isdigit() and len(until) < 12):
            return False
        signed = hmac.compare_digest(cookie.encode(), self._signed(int(until)).encode())
        return signed and self._wall() < int(until)


def _unsafe(request: web.Request) -> _Refusal | None:
    """A change that a form or a script of another site could have sent, too."""
    if request.method in {"GET", "HEAD"}:
        return None
    if hdrs.ORIGIN not in request.headers:
        return 403, "origin", "a request that changes something must say its origin"
    if request.content_type != "application/json":
        return 415, "content-type", "Content-Type must be application/json"
    return None


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: the policy on every answer; nothing cached unless it says so."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers.pop(hdrs.SERVER, None)


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty where it can't be read."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
    return f"[{name}]" if ":" in name else name


def _same(origin: str, host: str) -> bool:
    """Whether an Origin header names the host that was asked, port included."""
    try:
        sender, asked = urlsplit(origin), urlsplit(f"//{host}")
        default = {"http": 80, "https": 443}.get(sender.scheme)
        ports = (sender.port or default, asked.port or default)
    except ValueError:
        return False
    return default is not None and sender.hostname == asked.hostname and ports[0] == ports[1]
