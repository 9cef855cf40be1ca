"""Posts of other people's shapes: found by paths, read leniently, by one rule everywhere.

A consumer that reads a topic and a producer that reads a file give the same post for the same JSON.
"""

from schemas.foreign.framing import name_framing
from schemas.foreign.html import html_to_text, looks_like_html
from schemas.foreign.paths import DottedPath
from schemas.foreign.presets import PRESETS, Preset
from schemas.foreign.reader import KEY, POSITION, FieldPaths, Html, NotAPost, PostReader, ReadPost
from schemas.foreign.values import read_text, read_time, read_topics

__all__ = [
    "KEY",
    "POSITION",
    "PRESETS",
    "DottedPath",
    "FieldPaths",
    "Html",
    "NotAPost",
    "PostReader",
    "Preset",
    "ReadPost",
    "html_to_text",
    "looks_like_html",
    "name_framing",
    "read_text",
    "read_time",
    "read_topics",
]
