"""How large a pattern is once its repetitions are written out, as its compiler does."""

from __future__ import annotations

import re

#: Characters and classes of a pattern written out. `regex` writes what must come a number of times
#: out so often: 20,000 take it a tenth of a second, `a{1000000000}` all the memory there is.
MAX_SIZE = 20_000

_DIGITS = 10
_TIMES = re.compile(r"\{(\d+)(?:,\d*)?\}")
_ESCAPE_OR_END = re.compile(r"\\.|\]", re.DOTALL)


def written_out(pattern: str) -> int:
    """Count the characters and classes of a pattern, each as often as it has to come.

    An estimate that is never too low; a pattern that doesn't compile has one, too.
    """
    outer: list[int] = []
    size = last = at = 0  # of the group that is open, and of what came last in it
    while at < len(pattern):
        char = pattern[at]
        if char == "(":
            outer.append(size)
            size = last = 0
        elif char == ")":
            last = max(1, size)
            size = last + (outer.pop() if outer else 0)
        elif char == "{" and (times := _TIMES.match(pattern, at)):
            often = max(1, int(times[1])) if len(times[1]) < _DIGITS else MAX_SIZE + 1
            size += last * (often - 1)
            last *= often
            at = times.end() - 1
        else:
            size, last = size + 1, 1
            if char == "\\":
                at += 1
            elif char == "[":
                at = _end_of_class(pattern, at)
        at += 1
    return size + sum(outer)


def _end_of_class(pattern: str, start: int) -> int:
    """Where the class ends that begins here; a bracket right after its start is one of its own."""
    at = start + 1
    if pattern[at : at + 1] == "^":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while (found := _ESCAPE_OR_END.search(pattern, at)) is not None:
        if found[0] == "]":
            return found.start()
        at = found.end()
    return len(pattern)
