"""The page in a real browser: it draws, follows what happens, and runs nothing of a stranger's."""

from contextlib import closing
from itertools import pairwise
from typing import Any

from monitor.page.data import MuteTrack, Say, TracksChanged, TrackState
from tests.faults.ports import Ports
from tests.monitor.page.browsing import Browse, ready
from tests.monitor.page.chromium import Tab
from tests.monitor.page.conftest import WALL, Serve, Served
from tests.monitor.page.made_up import TRACKS, MadeUp

INK = """(selector) => [...document.querySelectorAll(selector)].map((canvas) => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add(
    data[i] >> 4 << 8 | data[i + 1] >> 4 << 4 | data[i + 2] >> 4);
  return seen.size;
})"""


async def ink(tab: Tab, selector: str) -> list[int]:
    """How many colours each canvas shows."""
    found: list[int] = await tab.run(f"({INK})({selector!r})")
    return found


FIGURES_SAY = """[document.getElementById('reading').textContent,
  ...[...document.querySelectorAll('.sentence')].map((one) => one.textContent),
  ...[...document.querySelectorAll('.slider')].map((one) => one.ariaValueText)]"""


def calm(**more: Any) -> MadeUp:
    return MadeUp(tracks=3, hours=2, storm_minutes=0, **more)


async def test_the_charts_are_drawn_in_both_colours(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=4, hours=2))
    tab = await browse(page)
    await ready(tab)
    for scheme in ("light", "dark"):
        await tab.prefer(scheme)
        await tab.run("new Promise(requestAnimationFrame)")
        plots = await ink(tab, ".plot canvas")
        assert len(plots) == 3
        assert all(colours >= 4 for colours in plots)
        assert all(colours >= 3 for colours in await ink(tab, ".heat canvas"))
        assert all(colours >= 2 for colours in await ink(tab, ".spark"))


async def test_a_spike_appears_live_and_its_alert_shows(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "/?track=kestrel+air&range=live")
    await tab.until(
        "document.querySelector('[data-tile=negative_share] .value').textContent != '–'"
    )
    assert (
        await tab.run("document.querySelector('[data-tile=negative_share]').dataset.side") != "bad"
    )
    page.source.break_out()
    page.source.advance(10)
    await tab.until("document.querySelector('[data-tile=negative_share]').dataset.side === 'bad'")
    page.source.fire()
    await tab.until("document.querySelector('.alert[data-state=firing]')")
    assert (await tab.run("document.title")).startswith("(1) kestrel air")
    heard = await tab.until("document.getElementById('heard').textContent")
    assert heard.startswith("Firing, critical: kestrel air. Share negative 54 %")
    shift = await tab.run("__shift")
    assert shift < 0.03, "nothing jumps"
    page.source.calm_down()
    await tab.until("document.title === 'kestrel air · emostream'")
    assert await tab.run("document.querySelector('.alert[data-state=firing]')") is None


HOSTILE = "<img src=x onerror=document.title=1>\u202eevil\u2069"


async def test_a_strangers_words_are_text_and_run_nothing(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=1, hours=1, more=(HOSTILE,)))
    page.source.hostile = True
    alert = page.source.alerts()[0].alert.alert_id
    tab = await browse(page)
    await ready(tab)
    await tab.run("document.querySelector('.alert summary').click()")
    note = "<script>document.title=1</script>\u202e"
    await page.source.act(Say(alert_id=alert, action="note", by=HOSTILE, note=note))
    await tab.until("document.querySelector('.alert .story q')")
    assert "<script>" in await tab.run("document.querySelector('.alert .story q').textContent")
    await tab.run("document.querySelectorAll('.track')[1].click()")
    await tab.until("document.getElementById('mood-track').textContent.includes('onerror')")
    await tab.run("document.querySelector('.slider').focus()")
    await tab.press("Enter", 13)
    await tab.until("document.querySelector('.post .control')")
    shown = await tab.run("document.querySelector('.post-list').textContent")
    assert "<img src=x onerror=" in shown
    assert "U+202E" in shown
    assert "\u202e" not in await tab.run("document.documentElement.textContent")
    assert (
        await tab.run("document.querySelectorAll('.posts img, .posts script, svg script').length")
        == 0
    )
    assert await tab.run("[...document.links].filter((a) => !/^https?:/.test(a.href)).length") == 0
    assert "emostream" in await tab.run("document.title")


