"""Each record is an event or a documented dead letter; and the fuzzers would tell if it weren't."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consumer.analysis.decoder
import consumer.dead_letters
from emollm.readers import NumberReader
from tests.hostile import consume, targets
from tests.hostile.draws import HypothesisDraws, RandomDraws
from tests.hostile.fuzz import Fuzz, run, table

INPUTS = 3_000


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_input_and_no_answer_crashes_what_hypothesis_draws(data: st.DataObject) -> None:
    fuzz = Fuzz()
    try:
        fuzz.draw(HypothesisDraws(data))
    finally:
        fuzz.close()


def test_nor_what_is_drawn_by_a_seed() -> None:
    done = run(INPUTS, 11, None, lambda _line: None)
    ends = {end for _, end in done.tally}
    assert sum(done.tally.values()) == INPUTS
    assert ends > {"event", "NotJson", "NotUtf8", "TooDeep", "TooLarge", "Unanswered", "WrongType"}
    assert f"inputs {INPUTS:,}" in table(done)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    targets.close()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_targets_of_atheris_hold_without_it(name: str) -> None:
    draws = RandomDraws(random.Random(3))
    for _ in range(300):
        targets.TARGETS[name](draws)


def _quoting(value: bytes, _error: Exception) -> tuple[Any, str]:
    return consumer.dead_letters.Reason.NOT_JSON, value.decode(errors="replace")


def _unchecked(self: NumberReader, answer: str, emotion: str | None = None) -> Any:
    return float(answer) if answer.strip().isdecimal() else 0.5


def _raising(_record: Any) -> None:
    raise OverflowError


@pytest.mark.parametrize(
    ("where", "name", "mutant"),
    [
        (consumer.analysis.decoder, "_undecodable", _quoting),
        (consumer.analysis.decoder, "_record_time", _raising),
        (NumberReader, "read", _unchecked),
    ],
)
def test_a_broken_promise_is_found(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, mutant: Any
) -> None:
    """A message that quotes, an error that nobody foresaw, a number out of its range."""
    monkeypatch.setattr(where, name, mutant)
    with pytest.raises((AssertionError, OverflowError, msgspec.ValidationError)) as error:
        run(INPUTS, 1, None, lambda _line: None)
    assert any("repeats it" in note for note in error.value.__notes__)


# It took 53 s, with the start of its Kafka, at a load of 23. A stuck partition is seen by the run.
@pytest.mark.timeout(600)
async def test_the_whole_consumer_ends_each_record_once(bootstrap: str) -> None:
    """A real process, hostile records and a hostile model server; by set arithmetic."""
    report = await consume.run(bootstrap, 1_500, 5, lambda _line: None)
    assert report.verdict.wrong == []
    assert report.exit_code == 0, report.text()
    assert sum(report.verdict.ended.values()) == 1_500
    assert len({end for _, end in report.verdict.ended}) > 8
    assert sum(n for reply, n in report.replies.items() if reply.startswith("first try")) > 20
