"""Addresses of feeds: which may be asked, and what of them may be said."""

import pytest

from producer.live.feed import feed_url
from producer.live.feed.address import host_of, name_of, redirected, shown


def test_addresses_and_redirects_keep_to_the_web() -> None:
    for bad in (
        *("file:///etc/passwd", "example.org/feed", "https://me:pw@example.org/x", "data:,x"),
        *("", "http://", "https://[::1", "https://x.example:99999/f", "https://x y/f"),
    ):
        with pytest.raises(ValueError, match="an address"):
            feed_url(bad)
    here = "https://example.org/a?key=secret"
    assert redirected(here, "/b") == "https://example.org/b"
    assert redirected(here, "https://93.184.216.34/b") == "https://93.184.216.34/b"
    assert redirected(here, "https://10.1.2.3/b", to_private=True) == "https://10.1.2.3/b"
    for bad in (
        "file:///etc/passwd",
        "http://example.org/b",
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://localhost/x",
        *("https://LOCALHOST./x", "https://a.localhost/x", "https://2130706433/x"),
        *("https://127.1/x", "https://127.0.0.1./x", "https://[::ffff:10.0.0.1]/x"),
        "https://\u2460\u2461\uff17\u30020\u30020\u30021/x",  # 127.0.0.1 in other digits and dots
        "https://u:p@example.org",
        "https://[",
    ):
        assert redirected(here, bad) is None
    for secret in (here, "https://example.org/secret/feed.rss", "https://u:secret@example.org/a"):
        assert "secret" not in shown(secret) + name_of(secret) + host_of(secret)
        assert shown(secret).startswith("example.org~")
    assert name_of(here, "newsroom") == "feed:newsroom"
    assert name_of(here) != name_of("https://example.org/a?key=other")


def test_feeds_at_two_ports_of_one_host_are_two_sources() -> None:
    names = {name_of(f"http://localhost{port}/feed") for port in ("", ":8001", ":8002")}
    assert len(names) == 3