async def test_links_to_posts_tell_them_nothing(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=1, hours=1))
    tab = await browse(page)
    await ready(tab)
    await tab.run("document.querySelector('.slider').focus()")
    await tab.press("Enter", 13)
    await tab.until("document.querySelector('.post a')")
    links = await tab.run(
        "[...document.querySelectorAll('.post a')].map((a) => [a.rel, a.protocol, a.target])"
    )
    for rel, protocol, target in links:
        assert {"noopener", "noreferrer"} <= set(rel.split())
        assert (protocol, target) == ("https:", "_blank")


async def test_a_script_that_someone_slips_in_is_stopped_by_the_policy(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page)
    await tab.until("document.body.classList.contains('ready')")
    stopped = await tab.run(
        "(() => { try { document.body.innerHTML = '<img src=x onerror=document.title=1>'; }"
        " catch (error) { return error.name; } })()"
    )
    assert stopped == "TypeError"
    assert await tab.run("__violations.length") > 0
    tab.forgive()


async def test_a_tombstone_takes_away_a_post_that_is_being_read(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(MadeUp(tracks=1, hours=1))
    tab = await browse(page)
    await ready(tab)
    await tab.click(".plot[data-chart=negative_share] .u-over")
    event = await tab.until("document.querySelector('.post')?.dataset.event")
    page.source.delete(event)
    shown = "[...document.querySelectorAll('.post')].map((post) => post.dataset.event)"
    await tab.until(f"!{shown}.includes({event!r})")
    assert await tab.run("document.querySelectorAll('.post').length") > 0


async def test_the_page_comes_back_by_itself_after_the_server_did(
    serve: Serve, browse: Browse
) -> None:
    with closing(Ports()) as own:  # while it is away nobody else may take its port
        page: Served = await serve(calm(), port=own.take())
        tab = await browse(page)
        await tab.until("document.querySelector('#status').dataset.state === 'live'")
        await page.stop()
        await tab.until("document.querySelector('#status').dataset.state === 'lost'")
        page.source.break_out()
        page.source.advance(10)
        await page.start()
        await tab.until("document.querySelector('#status').dataset.state === 'live'")
    await tab.until("document.querySelector('[data-tile=negative_share]').dataset.side === 'bad'")
    tab.forgive("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE", "ERR_EMPTY", "ERR_CONNECTION_RESET")


async def test_old_data_is_shown_as_old(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(calm())
    tab = await browse(page)
    assert "s ago" in await tab.until(
        "/data to .* ago/.test(document.getElementById('status-text').textContent)"
        " && document.getElementById('status-text').textContent"
    )
    page.time[0] += 3_600
    page.hub().send_beat()
    text = await tab.until(
        "document.getElementById('status').dataset.state === 'old'"
        " && document.getElementById('status-text').textContent"
    )
    assert text.startswith("Data is old")


async def test_an_alert_is_acknowledged_with_a_name(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=1, hours=1))
    tab = await browse(page)
    await ready(tab)
    await tab.click("[data-do=ack]")
    await tab.until("document.querySelector('dialog[open]')")
    await tab.run("document.querySelector('dialog [name=name]').focus()")
    await tab.type("Ana")
    await tab.press("Enter", 13, "\r")
    await tab.until("document.querySelector('.alert .mark')?.textContent === 'acknowledged'")
    assert [one.by for one in page.source.actions] == ["Ana (unverified)"]
    assert await tab.run("document.querySelector('[data-do=ack]')") is None


async def test_a_read_only_page_offers_nothing_to_do(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=1, hours=1), actions=False)
    tab = await browse(page)
    await ready(tab)
    kinds = await tab.run("[...document.querySelectorAll('.does button')].map((b) => b.dataset.do)")
    assert set(kinds) == {"examples"}
    assert await tab.run("[...document.querySelectorAll('#mute button')].length") == 1


