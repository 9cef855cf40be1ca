"""How a producer's run is told."""

import asyncio
from typing import Any

import msgspec
import pytest

from emostream.producer_runner import run_producer
from producer import BadLine, Observer, Report


def run(**of_report: Any) -> int:
    """Run a producer whose report says this."""
    nothing = Report(
        sent=0, acked=0, failed=0, bad_lines=0, bad_samples=(), errors={}, kinds={}, seconds=0.1
    )

    async def produce(_observer: Observer, _stop: asyncio.Event) -> Report:
        return msgspec.structs.replace(nothing, **of_report)

    return run_producer(produce, total=None, as_json=False)


def test_what_a_file_says_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets in a column's name are no markup, and no error."""
    samples = (BadLine(line=2, reason="[bold]2 cells"),)
    failure = "no column id; it has: [/red], :cat:"
    assert run(bad_lines=1, bad_samples=samples, failure=failure) == 1
    told = capsys.readouterr().err
    assert "line 2: [bold]2 cells\n" in told
    assert "it has: [/red], :cat:\n" in told


def test_times_that_could_not_be_read_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(sent=1200, acked=1200, unreadable_times=1200) == 0
    assert "1,200 posts have a time in no form that is known" in capsys.readouterr().err
