"""How the entries of a feed are read: encodings, entities, characters that XML forbids."""

import pytest

from producer.live.feed.entries import NotAFeed, read_entries
from producer.live.feed.fetcher import Fetched
from producer.live.items import Found
from tests.producer.live.test_feed import rss


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-7", "cp037"])
def test_a_feed_with_entities_of_its_own_is_refused_in_any_encoding(encoding: str) -> None:
    """Some bytes of them become megabytes, or read a file."""
    text = rss(1).decode().replace("version='1.0'", f"version='1.0' encoding='{encoding}'")
    text = text.replace("<rss", "<!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><rss")
    kind = f"application/xml; charset={encoding}"
    fetched = Fetched(text.encode(encoding), kind, "https://example.org/x")
    with pytest.raises(NotAFeed):
        read_entries(fetched, feed="f", source="s")


@pytest.mark.parametrize(
    ("declared", "hidden"),
    [
        ('encoding="unicode_escape"', b"\\x3c!ENTITY"),
        ('encoding="iso-2022-jp"', b"<!EN\x1b(BTITY"),
        ('encoding="hz"', b"<!EN~\nTITY"),
        (" " * 600 + 'encoding="utf-7"', b"+ADw-!ENTITY"),
        ('encoding="utf-8" encoding="utf-7"', b"+ADw-!ENTITY"),
    ],
    ids=["escaped", "shifted", "tilde", "late", "twice"],
)
def test_entities_that_an_encoding_hides_are_found(declared: str, hidden: bytes) -> None:
    head = f"<?xml version='1.0' {declared}?>".encode()
    entity = b"<!DOCTYPE rss [" + hidden + b' x "' + b"much " * 100 + b'">]>'
    body = rss(1).partition(b"?>")[2].replace(b"<title>", b"<title>&x;")
    fetched = Fetched(head + entity + body, "application/xml", "https://example.org/x")
    with pytest.raises(NotAFeed):
        read_entries(fetched, feed="f", source="s")


@pytest.mark.parametrize("encoding", ["punycode", "IDNA", "PunyCode"])
@pytest.mark.parametrize("where", ["type", "declaration"])
def test_an_encoding_that_takes_hours_is_refused_before_it_is_tried(
    encoding: str, where: str
) -> None:
    head = f"<?xml version='1.0' encoding='{encoding}'?>" if where == "declaration" else ""
    kind = "application/xml" + (f"; charset={encoding}" if where == "type" else "")
    body = head.encode() + b"<rss/>-" + b"kva" * 1_000_000
    with pytest.raises(NotAFeed):
        read_entries(Fetched(body, kind, "https://example.org/x"), feed="f", source="s")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "shift_jis"])
def test_a_feed_is_read_in_the_encoding_that_it_names(encoding: str) -> None:
    text = (
        rss(1, text="r").decode().replace("version='1.0'", f"version='1.0' encoding='{encoding}'")
    )
    fetched = Fetched(text.encode(encoding), "application/xml", "https://example.org/x")
    (item,) = read_entries(fetched, feed="f", source="s")
    assert isinstance(item, Found)
    assert item.post.text == "r 1\n\nmore & more"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("&#xD83D;&#xDE00;", "\U0001f600"),
        ("&#55357;&#56832;", "\U0001f600"),
        ("&#xD800;", "\ufffd"),
        ("&#x110000;&#65;", "\ufffdA"),
        ("&#xE9;&amp;#xD800;", "\xe9\ufffd"),
    ],
)
def test_a_character_that_xml_forbids_costs_nothing_but_itself(written: str, read: str) -> None:
    fetched = Fetched(rss(1, 2, text=written), "application/xml", "https://example.org/x")
    items = read_entries(fetched, feed="f", source="s")
    texts = [item.post.text for item in items if isinstance(item, Found)]
    assert texts == [f"{read} {number}\n\nmore & more" for number in (1, 2)]
