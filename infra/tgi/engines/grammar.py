"""Answers held to a grammar: a regular expression.

TGI compiles a grammar into an automaton over the whole vocabulary (seconds). Here each candidate
token is tried against the pattern as it comes up, most likely first: nothing to compile, and a
model that keeps to the format by itself pays next to nothing.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

from infra.tgi.errors import EngineError

#: Seconds that one match may take: a client's pattern may backtrack without end.
_MATCH_SECONDS = 0.5


def available() -> bool:
    """Whether this installation can hold answers to a grammar (the `regex` package is there)."""
    return importlib.util.find_spec("regex") is not None


class Guide:
    """For an answer so far: whether it can still become a match, and whether it is one."""

    def __init__(self, pattern: str) -> None:
        try:
            # Not Python's own compiler: `(?i)` with wide ranges keeps that busy for minutes.
            self._pattern = _compiled(pattern)
        except Exception as error:  # regex.error and whatever else a hostile pattern raises
            raise EngineError(str(error)) from error

    def allows(self, text: str) -> bool:
        """Whether `text` is the beginning of a match, or one."""
        return self._match(text, partial=True)

    def complete(self, text: str) -> bool:
        """Whether `text` is a match."""
        return self._match(text, partial=False)

    def _match(self, text: str, *, partial: bool) -> bool:
        try:
            found = self._pattern.fullmatch(text, partial=partial, timeout=_MATCH_SECONDS)
        except TimeoutError as error:
            raise EngineError("the grammar takes too long to match") from error
        return found is not None


@functools.lru_cache(maxsize=32)
def _compiled(pattern: str) -> Any:
    import regex  # noqa: PLC0415

    return regex.compile(pattern)
