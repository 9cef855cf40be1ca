"""Each kind of target says what its receiver expects, and never its own address."""

import base64
from typing import Any, cast

import msgspec
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier

from monitor.notify.message import compose
from monitor.notify.notifier import NullObserver
from monitor.notify.queue import TargetQueue
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Rejected, Target, Unavailable
from monitor.notify.targets import make_target
from runtime.clock import SystemClock
from schemas.alert import Alert
from tests.monitor.notify.alerts import alert
from tests.monitor.notify.receiver import receiving
from tests.runtime.fake_clock import FakeClock

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def target(kind: str, url: str, **more: Any) -> Target:
    settings = NotifySettings(name="team", kind=kind, url=url, **more)  # type: ignore[arg-type]
    return make_target(settings, clock=SystemClock())


async def test_a_webhook_is_signed_so_that_the_specs_own_library_verifies_it() -> None:
    async with receiving() as receiver:
        hook = target("webhook", receiver.url + "/in", secret=SECRET)
        await hook.deliver(compose([alert()], page_url="http://page"))
        await hook.aclose()
        headers = {name.lower(): value for name, value in receiver.headers[0].items()}
        checked = Verifier(SECRET).verify(receiver.bodies[0], headers)
    assert headers["webhook-id"] == "transition-1"
    assert checked["type"] == "emostream.alert"
    read = msgspec.convert(checked["data"]["alerts"][0], Alert)
    assert read == alert()
    assert checked["data"]["link"] == (
        "http://page/?track=airline&range=24h&at=1772453160&alert=alert-1"
    )


async def test_slack_gets_strangers_words_escaped_and_unfurls_nothing() -> None:
    async with receiving() as receiver:
        slack = target("slack", receiver.url)
        text = "<!channel> *look* at <http://evil.example|this> & @here"
        hostile = alert(track="<!here>", note="a & b")
        await slack.deliver(compose([hostile], examples=[text], page_url="http://page"))
        await slack.aclose()
        body = receiver.json
    assert body["unfurl_links"] is body["unfurl_media"] is False
    written = msgspec.json.encode(body).decode()
    assert "<!" not in written
    assert "<http://evil" not in written
    assert "@here" not in written
    assert "*look*" not in written
    assert "a &amp; b" in written
    assert "Open the page at this moment" in written


async def test_alertmanager_gets_identity_as_labels_and_an_end_that_we_move_on() -> None:
    async with receiving() as first, receiving() as second:
        manager = target("alertmanager", f"{first.url}, {second.url}/")
        first.answers.append(503)
        await manager.deliver(compose([alert()]))
        await manager.deliver(compose([alert(transition="resolved")]))
        await manager.aclose()
        assert first.paths == second.paths == ["/api/v2/alerts"] * 2
        firing, resolved = (msgspec.json.decode(body)[0] for body in second.bodies)
    assert firing["labels"] == {
        "alertname": "EmostreamNegativeSpike",
        "track": "airline",
        "measure": "negative_share",
        "severity": "warning",
    }
    assert firing["endsAt"] > resolved["endsAt"]
    assert firing["startsAt"] == resolved["startsAt"]


async def test_alertmanager_is_told_of_the_end_with_the_labels_of_the_beginning() -> None:
    async with receiving() as receiver:
        manager = target("alertmanager", receiver.url)
        await manager.deliver(compose([alert(severity="critical")]))
        receiver.answers.append(503)
        ended = compose([alert(transition="resolved", severity="info")])
        with pytest.raises(Unavailable):
            await manager.deliver(ended)
        await manager.deliver(ended)
        await manager.aclose()
        firing, _, resolved = (msgspec.json.decode(body)[0] for body in receiver.bodies)
    assert resolved["labels"] == firing["labels"]


