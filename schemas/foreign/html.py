"""HTML of posts to text, as a browser shows it: Mastodon and its relatives send posts as HTML.

p, div, lists, …        lines of their own, paragraphs with a blank line between
td, th                  a space between them
br                      a line break
span.invisible          left out: Mastodon hides a link's scheme and tail in them
span.ellipsis           followed by "…", as its stylesheet does
p.quote-inline          left out: it repeats the link of a quoted post
script, style, …        left out, as is what a player or a frame says where there is none

Some 200 µs a status, most of it the walk through the nodes (`python -m bench.html_posts`).
"""

import re
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

_PARAGRAPHS = frozenset({"p", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6"})
_LINES = frozenset(
    {
        *("div", "li", "tr", "dt", "dd", "dl", "table", "caption", "hr", "center", "address"),
        *("section", "article", "header", "footer", "aside", "main", "nav"),
        *("figure", "figcaption", "details", "summary", "form", "fieldset", "legend", "option"),
    }
)
_CELLS = frozenset({"td", "th"})
_LEFT_OUT = frozenset(
    {
        *("script", "style", "template", "head", "title", "noscript", "svg"),
        *("iframe", "video", "audio", "canvas", "object"),
    }
)

_MOST_TAGS = 1_000
"""A status has some tens. The HTML standard makes parsing quadratic in nested ones, and a record
of a megabyte could hold 300,000: past this the tags are only cut out."""

_TAG = re.compile(r"<[^<>]*>")
_MARKUP = re.compile(
    r"<(p|div|span|a|br|blockquote|pre|ul|ol|em|strong|h[1-6])[\s/>].*>\s*",
    re.IGNORECASE | re.DOTALL,
)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANK_LINES = re.compile(r"\n{3,}")


def looks_like_html(text: str) -> bool:
    """Whether a post is markup as Mastodon writes it: it begins and ends with a tag."""
    return text.startswith("<") and _MARKUP.fullmatch(text) is not None


def html_to_text(html: str) -> str:
    """Give what a reader sees, entities resolved. Reads any text; never fails."""
    if html.count("<") > _MOST_TAGS:
        return unescape(_TAG.sub(" ", html)).strip()
    body = LexborHTMLParser(html).body
    out = _Text()
    # By hand instead of recursion: a post may be nested deeper than Python's stack.
    around: list[LexborNode] = []
    node = None if body is None else body.child
    while node is not None:
        child = out.enter(node)
        if child is not None:
            around.append(node)
            node = child
            continue
        while node.next is None and around:
            node = around.pop()
            out.leave(node)
        node = node.next
    return out.whole()


class _Text:
    """What was seen so far, and how many line breaks are due before the next words."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._due = 0

    def enter(self, node: LexborNode) -> LexborNode | None:
        """See a node; give its first child where there is one to see."""
        tag = node.tag
        if tag == "-text":
            self._say(node.text_content or "")
            return None
        if tag == "br":
            self._parts.append("\n")
            return None
        if tag in _LEFT_OUT:
            return None
        classes = (node.attributes.get("class") or "").split() if tag in {"span", "p"} else ()
        if "invisible" in classes or "quote-inline" in classes:
            return None
        self._break(tag)
        child = node.child
        if child is None:
            self.leave(node)
        return child

    def leave(self, node: LexborNode) -> None:
        """All of a node's children have been seen."""
        tag = node.tag
        if tag == "span" and "ellipsis" in (node.attributes.get("class") or "").split():
            self._say("…")
        elif tag in _CELLS:
            self._say(" ")
        self._break(tag)

    def whole(self) -> str:
        """Give the text, without space at line ends and with one blank line between paragraphs."""
        lines = (line.strip(" ") for line in "".join(self._parts).split("\n"))
        return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()

    def _break(self, tag: str | None) -> None:
        self._due = max(self._due, 2 if tag in _PARAGRAPHS else 1 if tag in _LINES else 0)

    def _say(self, text: str) -> None:
        text = _SPACES.sub(" ", text)
        if self._due and text.strip(" "):
            self._parts.append("\n" * self._due)
            self._due = 0
        self._parts.append(text)
