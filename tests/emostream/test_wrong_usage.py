"""What was typed wrongly, or can't be reached, is one sentence and a status; never a traceback."""

import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from emostream.command_line import main

Emostream = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """A command sets logging up for its process, and this one has more to do."""
    root, aiokafka = logging.getLogger(), logging.getLogger("aiokafka")
    handlers, levels = root.handlers[:], (root.level, aiokafka.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    aiokafka.setLevel(levels[1])
    structlog.reset_defaults()


@pytest.fixture
def emostream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Emostream:
    """Run the command line in this process: its status, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["emostream", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, output.out, output.err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("produce replay - --loop", "a pipe can't be replayed in a loop"),
        ("produce replay x.jsonl --field.nope x", "a post's fields are id, text"),
        ("produce replay x.jsonl --field.meta_values x", "a post's fields are id, text"),
        ("produce feed http://h/ --items a --field.meta_values x", "a post's fields are id, text"),
        ("produce feed http://h/ --items a --field.id @position", "no key and no position"),
        ("produce load --count 1 --bad-kind nope", "no such bad input: nope"),
        ("produce load --count 1 --size 0", "size must be at least 1"),
        ("produce load --count 1 --duplicates 0.7 --bad-input 0.7", "1 together at most"),
        ("dlq show 7", "PARTITION/OFFSET"),
        ("dlq list --limit -1", "--limit"),
        ("dlq replay --to affect.dlq", "their own topic"),
        ("offsets skip --partition posts", "TOPIC/NUMBER"),
        ("topics create --partitions 0", "--partitions"),
        ("topics create --partitions 2147483648", "--partitions"),
        ("topics create --replication 32768", "--replication"),
        ("doctor --bootstrap nonsense", "--bootstrap: kafka: bootstrap must be host:port"),
        ("doctor --bootstrap kafka..local:9092", "--bootstrap: kafka: bootstrap must be host:port"),
        ("doctor --bootstrap kafka:99999", "--bootstrap: kafka: bootstrap must be host:port"),
        ("dlq list --bootstrap http://k:9092", "--bootstrap: kafka: bootstrap takes no http://"),
        ("ask hello --server k:8080", "--server: model: a model server's URL must begin with"),
        (
            "produce mastodon --instance x.example:99999",
            "--instance 'x.example:99999': name a host",
        ),
        ("produce bluesky --host ws://[::1", "--host 'ws://[::1': name a host"),
        ("produce feed https://x.example:99999/f", "an address is like https://HOST/PATH"),
        ("produce feed https://x.example/f --name a --name a", "a name of its own"),
        ("produce feed https://x.example/f --interval inf", "--interval"),
        ("produce bluesky --lang=", "--lang: it is empty"),
        ("produce mastodon --instance x.example --keyword=", "--keyword: it is empty"),
        ("produce feed https://x.example/f https://y.example/f --items hits", "of one host only"),
        ("schemas write pyproject.toml", "can't be written: "),
        ("consume emostream.toml", "write --config emostream.toml"),
        ("consume now", '"now" is one word too many: see --help'),
        ("serve --port 99999", "65535"),
        ("serve --replay nope.jsonl", "can't read nope.jsonl: No such file or directory"),
        ("broker --port 99999", "port 99999 is outside"),
        ("produce replay nope.jsonl", "nope.jsonl: No such file or directory"),
        ("plan --posts-per-s inf", "--posts-per-s inf: from 1e-06"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    emostream: Emostream, words: str, message: str
) -> None:
    status, out, err = emostream(*words.split())
    assert status == 2
    assert message in out + err


@pytest.mark.parametrize(
    "words", ["topics create", "dlq list", "dlq replay", "offsets skip", "produce load --count 1"]
)
def test_a_broker_that_is_not_there_is_reported_once(emostream: Emostream, words: str) -> None:
    status, _, err = emostream(*words.split(), "--bootstrap", "127.0.0.1:1")
    assert status == 1
    (line,) = err.splitlines()
    assert "127.0.0.1:1" in line


def test_posts_are_read_from_standard_input(
    emostream: Emostream, monkeypatch: pytest.MonkeyPatch, bootstrap: str
) -> None:
    lines = b'{"id": "1", "text": "a"}\n{"id": "2", "text": "b"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    broker = ("--bootstrap", bootstrap)
    assert emostream("topics", "create", *broker)[0] == 0
    status, out, err = emostream("produce", "replay", "-", *broker)
    assert status == 0, err
    assert out.startswith("2 posts written")


def test_the_exit_status_tells_that_nothing_was_written(
    emostream: Emostream, tmp_path: Path, bootstrap: str
) -> None:
    (tmp_path / "posts.jsonl").write_text("junk\n")
    broker = ("--bootstrap", bootstrap)
    emostream("topics", "create", *broker)
    status, out, err = emostream("produce", "replay", str(tmp_path / "posts.jsonl"), *broker)
    assert status == 1
    assert "line 1: not JSON" in err
    assert out.startswith("0 posts written")


def test_who_has_no_name_on_this_machine_is_asked_for_one(
    emostream: Emostream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("getpass.getuser", nobody)
    status, _, said = emostream("alerts", "mute", "trains", "--until", "8h")
    assert status == 2
    assert "--by" in said
