"""When an answer ends, by the rules of TGI's model server (its StoppingCriteria)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from infra.tgi.engine import Job
from infra.tgi.engines.answer import Answer


class Pieces:
    """A vocabulary of these tokens, numbered from 0."""

    eos_ids: frozenset[int] = frozenset()
    special_ids: frozenset[int] = frozenset()

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        del skip_special
        return "".join(self._pieces[one] for one in ids)


@pytest.mark.parametrize(
    ("pieces", "made"),
    [
        (["joy", ".", " more"], 2),
        (["joy", ".\n", " more"], 2),  # a `$` is before the last line break, too
        (["joy", ".\n\n", " more"], 3),
        (["joy", ". and", " more"], 3),
    ],
)
def test_a_stop_string_is_seen_at_a_tokens_end_alone(pieces: list[str], made: int) -> None:
    answer = Answer(Job([1], 3, stop=(".",)), Pieces(pieces))
    found = next(n for n in range(3) if answer.advance(n, 0.0)) + 1
    assert (found, answer.finish_reason) == (made, "length" if made == 3 else "stop_sequence")
