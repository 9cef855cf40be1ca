"""Strangers' text on a terminal: what is invisible or moves the cursor is shown, not obeyed."""

import unicodedata
from datetime import UTC, datetime

_JOINERS = {"\u200c", "\u200d"}
"""They join emoji and Persian words, and hide nothing."""
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Control, format (the bidirectional ones among them), private use, surrogates, line ends."""


def visible(text: str) -> str:
    r"""Give it on one line, control and bidirectional characters as `\x1b` or `\u202e`."""
    return "".join(_shown(char) for char in " ".join(text.split()))


def local(moment: datetime) -> datetime:
    """Give it in this machine's time zone; in its own at the calendar's ends, which has no other.

    Without a time zone it is taken for this machine's (at the ends for UTC).
    """
    try:
        return moment.astimezone()
    except (OverflowError, ValueError):
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN or char in _JOINERS:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
