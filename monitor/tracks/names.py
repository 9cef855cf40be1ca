"""Names of tracks that come from strangers: limited before they become labels, keys or state."""

import unicodedata

OTHER = "other"
"""The track that counts what the limits refuse a track of its own."""

MAX_NAME = 64
"""Characters. Longer tags are nearly always spam; a Prometheus label stays readable."""

MAX_TAGS = 64
"""Tags of one post that are looked at: more are spam, and would crowd out the tags of others."""

LONGEST_TAG = 4 * MAX_NAME
"""Characters: a longer tag isn't even normalised, which may make a text eighteen times as long."""


def clean_name(raw: str) -> str | None:
    """Return a tag as a track's name, or None where it makes none.

    NFKC, inner white space as one space. Control and format characters and more than 64
    characters make a tag unusable.
    """
    if raw.isascii() and raw.isalnum() and len(raw) <= MAX_NAME:  # nearly all of them
        return raw
    if len(raw) > LONGEST_TAG:
        return None
    name = " ".join(unicodedata.normalize("NFKC", raw).split())
    if not name or len(name) > MAX_NAME:
        return None
    if any(unicodedata.category(character)[0] == "C" for character in name):
        return None
    return name


def same_name(name: str) -> str:
    """Return what two spellings of one tag have in common: NFKC, case-folded, no leading `#`."""
    if not name.isascii() and len(name) <= LONGEST_TAG:
        name = unicodedata.normalize("NFKC", name)
    return name.casefold().removeprefix("#") or name
