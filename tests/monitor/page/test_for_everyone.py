"""The page for people with a keyboard, a phone, a screen reader."""

from typing import Any

import pytest

from tests.monitor.page.axe import violations
from tests.monitor.page.browsing import Browse, ready
from tests.monitor.page.conftest import Serve, Served
from tests.monitor.page.made_up import MadeUp

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