async def test_alertmanager_knows_the_labels_of_the_beginning_after_a_restart_too() -> None:
    async with receiving() as receiver:
        manager = target("alertmanager", receiver.url)
        queue = TargetQueue(
            manager,
            NotifySettings(name="team", kind="alertmanager", url=SecretStr(receiver.url)),
            clock=FakeClock(),
            compose=cast("Any", None),
            observer=NullObserver(),
        )
        queue.restore([alert(), alert(transition="stale", severity="critical")])
        await manager.deliver(compose([alert(transition="resolved", severity="critical")]))
        await manager.aclose()
        (sent,) = receiver.json
    assert sent["labels"]["severity"] == alert().severity == "warning"


async def test_alertmanager_fails_only_when_no_replica_took_it() -> None:
    async with receiving() as first, receiving() as second:
        manager = target("alertmanager", f"{first.url},{second.url}")
        first.answers.append(503)
        second.answers.append(500)
        with pytest.raises(Unavailable, match="503"):
            await manager.deliver(compose([alert()]))
        await manager.aclose()


@pytest.mark.parametrize("kind", ["webhook", "slack", "alertmanager"])
async def test_what_may_pass_is_unavailable_and_what_never_will_is_rejected(kind: str) -> None:
    async with receiving() as receiver:
        one = target(kind, receiver.url + "/secret-path")
        # Long enough for a busy machine to receive it: else its answer is left for the next.
        hasty = target(kind, receiver.url + "/secret-path", timeout_s=2.0)
        message = compose([alert()])
        for status in (429, 500, 503, 0):
            receiver.answers.append(status)
            with pytest.raises(Unavailable) as unavailable:
                await (one if status else hasty).deliver(message)
            assert "secret-path" not in str(unavailable.value)
        await hasty.aclose()
        for status in (400, 401, 404, 413):
            receiver.answers.append(status)
            with pytest.raises(Rejected, match=str(status)) as rejected:
                await one.deliver(message)
            assert "secret-path" not in str(rejected.value)
        await one.aclose()
    with pytest.raises(Unavailable) as refused:
        await one.deliver(message)
    assert "secret-path" not in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)
    await one.aclose()


async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as receiver, receiving() as elsewhere:
        receiver.answers.append((307, {"Location": elsewhere.url}))
        hook = target("webhook", receiver.url)
        with pytest.raises(Rejected, match="redirects are not followed"):
            await hook.deliver(compose([alert()]))
        await hook.aclose()
        assert elsewhere.bodies == []


@pytest.mark.parametrize(
    ("says", "wait_s"),
    [
        ("30", 30),
        ("Mon, 02 Mar 2026 12:00:45 GMT", 45),
        ("Mon, 02 Mar 2026 11:00:00 GMT", 0),
        ("99999999999", 3_600),
        ("soon", None),
        ("²", None),  # a digit to Python, and no number
        ("", None),
    ],
)
async def test_a_target_says_how_long_to_wait(says: str, wait_s: float | None) -> None:
    async with receiving() as receiver:
        date = "Mon, 02 Mar 2026 12:00:00 GMT"  # the target's clock, whatever ours says
        receiver.answers.append((429, {"Retry-After": says, "Date": date}))
        slack = target("slack", receiver.url)
        with pytest.raises(Unavailable) as fault:
            await slack.deliver(compose([alert()]))
        await slack.aclose()
    assert fault.value.retry_after_s == wait_s


# Of apprise itself, on Python 3.11 and 3.12.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_apprise_reaches_its_service_through_a_scheme_that_is_allowed() -> None:
    pytest.importorskip("apprise", reason="the extra `notify` isn't installed")
    async with receiving() as receiver:
        address = receiver.url.removeprefix("http://")
        ntfy = make_target(
            NotifySettings(name="phone", kind="apprise", url=SecretStr(f"ntfy://{address}/mood")),
            clock=FakeClock(),
        )
        await ntfy.deliver(compose([alert()]))
        receiver.answers.append(500)
        with pytest.raises(Unavailable, match="not taken"):
            await ntfy.deliver(compose([alert()]))
        await ntfy.aclose()
        assert b"airline" in receiver.bodies[0]
