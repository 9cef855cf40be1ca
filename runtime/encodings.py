"""How a file of text says that it isn't in UTF-8."""

import codecs


def is_utf16(start: bytes) -> bool:
    """Whether a file that begins so has the byte order mark of UTF-16, as Windows writes it."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
