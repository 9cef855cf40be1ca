"""Names that somebody typed, and the one that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give `; did you mean NAME?` for the known name that is closest; empty where none is close."""
    names = list(dict.fromkeys(known))
    close = get_close_matches(name, names, n=1)
    if not close:  # another case is no other name
        close = [one for one in names if one.lower() == name.lower()]
    return f"; did you mean {close[0]}?" if close else ""