async def test_the_token_is_typed_once(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(calm(), token="a-token-of-the-tests")
    tab = await browse(page)
    for token, sign in (
        ("wrong", "document.querySelector('.error').textContent"),
        ("a-token-of-the-tests", "!document.querySelector('dialog')"),
    ):
        await tab.until("document.querySelector('dialog[open] [name=token]')")
        assert await tab.run("document.querySelectorAll('dialog button').length") == 1, "no Cancel"
        await tab.run("document.querySelector('dialog [name=token]').select()")
        await tab.type(token)
        await tab.press("Enter", 13, "\r")
        await tab.until(sign)
    await tab.until("document.querySelector('#status').dataset.state === 'live'")
    assert await tab.run("document.cookie") == ""
    assert "token" not in await tab.run("location.href")
    await tab.open(page.url)
    await tab.until("document.querySelector('#status').dataset.state === 'live'")
    tab.forgive("401", "403")


async def test_the_address_is_the_view(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=3, hours=2))
    tab = await browse(page)
    await ready(tab)
    await tab.click("[data-range='24h']")
    await tab.run("document.querySelectorAll('.track')[1].click()")
    await tab.run("document.querySelectorAll('.compare')[0].click()")
    address = await tab.run("location.pathname + location.search")
    assert address == "/?track=harbour+rail&track=kestrel+air&range=24h"
    other = await browse(page, address)
    await ready(other)
    assert await other.run("document.getElementById('mood-track').textContent") == "harbour rail"
    assert await other.run("document.querySelector('[data-range=\"24h\"]').ariaPressed") == "true"
    assert await other.run("document.querySelectorAll('.legend:not([hidden]) li').length") == 2
    await tab.run("history.back()")
    await tab.until("location.search === '?track=harbour+rail&range=24h'")


async def test_a_link_to_a_moment_shows_its_posts(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=2, hours=1))
    alert = page.source.alerts()[0].alert.alert_id
    tab = await browse(page, f"/?track=kestrel+air&range=1h&at=2026-11-28T11:55:00Z&alert={alert}")
    await tab.until("document.querySelectorAll('.post').length > 5")
    assert "11:50–11:55" in await tab.run("document.getElementById('posts-title').textContent")
    assert await tab.run("document.querySelector('.alert details').open") is True


async def test_without_uplot_there_are_tables_and_a_sentence(
    serve: Serve, browse: Browse, without_uplot: None
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page)
    text = await tab.until("document.getElementById('problems').textContent")
    assert "python -m monitor.page.vendor" in text
    await tab.until("document.querySelectorAll('.table-box:not([hidden]) tbody tr').length > 30")
    tab.forgive("404", "vendor/uPlot")


async def test_24_hours_of_20_tracks_are_drawn_within_a_second(
    serve: Serve, browse: Browse
) -> None:
    """Counted in CPU time of the page's thread: the load of other programs isn't the page's."""
    page: Served = await serve(MadeUp(tracks=20, hours=24))
    tab = await browse(page, "about:blank")
    await tab.send("Performance.enable", timeDomain="threadTicks")
    await tab.open(f"{page.url}/?track=kestrel+air&range=24h")
    await tab.until("performance.getEntriesByName('first-figures').length")
    metrics = (await tab.send("Performance.getMetrics"))["metrics"]
    took = {metric["name"]: metric["value"] for metric in metrics}
    assert await tab.run("document.querySelectorAll('.track').length") == 20
    assert await tab.run("__shift") < 0.02
    assert 0 < took["TaskDuration"] < 1.0


