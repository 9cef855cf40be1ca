"""`emostream events export`, interrupted: what is there is whole, and it says how to go on."""

import asyncio
import signal
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="of `make test`, not `make unit-light`")

from tests.process import emostream


@pytest.mark.parametrize("held", [False, True])
async def test_an_interrupt_says_that_the_same_command_goes_on(
    silent_broker: tuple[str, asyncio.Event], tmp_path: Path, *, held: bool
) -> None:
    address, reached = silent_broker
    async with emostream(
        "events", "export", "--out", str(tmp_path), "--bootstrap", address
    ) as process:
        await reached.wait()
        if held:
            await process.hold_ctrl_c()
        else:
            process.signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.output == (
        f"interrupted: the files in {tmp_path} are whole; the same command goes on from here"
    )
