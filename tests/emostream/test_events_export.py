"""`emostream events export`, interrupted: what is there is whole, and it says how to go on."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="of `make test`, not `make unit-light`")

from emostream.__main__ import main
from emostream.commands import events_export


def test_an_interrupt_says_that_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(events_export, "_export", interrupted)
    monkeypatch.setattr(sys, "argv", ["emostream", "events", "export", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    assert ended.value.code == 130
    assert f"the files in {tmp_path} are whole; the same command goes on" in output.err
    assert output.out == ""
