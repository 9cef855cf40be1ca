"""Texts that are the same but for what a repost changes."""

import re
import unicodedata

_NOISE = re.compile(r"https?://\S+|www\.\S+|@\w+")
_REPOST = re.compile(r"^rt\b:?\s*")
MIN_LENGTH = 12
"""Bytes of UTF-8: shorter texts ("so sad", one emoji) are alike by chance."""


_PUNCTUATION = bytes(code for code in range(128) if not chr(code).isalnum())


def repost_key(text: str) -> bytes | None:
    """Return a text without URLs, handles, `RT`, case, ASCII punctuation and spacing.

    None where too little is left to call two of them the same.
    """
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    if "http" in folded or "@" in folded or "www." in folded:
        folded = _NOISE.sub(" ", folded)
    if folded[:2] == "rt":
        folded = _REPOST.sub("", folded)
    key = folded.encode("utf-8", "surrogatepass").translate(None, _PUNCTUATION)
    return key if len(key) >= MIN_LENGTH else None
