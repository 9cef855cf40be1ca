"""Who gets in, from where, and with which headers on the way out."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from monitor.page.settings import PageError, PageSettings
from tests.monitor.page.conftest import Serve, Served

TOKEN = "a-token-of-the-tests"
FILES = ("/", "/static/js/main.js", "/api/state", "/api/nothing", "/static/../server.py")


@pytest.mark.parametrize("path", FILES)
async def test_every_answer_carries_the_policy(serve: Serve, path: str) -> None:
    page: Served = await serve()
    async with page.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert directives["default-src"] == "'none'"
        assert directives["script-src"] == directives["style-src"] == "'self'"
        assert directives["require-trusted-types-for"] == "'script'"
        assert directives["frame-ancestors"] == "'none'"
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil"])
async def test_another_host_name_is_refused_on_localhost_too(serve: Serve, host: str) -> None:
    page: Served = await serve()
    for path in ("/", "/api/state"):
        async with page.get(path, Host=host) as answer:
            assert answer.status in {400, 421}


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "LOCALHOST", "[::1]:1"])
async def test_this_machines_names_are_allowed_whatever_the_port_of_a_tunnel(
    serve: Serve, host: str
) -> None:
    page: Served = await serve()
    async with page.get("/api/state", Host=host) as answer:
        assert answer.status == 200


async def test_a_name_of_the_configuration_is_allowed(serve: Serve) -> None:
    page: Served = await serve(allowed_hosts=("mood.example.org",))
    async with page.get("/api/state", Host="mood.example.org") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/api/state", "/api/live", "/static/js/main.js", "/"])
async def test_what_another_site_asks_for_is_refused(serve: Serve, site: str, path: str) -> None:
    page: Served = await serve()
    async with page.get(path, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors") as answer:
        assert answer.status == 403


async def test_a_link_to_the_page_from_a_chat_opens_it(serve: Serve) -> None:
    page: Served = await serve(token=TOKEN)
    headers = {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": "document",
    }
    async with page.get("/?track=x&range=24h", **headers) as answer:
        assert answer.status == 200
        assert "kestrel" not in await answer.text()  # the page itself holds no figure
    async with page.get("/api/chart.csv", **headers) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "x"])
async def test_another_origin_is_refused(serve: Serve, origin: str) -> None:
    page: Served = await serve()
    async with page.get("/api/state", Origin=origin) as answer:
        assert answer.status == 403
    async with page.post("/api/actions", {}, Origin=origin) as answer:
        assert answer.status == 403


SAY: dict[str, Any] = {"type": "unmute", "track": "kestrel air"}


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_what_a_form_of_another_site_could_send_does_nothing(serve: Serve, kind: str) -> None:
    page: Served = await serve()
    async with page.post("/api/actions", json.dumps(SAY).encode(), Content_Type=kind) as answer:
        assert answer.status == 415
    assert page.source.actions == []


async def test_an_action_without_an_origin_does_nothing(serve: Serve) -> None:
    page: Served = await serve()
    async with page.http.post(f"{page.url}/api/actions", json=SAY) as answer:
        assert answer.status == 403
    assert page.source.actions == []


async def test_an_action_by_get_does_nothing(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get("/api/actions") as answer:
        assert answer.status == 405
    assert page.source.actions == []


async def log_in(page: Served, token: str) -> tuple[int, str]:
    async with page.post("/api/login", {"token": token}) as answer:
        return answer.status, answer.headers.get("Set-Cookie", "")


async def test_the_token_is_exchanged_for_a_cookie_that_no_script_reads(serve: Serve) -> None:
    page: Served = await serve(token=TOKEN)
    for path in ("/api/state", "/api/me", "/api/live", f"/api/state?token={TOKEN}"):
        async with page.get(path, Authorization=f"Bearer {TOKEN}") as answer:
            assert answer.status == 401
    status, cookie = await log_in(page, TOKEN)
    assert status == 200
    flags = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= flags
    assert TOKEN not in cookie
    value = cookie.split(";")[0]
    async with page.get("/api/state", Cookie=value) as answer:
        assert answer.status == 200


async def test_behind_tls_the_cookie_is_for_tls_only(serve: Serve) -> None:
    page: Served = await serve(token=TOKEN, allowed_hosts=("mood.example.org",))
    async with page.post(
        "/api/login",
        {"token": TOKEN},
        Host="mood.example.org",
        Origin="https://mood.example.org",
    ) as answer:
        assert answer.status == 200
        assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("changed", ["1.", "x", "", "99999999999.00", "é"])
async def test_a_made_up_cookie_opens_nothing(serve: Serve, changed: str) -> None:
    page: Served = await serve(token=TOKEN)
    async with page.get("/api/state", Cookie=f"emostream_page={changed}") as answer:
        assert answer.status == 401


async def test_a_cookie_ends_after_a_month_and_with_its_token(serve: Serve) -> None:
    page: Served = await serve(token=TOKEN)
    cookie = (await log_in(page, TOKEN))[1].split(";")[0]
    page.time[0] += 31 * 86_400
    async with page.get("/api/state", Cookie=cookie) as answer:
        assert answer.status == 401
    other: Served = await serve(token=TOKEN + "-new")
    async with other.get("/api/state", Cookie=cookie) as answer:
        assert answer.status == 401


async def test_after_ten_wrong_tokens_the_right_one_waits_a_minute(serve: Serve) -> None:
    page: Served = await serve(token=TOKEN)
    for _ in range(10):
        assert (await log_in(page, "wrong" * 4))[0] == 403
    assert (await log_in(page, TOKEN))[0] == 429
    page.time[0] += 61
    assert (await log_in(page, TOKEN))[0] == 200


async def test_a_user_header_counts_from_a_trusted_proxy(serve: Serve) -> None:
    page: Served = await serve(user_header="X-User", trusted_proxies=("127.0.0.0/8",))
    async with page.get("/api/me", X_User="ana") as answer:
        assert (await answer.json())["user"] == "ana"
    async with page.get("/api/me") as answer:
        assert answer.status == 401  # the proxy names nobody
    async with page.get("/api/me", X_User="\u202eana") as answer:
        assert answer.status == 401


async def test_a_user_header_from_anyone_else_is_nothing(serve: Serve) -> None:
    page: Served = await serve(user_header="X-User", trusted_proxies=("10.0.0.0/8",))
    async with page.get("/api/me", X_User="ana", X_Forwarded_For="10.0.0.1") as answer:
        assert answer.status == 401


async def test_connections_are_capped_before_a_request_is_read(serve: Serve) -> None:
    page: Served = await serve(max_connections=2)
    host, port = page.url.removeprefix("http://").split(":")
    (longest, first), *others = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
    assert await longest.read() == b""
    for one in (first, *(writer for _, writer in others)):
        one.close()
        await one.wait_closed()


async def test_a_large_body_is_refused(serve: Serve) -> None:
    page: Served = await serve()
    async with page.post("/api/actions", b" " * 100_000) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "page.token"),
        ({"host": "192.168.1.9"}, "page.token"),
        ({"host": "::"}, "page.token"),
        ({"host": "0.0.0.0", "token": TOKEN}, "page.allowed_hosts"),
        ({"token": "short"}, "16 characters"),
        ({"user_header": "X-User"}, "page.trusted_proxies"),
        ({"trusted_proxies": ("10.0.0.0/8",)}, "page.user_header"),
        ({"user_header": "X-User", "trusted_proxies": ("ten",)}, "page.trusted_proxies"),
        ({"max_viewers": 0}, "page.max_viewers"),
    ],
)
def test_what_is_not_safe_is_refused_with_what_to_do(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(PageError, match=says):
        PageSettings(**settings).check()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "::1"},
        {"host": "localhost", "actions": False},
        {"host": "192.168.1.9", "token": TOKEN},
        {"host": "0.0.0.0", "token": TOKEN, "allowed_hosts": ("mood.example.org",)},
        {"host": "10.1.1.1", "user_header": "X-User", "trusted_proxies": ("10.0.0.0/8", "::1")},
    ],
)
def test_what_is_safe_is_taken(settings: dict[str, Any]) -> None:
    PageSettings(**settings).check()


def test_the_token_is_not_in_the_settings_words() -> None:
    assert TOKEN not in repr(PageSettings(token=TOKEN))


async def test_a_port_in_use_is_an_error_with_what_to_do(serve: Serve) -> None:
    page: Served = await serve()
    port = int(page.url.rsplit(":", 1)[1])
    from monitor.page.server import PageServer  # noqa: PLC0415

    second = PageServer(PageSettings(port=port), page.source)
    with pytest.raises(PageError, match=r"page\.port"):
        await second.start()


async def test_the_server_is_silent_about_itself(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get("/api/history?track=%00") as answer:
        assert answer.status == 404
        assert "Traceback" not in await answer.text()
    assert isinstance(page.http, aiohttp.ClientSession)
