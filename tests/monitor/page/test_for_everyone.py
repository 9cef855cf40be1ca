"""The page for people with a keyboard, a phone, a screen reader."""

from datetime import timedelta
from typing import Any

import pytest

from monitor.page.data import AlertChanged
from tests.monitor.page.axe import violations
from tests.monitor.page.browsing import Browse, ready
from tests.monitor.page.conftest import Serve, Served
from tests.monitor.page.made_up import END, MadeUp
from tests.monitor.page.stories import alert_of

PHONE = (390, 844)


@pytest.mark.parametrize("size", [(1440, 900), PHONE])
async def test_axe_finds_nothing(serve: Serve, browse: Browse, size: tuple[int, int]) -> None:
    page: Served = await serve(MadeUp(tracks=3, hours=1))
    tab = await browse(page, "/?range=live", size=size, phone=size == PHONE)
    await ready(tab)
    await tab.run("document.querySelector('.links button').click()")
    await tab.run("document.querySelector('.alert details').open = true")
    await tab.run("document.querySelector('.slider').focus()")
    await tab.press("Enter", 13)
    await tab.until("document.querySelectorAll('.post').length > 3")
    assert await violations(tab) == []
    await tab.prefer("dark")
    assert await violations(tab, rules=["color-contrast"]) == []
    await tab.press("Escape", 27)
    await tab.run("document.querySelector('[data-do=mute]').click()")
    await tab.until("document.querySelector('dialog[open]')")
    assert await violations(tab, "dialog") == []


async def test_the_accessibility_tree_tells_the_whole_page(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=3, hours=2))
    tab = await browse(page)
    await ready(tab)
    tree: list[dict[str, Any]] = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
    named: dict[str, list[str]] = {}
    for node in tree:
        if node.get("ignored"):
            continue
        role = node["role"]["value"]
        named.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert named["heading"][:3] == ["emostream", "Tracks", "kestrel air"]
    assert {"Share negative", "Valence", "Posts a minute", "Emotions", "Pipe", "Alerts"} <= set(
        named["heading"]
    )
    assert len(named["main"]) == len(named["navigation"]) == len(named["banner"]) == 1
    assert len(named["slider"]) == 4
    assert all("arrow keys" in name for name in named["slider"])
    values = await tab.run("[...document.querySelectorAll('.slider')].map((s) => s.ariaValueText)")
    assert all("% negative" in value and "posts" in value for value in values)
    assert all(named["button"])
    assert all(named["link"])
    assert "Acknowledge kestrel air" in named["button"]
    assert len(named["figure"]) == 4


async def test_the_charts_are_read_and_their_posts_found_by_keyboard_alone(
    serve: Serve, browse: Browse
) -> None:
    page: Served = await serve(MadeUp(tracks=2, hours=2))
    tab = await browse(page)
    await ready(tab)
    for _ in range(40):
        await tab.press("Tab", 9)
        if await tab.run("document.activeElement.getAttribute('role')") == "slider":
            break
    words = "document.activeElement.getAttribute('aria-valuetext')"
    newest = await tab.run(words)
    assert newest.startswith("11:55–12:00")
    for _ in range(3):
        await tab.press("ArrowLeft", 37)
    assert (await tab.run(words)).startswith("11:52–11:57")
    assert (await tab.run("document.getElementById('reading').textContent")).startswith("11:52")
    await tab.press("Home", 36)
    assert (await tab.run(words)).startswith("10:55–11:00")
    await tab.press("End", 35)
    assert await tab.run(words) == newest
    await tab.press("Enter", 13)
    await tab.until("document.querySelectorAll('.post').length > 3")
    assert await tab.run("document.activeElement.id") == "posts"
    await tab.press("Escape", 27)
    await tab.until("document.getElementById('posts').hidden")
    assert await tab.run("document.activeElement.getAttribute('role')") == "slider"


async def test_a_phones_width_is_used(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=12, hours=2))
    tab = await browse(page, size=PHONE, phone=True)
    await ready(tab)
    assert await tab.run("document.documentElement.scrollWidth") <= PHONE[0]
    widths: dict[str, float] = await tab.run(
        "Object.fromEntries([...document.querySelectorAll('.figure, .plot, .heat, .alert, .now')]"
        ".map((e, i) => [e.className + i, e.getBoundingClientRect().width]))"
    )
    assert len(widths) > 8
    assert {name: width for name, width in widths.items() if width < 0.8 * PHONE[0]} == {}
    small = await tab.run(
        "[...document.querySelectorAll('.does button, .ranges button')]"
        ".map((b) => b.getBoundingClientRect()).filter((b) => b.height < 24 || b.width < 24).length"
    )
    assert small == 0


