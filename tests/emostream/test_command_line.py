"""The command line: help, exit statuses, what scripts read."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import IO

import pytest

from consumer.settings import load
from emostream.command_line import make_app

COMMANDS = [
    *("demo", "consume", "monitor", "events", "alerts", "doctor", "topics", "dlq", "produce"),
    *("offsets", "serve", "broker", "plan", "models", "schemas", "predict", "evaluate"),
]


def run(
    *words: str, env: dict[str, str] | None = None, stdout: IO[bytes] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EMOSTREAM_")}
    return subprocess.run(
        [sys.executable, "-m", "emostream", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        env={**clean, **(env or {}), "NO_COLOR": "1"},
    )


def test_the_overview_has_a_line_for_each_command() -> None:
    shown = run("--help").stdout
    for command in COMMANDS:
        (line,) = [line for line in shown.splitlines() if f"│ {command} " in line]
        assert len(line.split()) > 5


@pytest.mark.parametrize(
    "words",
    [
        *(
            "demo",
            "consume",
            "events",
            "alerts",
            "doctor",
            "serve",
            "broker",
            "models",
            "evaluate",
            "predict",
            "topics create",
        ),
        *("dlq list", "dlq show", "dlq replay", "offsets skip"),
        "models for-tgi",
        *("alerts ack", "alerts note", "alerts mute", "alerts false"),
        "events export",
        "plan",
        "monitor",
        "monitor notify",
        "monitor backtest",
        *("produce replay", "produce load", "produce tweets"),
        *("schemas list", "schemas show", "schemas write"),
    ],
)
def test_help_has_examples(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_app(overview=False)([*words.split(), "--help"])
    shown = capsys.readouterr().out
    assert f"emostream {words}" in shown.split("Examples")[1]


@pytest.mark.parametrize(
    "words",
    [*COMMANDS, "train", "ask", "dlq list", "produce load", "alerts ack", "events export"],
)
def test_help_says_a_line_of_each_command_and_no_default_in_pythons_words(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_app(overview=False)([*words.split(), "--help"])
    shown = capsys.readouterr().out
    text = " ".join(shown.replace("│", " ").split())
    for python in ("False]", "()]", ",)]", "None]", '""]'):
        assert f"[default: {python}" not in text
    assert text.count("[default: all] [") == 0
    if "─ Commands ─" in shown:
        panel = shown.split("─ Commands ─")[1].split("╰")[0].splitlines()[1:]
        commands = [line for line in panel if line.strip("│")[1] != " "]  # others go on with one
        assert commands
        assert all(len(line.strip("│ ").split()) > 2 for line in commands), panel


@pytest.mark.parametrize("words", ["nonsense", "demo --posts many", "demo --posts 0", "dlq"])
def test_wrong_usage_is_status_2_or_help(words: str) -> None:
    done = run(*words.split())
    if words == "dlq":
        assert "Commands" in done.stdout
    else:
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_wrong_configuration_is_status_2_and_says_what_to_change(tmp_path: Path) -> None:
    config = tmp_path / "emostream.toml"
    config.write_text('[kafka]\nbootstap = "localhost:9092"\n', encoding="utf-8")
    done = run("consume", "--config", str(config))
    assert done.returncode == 2
    assert "did you mean bootstrap?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    done = run("produce", "load", "--count", "1", "--bootstrap", "127.0.0.1:1")
    assert done.returncode == 1
    assert "emostream broker" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_configuration_loads_as_it_is(tmp_path: Path) -> None:
    done = run("consume", "--example")
    assert tomllib.loads(done.stdout)["kafka"]["bootstrap"]
    config = tmp_path / "emostream.toml"
    config.write_text(done.stdout, encoding="utf-8")
    load(config, {})


def test_models_are_shown_in_a_narrow_terminal_with_their_launch_commands() -> None:
    shown = run("models", env={"COLUMNS": "80"})
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert "emostream serve --model-id lzw1008/Emobart-large --port 3000" in lines
    assert all(len(line) <= 80 for line in lines if not line.startswith(("docker", "vllm")))


def test_models_are_one_json_list() -> None:
    names = [model["name"] for model in json.loads(run("models", "--json").stdout)]
    assert "Emollama-chat-7b" in names
    assert "emostream-small" in names


@pytest.mark.parametrize(("named", "printed"), [("", "😮é".encode()), ("latin-1", b"?\xe9")])
def test_any_text_is_printed_in_any_locale(named: str, printed: bytes) -> None:
    """The first emoji ended `events` with a traceback."""
    words = "import sys, cyclopts, emostream.command_line as m; sys.argv = ['emostream']"
    words += "; app = cyclopts.App(); app.default(lambda: print(chr(0x1F62E) + chr(0xE9)))"
    words += "; m.make_app = lambda **_: app; m.main()"
    locale = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    if named:
        locale["PYTHONIOENCODING"] = named
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, **locale},
    )
    assert done.stdout.strip() == printed, done.stderr


def test_doctor_says_what_is_missing() -> None:
    """Neither broker nor model server: a line each, with what to do, and status 1."""
    done = run(
        "doctor",
        "--json",
        env={
            "EMOSTREAM_KAFKA__BOOTSTRAP": "127.0.0.1:1",
            "EMOSTREAM_MODEL__SERVERS": "http://127.0.0.1:1",
        },
    )
    assert done.returncode == 1
    states = {finding["part"]: finding["state"] for finding in json.loads(done.stdout)}
    assert states == {
        "configuration": "ok",
        "broker": "bad",
        "topics": "skipped",
        "server http://127.0.0.1:1": "bad",
        "canary": "skipped",
    }


def test_schemas_are_shown_and_written(tmp_path: Path) -> None:
    shown = json.loads(run("schemas", "show", "affect_event").stdout)
    assert shown["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    run("schemas", "write", str(tmp_path))
    assert {path.name for path in tmp_path.rglob("*.json")} >= {
        "post.v1.schema.json",
        "asyncapi.json",
    }
    assert run("schemas", "show", "nothing").returncode == 2


def test_a_bloom_checkpoint_is_rewritten_for_tgi_or_refused_in_a_sentence(tmp_path: Path) -> None:
    source, target = tmp_path / "bloom", tmp_path / "out"
    source.mkdir()
    (source / "config.json").write_text('{"model_type": "bloom"}')
    name = b'{"transformer.ln_f.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    whole = len(name).to_bytes(8, "little") + name + b"\x00\x00\x80\x3f"
    (source / "model.safetensors").write_bytes(whole)
    done = run("models", "for-tgi", str(source), str(target))
    assert done.returncode == 0, done.stderr
    assert "1 names changed" in done.stdout
    assert b'"ln_f.bias"' in (target / "model.safetensors").read_bytes()
    again = run("models", "for-tgi", str(source), str(target))
    assert again.returncode == 2
    assert "isn't empty" in again.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_a_sentence(unbuffered: str) -> None:
    """Buffered, Python writes at its end only: what is lost there was no failure of ours."""
    if not Path("/dev/full").exists():
        pytest.skip("a device of Linux")
    with Path("/dev/full").open("wb") as full:
        done = run("models", "--json", env={"PYTHONUNBUFFERED": unbuffered}, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "emostream: the output can't be written: No space left on device\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["models"], ["models", "--json"]])
def test_a_reader_that_has_gone_is_no_failure(words: list[str], unbuffered: str) -> None:
    """As `| head`, also in a shell with pipefail."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as pipe:
        done = run(*words, env={"PYTHONUNBUFFERED": unbuffered}, stdout=pipe)
    assert (done.returncode, done.stderr) == (0, "")
