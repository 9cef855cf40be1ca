"""The command that looks for tests which fail at times."""

import sys
from pathlib import Path

import pytest

from tests.repeat import Rounds, depends_on_time, failed, main

HERE = Path(__file__).parent


def test_files_that_wait_for_a_clock_a_process_or_a_broker_depend_on_time() -> None:
    assert depends_on_time(HERE / "runtime" / "kafka" / "test_ordered.py")
    assert depends_on_time(HERE / "e2e" / "test_exit_status.py")
    assert not depends_on_time(HERE / "consumer" / "delivery" / "test_offsets.py")


def test_what_failed_is_read_off_what_pytest_says() -> None:
    said = "F.E\nFAILED tests/a.py::test_one - assert 1\nERROR tests/b.py::test_two[x]\n"
    assert failed(said) == ["tests/a.py::test_one", "tests/b.py::test_two[x]"]


def test_a_test_that_fails_at_times_is_named_with_the_seeds_of_its_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "test_turns.py"
    file.write_text(
        "from pathlib import Path\n"
        "def test_of_every_second_run() -> None:\n"
        f"    marks = Path({str(tmp_path)!r}) / 'marks'\n"
        "    with marks.open('a') as out: out.write('x')\n"
        "    assert len(marks.read_text()) % 2\n"
    )
    monkeypatch.setattr("tests.repeat._OUT", tmp_path / "out")
    rounds = Rounds(first_seed=40)
    rounds.run("turns", 2, [str(file), "-c", "/dev/null", "--rootdir", str(tmp_path)])
    ((test, seeds),) = rounds.failures.items()
    assert test.endswith("test_turns.py::test_of_every_second_run")
    assert seeds == [41]
    assert f"| {test} | 1 | 41 |" in rounds.report()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"41.txt"}


def test_the_files_are_named_without_running_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["repeat", "--list", "--only", "test_ordered"])
    assert main() == 0
    assert capsys.readouterr().out == "tests/runtime/kafka/test_ordered.py\n"
