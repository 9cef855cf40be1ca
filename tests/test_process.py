"""What other tests rely on when they start a program."""

import asyncio
import signal
import sys

import pytest

from tests.process import Process


def python(code: str) -> Process:
    return Process(sys.executable, "-u", "-c", code)


async def test_a_line_that_never_comes_is_a_failure_that_shows_the_output() -> None:
    async with python("import sys; print('one'); print('two', file=sys.stderr)") as process:
        assert await process.wait_for_line("one") == "one"
        with pytest.raises(AssertionError, match=r"(?s)ended without 'three'.*\ntwo"):
            await process.wait_for_line("three")
    assert (process.status, process.stdout, process.stderr) == (0, ["one"], ["two"])


async def test_what_fails_in_the_block_shows_the_output() -> None:
    async def fails() -> None:
        async with python("print('one'); raise SystemExit(3)") as process:
            await process.wait()
            raise ValueError("another matter")

    with pytest.raises(ValueError, match="another") as failed:
        await fails()
    (note,) = failed.value.__notes__
    assert note.endswith("had ended with status 3; its output:\none")


async def test_the_second_line_with_a_text_is_waited_for() -> None:
    async with python("print('a 1'); print('b'); print('a 2')") as process:
        assert await process.wait_for_line("a", times=2) == "a 2"
        assert await process.wait_for_line("a") == "a 1"


async def test_nothing_that_it_started_outlives_the_block() -> None:
    """Its child holds the pipes, too: the block ends once both have gone."""
    code = "import os, time; os.fork(); os.write(1, b'up\\n'); time.sleep(600)"
    async with asyncio.timeout(60), python(code) as process:
        await process.wait_for_line("up", times=2)
        process.signal(signal.SIGSTOP)
    assert process.status == -signal.SIGKILL


async def test_settings_of_this_machine_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSTREAM_KAFKA__BOOTSTRAP", "elsewhere:9092")
    code = "import os; print([one for one in os.environ if one.startswith('EMOSTREAM_')])"
    async with python(code) as process:
        assert await process.wait() == 0
    assert process.stdout == ["[]"]
