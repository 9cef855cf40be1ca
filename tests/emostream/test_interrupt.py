"""Ctrl-C in a command: in order, and at once when it is pressed again."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from emostream.interrupt import run
from tests.process import Process, emostream

_WORK = """
import asyncio
import sys

from emostream.interrupt import run


async def work() -> None:
    try:
        print("working", flush=True)
        await asyncio.Event().wait()
    finally:
        print("cleaning up", flush=True)
        if len(sys.argv) > 1:
            await asyncio.Event().wait()
        print("clean", flush=True)


try:
    run(work(), sentence="interrupted")
except KeyboardInterrupt:
    sys.exit(130)
"""

_PRESSED_WHILE_ENDING = """
import os
import signal

from emostream.interrupt import run

write = os.write
left = [signal.SIGINT] * 3


def write_and_press(file: int, words: bytes) -> None:
    write(file, words)
    if left:
        signal.raise_signal(left.pop())


os.write = write_and_press


async def work() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


run(work(), sentence="interrupted")
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    file = tmp_path / "program.py"
    file.write_text(_WORK)
    return str(file)


def command(*words: str) -> Process:
    return Process(sys.executable, *words, environment={"PYTHONPATH": "."})


async def test_the_first_ctrl_c_lets_the_work_clean_up(program: str) -> None:
    async with command(program) as process:
        await process.wait_for_line("working")
        process.signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.stdout == ["working", "cleaning up", "clean"]
    assert process.stderr == ["interrupted"]


async def test_the_second_one_ends_a_cleanup_that_hangs(program: str) -> None:
    async with command(program, "hang") as process:
        await process.wait_for_line("working")
        process.signal(signal.SIGINT)
        await process.wait_for_line("cleaning up")
        process.signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.stdout == ["working", "cleaning up"]
    assert process.stderr == ["interrupted"]


async def test_one_that_breaks_into_the_end_says_nothing_more(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(_PRESSED_WHILE_ENDING)
    async with command(str(file)) as process:
        assert await process.wait() == 130
    assert process.stderr == ["interrupted"]


def test_what_ends_by_itself_leaves_ctrl_c_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def work() -> int:
        return 7

    async def failing() -> None:
        raise ValueError("no")

    assert run(work()) == 7
    with pytest.raises(ValueError, match="no"):
        run(failing())
    assert signal.getsignal(signal.SIGINT) is before


_PRESSED_AT_THE_VERY_END = """
import os
import signal
import sys
import threading

import cyclopts

from emostream import __main__, command_line

press, ctrl_c = signal.raise_signal, signal.SIGINT


class Last:
    def __del__(self, press=press, ctrl_c=ctrl_c):
        press(ctrl_c)


app = cyclopts.App()
kept = []


@app.default
def command() -> int:
    if os.environ["WHEN"] == "threads":
        wait = threading._shutdown
        threading._shutdown = lambda: (press(ctrl_c), wait())
    else:
        kept.append(Last())  # goes after Python has taken every handler away
    return 7


command_line.make_app = lambda *, overview: app
if os.environ["CTRL_C"] == "ignored":
    signal.signal(ctrl_c, signal.SIG_IGN)
sys.argv = ["emostream"]
__main__.main()
"""


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(("when", "status"), [("threads", 130), ("modules", 7)])
async def test_ctrl_c_once_a_command_has_ended_is_silent(
    tmp_path: Path, when: str, status: int, *, ignored: bool
) -> None:
    """It was a traceback, or Python's death by the signal."""
    file = tmp_path / "program.py"
    file.write_text(_PRESSED_AT_THE_VERY_END)
    environment = {"PYTHONPATH": ".", "WHEN": when, "CTRL_C": "ignored" if ignored else "caught"}
    async with Process(sys.executable, str(file), environment=environment) as process:
        assert await process.wait() == (7 if ignored else status)
    assert process.output == ""


@pytest.mark.parametrize("library", ["cyclopts", "pydantic"])
async def test_ctrl_c_in_the_middle_of_an_import_ends_it_silently(
    tmp_path: Path, library: str
) -> None:
    """Of what every command needs, and of what one does: their libraries made tracebacks of it."""
    waits = "import threading\nprint('importing', flush=True)\nthreading.Event().wait()\n"
    (tmp_path / f"{library}.py").write_text(waits)
    path = {"PYTHONPATH": str(tmp_path)}
    words = ("-m", "emostream", "doctor")
    async with Process(sys.executable, *words, environment=path) as process:
        await process.wait_for_line("importing")
        process.signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.output == "importing"


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "words", [("doctor",), ("events", "--follow"), ("alerts", "--follow"), ("dlq", "list")]
)
async def test_a_command_that_reads_kafka_ends_by_ctrl_c_without_a_traceback(
    silent_broker: tuple[str, asyncio.Event], words: tuple[str, ...], *, held: bool
) -> None:
    address, reached = silent_broker
    async with emostream(*words, "--bootstrap", address) as process:
        await reached.wait()
        if held:
            await process.hold_ctrl_c()
        else:
            process.signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.stderr == []


async def test_another_signal_ends_a_producer_that_waits_at_once(
    silent_broker: tuple[str, asyncio.Event],
) -> None:
    address, reached = silent_broker
    async with emostream("produce", "load", "--count", "1", "--bootstrap", address) as process:
        await reached.wait()
        process.signal(signal.SIGINT)
        process.signal(signal.SIGTERM)  # two of one kind might come as one
        assert await process.wait() == 130
    assert process.stderr == []


_FIRST_PROCESS = """
import os
import signal
import sys

os.getpid = lambda: 1
# As the kernel has it there: what nobody catches is dropped.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
from emostream import __main__, command_line

# In place of a command that is still being imported.
command_line.make_app = lambda *, overview: signal.raise_signal(signal.SIGTERM)
sys.argv = ["emostream", "consume"]
__main__.main()
"""


async def test_sigterm_ends_the_first_process_of_a_container_before_a_command_catches_it(
    tmp_path: Path,
) -> None:
    """Else `docker stop` waits out its whole grace period."""
    file = tmp_path / "first.py"
    file.write_text(_FIRST_PROCESS)
    async with command(str(file)) as process:
        assert await process.wait() == 143
    assert process.stderr == []
