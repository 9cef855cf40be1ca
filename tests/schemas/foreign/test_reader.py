"""Topics and files of any other shape are read by one rule."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.foreign import (
    DottedPath,
    FieldPaths,
    NotAPost,
    PostReader,
    html_to_text,
    looks_like_html,
    read_time,
)

TREE: dict[str, Any] = {"user": {"name": "deep", "langs": ["de", {"tag": "en"}]}, "a.b": "flat"} | {
    "tags": [{"name": "a"}, {"name": "b"}, 5],
    "facets": [{"features": [{"tag": "x"}]}, {"features": [{"tag": "y"}, {"uri": "z"}]}, {}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("user.name", "deep"),
        ("user.langs.0", "de"),
        ("user.langs.1.tag", "en"),
        ("a.b", "flat"),
        ("user.langs.2", None),
        ("user.langs.x", None),
        ("user.name.more", None),
        ("nobody", None),
        ("tags.*.name", ["a", "b"]),
        ("tags.*", [{"name": "a"}, {"name": "b"}, 5]),
        ("facets.*.features.*.tag", ["x", "y"]),
        ("user.*", None),
        ("", None),
        (None, None),
    ],
)
def test_a_path_leads_through_objects_and_lists_or_nowhere(path: str | None, found: object) -> None:
    assert DottedPath(path).find(TREE) == found


def test_a_key_with_dots_is_found_before_a_path_is_walked() -> None:
    assert DottedPath("a.b").find({"a.b": "flat", "a": {"b": "deep"}}) == "flat"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(_JSON)
def test_any_value_is_a_time_with_an_offset_or_a_value_error(value: object) -> None:
    with suppress(ValueError):
        assert read_time(value).tzinfo is not None


TWEET = {
    "id_str": "12",
    "full_text": "hi",
    "created_at": "Wed Oct 10 20:19:24 +0000 2018",
    "user": {"screen_name": "ann", "followers": 3},
    "entities": {"hashtags": [{"text": "x"}, {"text": "y"}]},
}


def test_every_field_is_found_by_its_path() -> None:
    reader = PostReader(
        FieldPaths(
            id="id_str",
            text="full_text",
            author="user.screen_name",
            topics="entities.hashtags.*.text",
            meta_values={"followers": "user.followers", "none": "x.y"},
        ),
        default_source="twitter",
    )
    post = reader.read(TWEET, position="f:1").post
    assert (post.id, post.text, post.author, post.source) == ("12", "hi", "ann", "twitter")
    assert post.topics == ("x", "y")
    assert post.meta == {"followers": 3}


def test_a_record_without_an_id_is_named_by_its_place_where_asked() -> None:
    reader = PostReader(FieldPaths(id="@position"))
    assert reader.read({"text": "x"}, position="f.csv:7").post.id == "f.csv:7"


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({"text": "x"}, "no id at id"),
        ({"id": "", "text": "x"}, "no id at id"),
        ({"id": True, "text": "x"}, "the id at id is no text"),
        ({"id": 1.5, "text": "x"}, "the id at id is no text"),
        ({"id": "1"}, "no text at text"),
        ({"id": "1", "text": 5}, "no text at text"),
        (["x"], "expected an object"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_fields_name(record: Any, error: str) -> None:
    with pytest.raises(NotAPost, match=error):
        PostReader().read(record, position="f:1")


HTML = {
    "paragraphs": ("<p>a</p><p>b</p>", "a\n\nb"),
    "line break": ("<p>a<br>b<br />c</p>", "a\nb\nc"),
    "entities": ("<p>a &lt;3 &amp; &quot;b&quot; &#39;c&#39;</p>", "a <3 & \"b\" 'c'"),
    "mention": (
        (
            '<p><span class="h-card" translate="no"><a href="https://social.example/@ann" '
            'class="u-url mention">@<span>ann</span></a></span> hi</p>'
        ),
        "@ann hi",
    ),
    "hashtag": (
        '<p>so <a href="x" class="mention hashtag" rel="tag">#<span>happy</span></a>!</p>',
        "so #happy!",
    ),
    "link": (
        (
            '<p><a href="https://news.example/a/long/path"><span class="invisible">https://</span>'
            '<span class="ellipsis">news.example/a/lo</span><span class="invisible">ng/path</span>'
            "</a></p>"
        ),
        "news.example/a/lo…",
    ),
    "quote": ('<p class="quote-inline">RE: <a href="x">x</a></p><p>so true</p>', "so true"),
    "list": ("<p>todo</p><ul><li>a</li><li>b</li></ul><p>end</p>", "todo\n\na\nb\n\nend"),
    "code": ("<pre><code>x = 1</code></pre><p>y</p>", "x = 1\n\ny"),
    "table": (
        "<table><tr><th>Place</th><th>Size</th></tr><tr><td>sea</td><td>5.2</td></tr></table>",
        "Place Size\nsea 5.2",
    ),
    "terms": (
        "<dl><dt>Time</dt><dd>noon</dd><dt>Depth</dt><dd>9 km</dd></dl>",
        "Time\nnoon\nDepth\n9 km",
    ),
    "sections": ("<section>a</section><section>b</section>c<hr>d", "a\nb\nc\nd"),
    "caption": (
        "<figure><img src=x><figcaption>rain</figcaption></figure>It poured",
        "rain\nIt poured",
    ),
    "player": ("<p>a</p><video>Your browser can't play it.</video><iframe>no frames</iframe>", "a"),
    "script": ("<p>a</p><script>alert(1)</script>", "a"),
    "text after a paragraph": ("<p>a</p>b", "a\n\nb"),
    "cut off": ("<p>a <em>b", "a b"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("html", "text"), HTML.values(), ids=HTML.keys())
def test_html_is_read_as_a_browser_shows_it(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    "text", ["I <3 you", "<3", "a <b> c", "<sarcasm>fun</sarcasm>", "1 < 2 >", ""]
)
def test_text_with_angle_brackets_is_no_html(text: str) -> None:
    assert not looks_like_html(text)


@pytest.mark.parametrize("piece", ["<div>", "<p><b>", "<a href=x>", "<table><td>", "<", "&amp;"])
def test_markup_without_end_is_read_in_bounded_time(piece: str) -> None:
    """Minutes before the bound: the HTML standard makes nested tags quadratic."""
    assert html_to_text(piece * 100_000 + "end").endswith("end")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_as_html_without_an_error(text: str) -> None:
    assert isinstance(html_to_text(text), str)
    assert isinstance(html_to_text(f"<p>{text}</p>"), str)
