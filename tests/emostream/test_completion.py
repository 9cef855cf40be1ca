"""Shell completion installs with one command, and completes commands and options."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def installed(home: Path, shell: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emostream", "--install-completion", "--shell", shell],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HOME": str(home), "ZDOTDIR": str(home)},
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    done = installed(tmp_path, "bash")
    assert done.returncode == 0, done.stderr
    assert "source ~/.bashrc" in done.stdout

    def completed(*words: str) -> list[str]:
        line = " ".join(words)
        script = (
            f"source {tmp_path}/.bashrc; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
            " _emostream; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        shown = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True
        )
        return shown.stdout.split()

    assert completed("emostream", "pro") == ["produce"]
    assert completed("emostream", "dlq", "l") == ["list"]
    assert completed("emostream", "dlq", "list", "--cl") == ["--class"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_one_too(shell: str, tmp_path: Path) -> None:
    done = installed(tmp_path, shell)
    assert done.returncode == 0, done.stderr
    scripts = [path for path in tmp_path.rglob("*emostream*") if path.is_file()]
    assert "produce" in scripts[0].read_text(encoding="utf-8")


def test_an_unknown_shell_is_wrong_usage_without_a_traceback(tmp_path: Path) -> None:
    done = installed(tmp_path, "dash")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
