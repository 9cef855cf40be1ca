"""How a producer's run is told."""

import asyncio

import pytest

from emostream.producer_runner import run_producer
from producer import BadLine, Observer, Report


def test_what_a_file_says_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets in a column's name are no markup, and no error."""
    report = Report(
        sent=0,
        acked=0,
        failed=0,
        bad_lines=1,
        bad_samples=(BadLine(line=2, reason="[bold]2 cells"),),
        errors={},
        kinds={},
        seconds=0.1,
        failure="no column id; it has: [/red], :cat:",
    )

    async def run(_observer: Observer, _stop: asyncio.Event) -> Report:
        return report

    assert run_producer(run, total=None, as_json=False) == 1
    told = capsys.readouterr().err
    assert "line 2: [bold]2 cells\n" in told
    assert "it has: [/red], :cat:\n" in told


def test_times_that_could_not_be_read_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(
        sent=1200,
        acked=1200,
        failed=0,
        bad_lines=0,
        bad_samples=(),
        errors={},
        kinds={},
        seconds=0.1,
        unreadable_times=1200,
    )

    async def run(_observer: Observer, _stop: asyncio.Event) -> Report:
        return report

    assert run_producer(run, total=None, as_json=False) == 0
    assert "1,200 posts have a time in no form that is known" in capsys.readouterr().err
