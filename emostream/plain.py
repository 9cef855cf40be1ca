"""Strangers' text on a terminal: what is invisible or moves the cursor is shown, not obeyed."""

import unicodedata

_JOINERS = {"\u200c", "\u200d"}
"""They join emoji and Persian words, and hide nothing."""
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Control, format (the bidirectional ones among them), private use, surrogates, line ends."""


def visible(text: str) -> str:
    r"""Give it on one line, control and bidirectional characters as `\x1b` or `\u202e`."""
    return "".join(_shown(char) for char in " ".join(text.split()))


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN or char in _JOINERS:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
