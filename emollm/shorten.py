"""Fitting a text into so many tokens, without the model's tokenizer.

The estimate errs on the safe side: a prompt that is too long is refused by the server, and the
post would be lost; a text that is cut a little early still gets an answer.
"""

import re
import unicodedata
from collections import Counter
from typing import Final

MAX_CHARS_PER_TOKEN: Final = 2
"""No character counts for less than half a token."""

_USUAL_WORD: Final = 12
"""Longer runs of letters are often not words (keys, base64, shouts): every letter counts as a
token. Random lower-case runs of up to 12 letters stay within the estimate (BERT's WordPiece)."""

_SHAPES: Final = bytes(
    ord("A") if chr(byte).isupper() else ord("a") if chr(byte).islower() else ord(" ")
    for byte in bytes(range(128))
).ljust(256)
"""Of each byte: whether it is a capital, a small letter or neither."""
_PIECE: Final = re.compile(r"[A-Za-z]+|[^\x00-\x7f]+|[^A-Za-z]")
_MAX_CLUSTER: Final = 32
"""A visible character has at most so many code points worth keeping together (families of emoji
have 11); beyond that (stacked accents) cutting inside does no harm."""


def estimate_tokens(text: str) -> int:
    """Return a safe estimate of a stranger's text's tokens in any of the models' vocabularies.

    Byte-level and byte-fallback vocabularies (LLaMA, OPT, BART, BLOOM) never take more than one
    token a UTF-8 byte, T5 and BERT not more than one a character. Words written as words (lower
    case or capitalised, up to 12 letters) take at most one for two letters in practice; so:
    half a token a letter in these, one for every other ASCII character, spaces included, and one
    a byte for everything else (3 for CJK, 4 for emoji). English prose comes out at about three
    times its tokens.
    """
    # All bytes, less what the usual words save. Long texts have few shapes of words, so they are
    # counted by shape: ten times as fast as piece by piece.
    encoded = text.encode("utf-8", "surrogatepass")
    shapes = Counter(encoded.translate(_SHAPES).split())
    return len(encoded) - sum(
        times * (len(shape) // 2) for shape, times in shapes.items() if _is_usual(shape)
    )


def instruction_tokens(instruction: str) -> int:
    """Return a safe estimate of an instruction's tokens: plain prose, one token for 3 letters.

    The benchmark's wordings take one for four to five letters.
    """
    encoded = len(instruction.encode())
    foreign = encoded - sum(character.isascii() for character in instruction)
    return -(-(encoded - foreign) // 3) + foreign


def shorten(text: str, max_tokens: int) -> str:
    """Cut words off the end until the estimate fits; the text itself where it does.

    Where there is no space in the latter half (CJK, a run-on) it is cut between two characters, but
    not inside an emoji or an accented letter. O(max_tokens), however long the text is.
    """
    if len(text) * (1 if text.isascii() else 4) <= max_tokens:
        return text
    start, used = _surely_fits(text, max_tokens)
    space = max(start - 1, 0)
    for found in _PIECE.finditer(text, start):
        piece = found[0]
        if piece.isspace():
            space = found.start()
        cost = _cost(piece)
        if used + cost > max_tokens:
            end = found.start() + _fitting(piece, max_tokens - used)
            return text[: space if space * 2 >= end else _between_clusters(text, end)].rstrip()
        used += cost
    return text


def _surely_fits(text: str, max_tokens: int) -> tuple[int, int]:
    """A place behind a space, near the last that fits, and the estimate up to there."""
    start, used, end = 0, 0, len(text)
    while end - start > 64:
        middle = text.rfind(" ", start, (start + end) // 2) + 1
        if middle <= start:
            break
        cost = estimate_tokens(text[start:middle])
        if used + cost > max_tokens:
            end = middle
        else:
            start, used = middle, used + cost
    return start, used


def _cost(piece: str) -> int:
    if not piece.isascii():
        return len(piece.encode("utf-8", "surrogatepass"))
    return (len(piece) + 1) // 2 if _is_usual(piece) else len(piece)


def _is_usual(word: str | bytes) -> bool:
    return len(word) <= _USUAL_WORD and (word.islower() or word.istitle())


def _fitting(piece: str, tokens: int) -> int:
    """How many characters of a piece that is too long for `tokens` fit."""
    if piece.isascii():
        return min(tokens, len(piece))
    return len(piece.encode("utf-8", "surrogatepass")[:tokens].decode("utf-8", "ignore"))


def _between_clusters(text: str, end: int) -> int:
    for cut in range(end, max(end - _MAX_CLUSTER, 0), -1):
        joined = text[cut - 1] == "\u200d" or _joins(text[cut : cut + 1])
        if not joined:
            return cut
    return end


def _joins(character: str) -> bool:
    """Whether a character belongs to the one before it: marks, joiners, skin tones."""
    return bool(character) and (
        character == "\u200d"
        or unicodedata.category(character) in {"Mn", "Me", "Mc"}
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
