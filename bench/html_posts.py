"""CPU of decoding one post: as plain text, and as the HTML that Mastodon makes of it.

    python -m bench.html_posts [posts]

A mention, a hashtag, a shortened link and two paragraphs: 589 characters with their markup. The two
take turns, and the least of five rounds counts, so that other work on the machine doesn't. One line
of JSON on stdout: microseconds a post.
"""

import json
import sys
import time
from typing import Any

from consumer.analysis.decoder import Decoded, Decoder
from consumer.records import Record
from consumer.settings import Input

PLAIN = (
    "@ann Third delay this week and nobody at the counter even looks up.\n\n"
    "I am so done with this airline! #travel social.example/news/2026/01/…"
)
HTML = (
    '<p><span class="h-card" translate="no"><a href="https://social.example/@ann"'
    ' class="u-url mention">@<span>ann</span></a></span> Third delay this week and nobody at the'
    " counter even looks up.</p><p>I am so done with this airline!"
    ' <a href="https://social.example/tags/travel" class="mention hashtag" rel="tag">#'
    '<span>travel</span></a> <a href="https://social.example/news/2026/01/31/delays"'
    ' target="_blank" rel="nofollow noopener" translate="no"><span class="invisible">https://'
    '</span><span class="ellipsis">social.example/news/2026/01/</span><span class="invisible">'
    "31/delays</span></a></p>"
)
_ROUNDS = 5


def record(text: str) -> Record:
    """A Mastodon status with this content."""
    status: dict[str, Any] = {
        "id": "1",
        "uri": "https://social.example/users/ben/statuses/1",
        "url": "https://social.example/@ben/1",
        "created_at": "2026-01-31T08:15:30.000Z",
        "language": "en",
        "visibility": "public",
        "spoiler_text": "",
        "content": text,
        "account": {"acct": "ben@social.example", "bot": False},
        "tags": [{"name": "travel"}],
    }
    return Record(
        topic="posts",
        partition=0,
        offset=0,
        epoch=0,
        timestamp_ms=0,
        received_at=0.0,
        key=None,
        value=json.dumps(status).encode(),
    )


def decode_us(decoder: Decoder, one: Record, posts: int) -> float:
    """Microseconds of CPU a post."""
    before = time.process_time()
    for _ in range(posts):
        decoder.decode(one)
    return (time.process_time() - before) / posts * 1e6


def main() -> None:
    """Measure, and write a line."""
    posts = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    decoder = Decoder(Input(preset="mastodon"))
    plain, html = record(PLAIN), record(HTML)
    read = [decoder.decode(one) for one in (plain, html)]
    assert all(isinstance(one, Decoded) and one.post.text == PLAIN for one in read)
    rounds = [
        (decode_us(decoder, plain, posts), decode_us(decoder, html, posts)) for _ in range(_ROUNDS)
    ]
    least_plain, least_html = (min(column) for column in zip(*rounds, strict=True))
    figures = {
        "plain_us": round(least_plain, 1),
        "html_us": round(least_html, 1),
        "html_more_us": round(least_html - least_plain, 1),
        "html_chars": len(HTML),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
