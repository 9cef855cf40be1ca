"""Names that somebody typed, and the one that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that is closest; None where none is close."""
    names = list(dict.fromkeys(known))
    close = get_close_matches(name, names, n=1)
    if not close:  # another case is no other name
        close = [one for one in names if one.lower() == name.lower()]
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give `; did you mean NAME?` for the closest known name; empty where none is close."""
    found = closest(name, known)
    return "" if found is None else f"; did you mean {found}?"
