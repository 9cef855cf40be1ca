"""The same words get the same score, whether they come as plain text or as HTML."""

import pytest

from bench.html_posts import HTML, PLAIN
from consumer.settings import Settings
from emostream.one_text import read_one
from infra.tgi import ServerSettings, TgiServer

PAIRS = [
    (PLAIN, HTML),
    ("I love this & that so much! 😀", "<p>I love this &amp; that so much! &#128512;</p>"),
    ("Furious.\n\nNobody answers.", "<p>Furious.</p><p>Nobody answers.</p>"),
    ("So sad\nthat it is over", "<p>So <b>sad</b><br>that it is <em>over</em></p>"),
]


@pytest.mark.parametrize(("plain", "html"), PAIRS, ids=["mastodon", "entities", "lines", "inline"])
async def test_the_small_model_gives_both_the_same_score(plain: str, html: str) -> None:
    async with TgiServer(ServerSettings(port=0)) as server:
        settings = Settings.model_validate({"model": {"servers": [server.url], "wait_s": 60}})
        one, other = await read_one(settings, plain), await read_one(settings, html)
    assert one.text == other.text == plain
    assert one.sentiment == other.sentiment
    assert one.emotions == other.emotions
    assert one.intensity == other.intensity


async def test_the_markup_read_as_text_would_have_scored_otherwise() -> None:
    """So the test above can fail: it is the reading of HTML that makes them equal."""
    happy, markup = "What a day, I am so happy!", "<p>What a day, I am so <b>happy</b>!</p>"
    async with TgiServer(ServerSettings(port=0)) as server:
        settings = Settings.model_validate({"model": {"servers": [server.url], "wait_s": 60}})
        plain = await read_one(settings, happy)
        marked = await read_one(settings, f"x {markup}")  # so it isn't taken for HTML
    assert marked.text == f"x {markup}"
    assert marked.sentiment != plain.sentiment