async def test_a_track_is_muted_and_unmuted(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(calm())
    tab = await browse(page)
    await tab.until("document.querySelector('#mute button')")
    await tab.click("#mute button")
    await tab.until("document.querySelector('dialog[open] select')")
    await tab.run("document.querySelector('dialog .primary').click()")
    text = await tab.until("document.querySelector('#mute span')?.textContent")
    assert text.startswith("Muted until")
    assert text.endswith("by someone (unverified)")
    assert await tab.run("document.querySelector('.track .badge').textContent") == "muted"
    # The mute comes over the live stream, maybe before the answer that closes the dialog: until
    # then the button behind it takes no click.
    await tab.until("!document.querySelector('dialog')")
    await tab.click("#mute button")
    await tab.until("!document.querySelector('#mute span')")
    assert [type(one).__name__ for one in page.source.actions] == ["MuteTrack", "UnmuteTrack"]


async def test_a_weekly_mute_outside_its_hours_mutes_nothing_yet(
    serve: Serve, browse: Browse
) -> None:
    page = await serve(calm())
    mute = MuteTrack(track=TRACKS[0], by="ann", weekly="daily 01:00-02:00", zone="UTC")
    await page.source.act(mute)
    tab = await browse(page)
    text = await tab.until("document.querySelector('#mute span')?.textContent")
    assert text.startswith("To be muted daily 01:00-02:00 (UTC) by ann")
    assert not await tab.run("document.querySelector('.track .badge')?.textContent === 'muted'")


async def test_a_mute_lasts_by_the_servers_clock_whatever_the_browsers_says(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "about:blank")
    await tab.run_first(
        f"Date.now = () => {(WALL - 2 * 3_600) * 1_000}",  # two hours slow
    )
    await tab.open(page.url)
    await tab.until("document.querySelector('#mute button')")
    await tab.click("#mute button")
    await tab.until("document.querySelector('dialog[open] select')")
    await tab.run("document.querySelector('dialog .primary').click()")
    await page.source.acted.wait()
    (muted,) = page.source.actions
    assert isinstance(muted, MuteTrack)
    assert muted.until is not None
    assert muted.until.timestamp() - WALL == 3_600


async def test_a_mute_until_tomorrow_ends_then_however_long_it_was_thought_over(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "about:blank")
    await tab.run_first(
        "const real = Date.now; globalThis.__later = 0; Date.now = () => real() + __later;"
    )
    await tab.open(page.url)
    await tab.until("document.querySelector('#mute button')")
    await tab.click("#mute button")
    await tab.until("document.querySelector('dialog[open] select')")
    await tab.run("document.querySelector('dialog select').selectedIndex = 3")
    await tab.run("__later = 1_800_000")
    await tab.run("document.querySelector('dialog .primary').click()")
    await page.source.acted.wait()
    (muted,) = page.source.actions
    assert isinstance(muted, MuteTrack)
    assert muted.until is not None
    assert muted.until.timestamp() % 900 == 0


async def test_a_request_over_a_dead_connection_is_given_up_and_made_again(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "about:blank")
    await tab.run_first(
        "const real = setTimeout; globalThis.__late = [];"
        "globalThis.setTimeout = (act, ms) => (ms === 15_000 ? __late.push(act) : real(act, ms));",
    )
    await tab.send("Fetch.enable", patterns=[{"urlPattern": "*/api/state"}])  # never answered
    await tab.open(page.url)
    await tab.until("__late.length > 1")
    await tab.send("Fetch.disable")
    await tab.run("__late.forEach((act) => act())")
    await tab.until("document.querySelector('#status').dataset.state === 'live'")
    tab.forgive()


async def test_figures_that_could_not_be_had_are_asked_for_again(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "about:blank")
    await tab.run_first(
        "const real = fetch; let fail = true; globalThis.__restore = () => (fail = false);"
        "globalThis.fetch = (address, options) => fail && address.startsWith('/api/history')"
        " ? Promise.reject(new TypeError('no network')) : real(address, options);",
    )
    await tab.open(page.url)
    await tab.until("document.querySelector('#status').dataset.state === 'live'")
    await tab.until("document.querySelectorAll('.figure[aria-busy=true]').length === 4")
    assert set(await tab.run(FIGURES_SAY)) == {"Loading…"}, "not that there were no posts"
    await tab.run("__restore()")
    page.hub().send_beat()
    await tab.until("document.querySelector('.sentence').textContent.startsWith('Highest')")


async def test_a_days_figures_are_shown_though_a_minute_came_before_them(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "about:blank")
    await tab.run_first(
        "const real = fetch; const held = new Promise((go) => (globalThis.__release = go));"
        "globalThis.fetch = async (address, options) => {"
        " if (address.startsWith('/api/history')) await held; return real(address, options); };",
    )
    await tab.open(page.url)
    await tab.until("document.querySelector('#status').dataset.state === 'live'")
    page.source.advance(2)
    await tab.until("document.getElementById('status-text').textContent.includes('to 12:02')")
    assert set(await tab.run(FIGURES_SAY)) == {"Loading…"}, "two minutes are no hour"
    await tab.run("__release()")
    await ready(tab)
    await tab.run("document.querySelector('.slider').focus()")
    await tab.press("Home", 36)
    await tab.until("/posts/.test(document.getElementById('reading').textContent)")
    await tab.until("!/no posts/.test(document.getElementById('reading').textContent)")


async def test_the_small_curves_move_on_while_the_page_is_open(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(calm())
    tab = await browse(page, "about:blank")
    await tab.run_first(
        "const real = CanvasRenderingContext2D.prototype; const { beginPath, lineTo } = real;"
        "const first = (ink) => ink.canvas === document.querySelector('.spark');"
        "real.beginPath = function () { if (first(this)) globalThis.__line = [];"
        " return beginPath.call(this); };"
        "real.lineTo = function (x, y) { if (first(this)) __line.push(y / this.canvas.height);"
        " return lineTo.call(this, x, y); };"
    )
    await tab.open(page.url)
    await tab.until("globalThis.__line?.length > 3")
    assert await tab.run("Math.min(...__line)") > 0.3
    page.source.break_out()
    page.source.advance(30)
    await tab.until("Math.min(...__line) < 0.2")


async def test_the_first_track_is_shown_as_soon_as_there_is_one_and_no_longer_than_it_is(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(MadeUp(tracks=0, hours=1, storm_minutes=0))
    tab = await browse(page)
    await tab.until("document.getElementById('mood-track').textContent === 'No tracks yet'")
    page.source.names = ("trains", "planes")
    page.source.advance(1)
    await tab.until("document.getElementById('mood-track').textContent === 'trains'")
    page.source.names = ("planes",)
    page.source.push(TracksChanged(gone=("trains",)))
    await tab.until("document.getElementById('mood-track').textContent === 'planes'")
    await tab.until("document.querySelectorAll('.track').length === 1")


async def test_a_track_that_nobody_chose_is_left_once_it_is_silent_and_another_is_not(
    serve: Serve, browse: Browse
) -> None:
    """At a monitor's first start all posts are of "other", until the tags have their tracks."""
    page: Served = await serve(MadeUp(tracks=0, hours=1, storm_minutes=0))
    page.source.names = ("other",)
    page.source.advance(1)
    own, chosen = await browse(page), await browse(page, "/?track=other")
    for tab in (own, chosen):
        await tab.until("document.getElementById('mood-track').textContent === 'other'")
    page.source.names = ("trains",)
    page.source.advance(10)
    page.source.push(TracksChanged(tracks=(TrackState(track="other", condition="warming"),)))
    await own.until("document.getElementById('mood-track').textContent === 'trains'")
    assert "track=trains" in await own.run("location.search")
    await chosen.until("/\\b0 posts/.test(document.querySelector('.track').textContent)")
    assert await chosen.run("document.getElementById('mood-track').textContent") == "other"


async def test_before_the_first_track_the_page_says_so(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=0, hours=1, storm_minutes=0))
    tab = await browse(page)
    assert "minute" in await tab.until(
        "document.getElementById('mood-track').textContent === 'No tracks yet'"
        " && document.getElementById('mood-sentence').textContent"
    )


async def test_the_figures_on_an_axis_are_what_they_stand_for(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=10, hours=2))
    tab = await browse(page, "about:blank")
    await tab.run_first(
        "const real = CanvasRenderingContext2D.prototype.fillText; globalThis.__drawn = [];"
        "CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {"
        " if (this.canvas.closest('[data-chart=posts]') && !text.includes(':'))"
        " __drawn.push(Number(text)); return real.call(this, text, x, y); };"
        # Each drawing begins so, and may have another scale than the one before.
        "const clear = CanvasRenderingContext2D.prototype.clearRect;"
        "CanvasRenderingContext2D.prototype.clearRect = function (...place) {"
        " if (this.canvas.closest('[data-chart=posts]')) __drawn.length = 0;"
        " return clear.apply(this, place); };",
    )
    await tab.open(page.url + "/?track=app+update")  # few posts a minute: an axis of halves
    await ready(tab)
    labels = sorted(set(await tab.run("__drawn")))
    assert len(labels) > 2
    assert len({high - low for low, high in pairwise(labels)}) == 1