async def test_each_chart_has_a_sentence_a_table_and_a_file(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=2, hours=2))
    tab = await browse(page)
    await ready(tab)
    await tab.run("document.querySelectorAll('.links button').forEach((b) => b.click())")
    charts: list[list[Any]] = await tab.run(
        "[...document.querySelectorAll('.figure')].map((f) => ["
        "f.querySelector('.sentence').textContent, f.querySelectorAll('tbody tr').length,"
        "f.querySelector('caption').textContent, f.querySelector('.links a').href])"
    )
    assert len(charts) == 4
    for sentence, rows, caption, link in charts:
        assert sentence.endswith(".")
        assert rows == 61
        assert "kestrel air, the last hour" in caption
        async with page.http.get(link) as answer:
            assert answer.status == 200
            assert len((await answer.text()).splitlines()) > 50


@pytest.mark.parametrize("size", [(1300, 900), (800, 900), (320, 640)])
async def test_no_figure_is_cut_off(serve: Serve, browse: Browse, size: tuple[int, int]) -> None:
    page: Served = await serve(MadeUp(tracks=3, hours=1))
    tab = await browse(page, size=size)
    await ready(tab)
    await tab.run("document.querySelectorAll('.alert details').forEach((d) => (d.open = true))")
    await tab.until("document.querySelector('.alert .evidence')")
    cut = await tab.run(
        "[...document.querySelectorAll("
        "'.tile :is(dt, .value, .beside), .alert, .figure .sentence, .reading')]"
        ".filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)"
        ".map((e) => e.textContent)"
    )
    assert cut == []


async def test_a_long_name_is_read_in_full(serve: Serve, browse: Browse) -> None:
    name = "customer service of the northern region " + "x" * 80
    page: Served = await serve(MadeUp(tracks=0, hours=1, storm_minutes=0, more=(name,)))
    tab = await browse(page)
    await tab.until("document.querySelector('#mood-track bdi')")
    assert await tab.run(
        "(() => { const e = document.getElementById('mood-track');"
        " return e.scrollWidth <= e.clientWidth; })()"
    )
    assert await tab.run("document.querySelector('.track-name').title") == name


async def test_the_alerts_follow_the_charts_and_not_the_sixtieth_track(
    serve: Serve, browse: Browse
) -> None:
    many = tuple(f"track {number}" for number in range(40))
    page: Served = await serve(MadeUp(tracks=20, hours=1, more=many))
    tab = await browse(page, size=(800, 900))
    await ready(tab)
    gap = await tab.run(
        "document.querySelector('.side').getBoundingClientRect().top"
        " - document.querySelector('.pipe').getBoundingClientRect().bottom"
    )
    assert 0 <= gap < 100


async def test_forced_colours_show_what_is_chosen(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=2, hours=1))
    tab = await browse(page)
    await tab.send(
        "Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}]
    )
    await ready(tab)
    looks = "['true', 'false'].map((one) => getComputedStyle(document.querySelector("
    pressed, other = await tab.run(looks + "`#ranges [aria-pressed=${one}]`)).backgroundColor)")
    assert pressed != other
    chosen, other = await tab.run(
        "['[aria-current]', ':not([aria-current])'].map((one) => getComputedStyle("
        "document.querySelector('.track' + one)).borderWidth)"
    )
    assert chosen != other


async def test_all_of_it_is_printed_however_wide_the_paper(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=12, hours=1))
    tab = await browse(page, size=(1300, 600))
    await ready(tab)
    await tab.send("Emulation.setEmulatedMedia", media="print")
    height, last = await tab.run(
        "[document.documentElement.scrollHeight,"
        " document.querySelector('.pipe').getBoundingClientRect().bottom + scrollY]"
    )
    assert height >= last > 600


async def test_alerts_of_one_moment_are_announced_together(serve: Serve, browse: Browse) -> None:
    page: Served = await serve(MadeUp(tracks=8, hours=1, storm_minutes=0))
    tab = await browse(page)
    await tab.until("document.querySelector('#status').dataset.state === 'live'")
    for name in page.source.names[:5]:
        alert = alert_of(name, END - timedelta(minutes=10), END, "firing")
        page.source.push(AlertChanged(alert=alert))
    heard = await tab.until("document.getElementById('heard').textContent")
    for name in page.source.names[:3]:
        assert f"Firing, critical: {name}." in heard
    assert heard.endswith("And 2 more.")
