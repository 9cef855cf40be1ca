"""Every command and every configuration that README and docs name, tried in a terminal."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from consumer.settings import load
from emollm.tasks import V_REG
from emostream.command_line import make_app
from infra.kafka import TopicNames, create_topics, default_topics
from schemas.contracts import EVENTS
from tests.collector import Collector
from tests.docs.pages import PAGES, ROOT, commands, configurations
from tests.docs.terminal import Terminal
from tests.http_server import serving
from tests.runtime.registry.http_registry import http_registry
from tests.tgi import FakeTgi, joyful

ELSEWHERE = {
    "docs/tutorial.md": "tests/docs/test_tutorial.py runs it, step by step",
    "docs/schema-registry.md": "tests/docs/test_schema_registry.py, against a local registry",
    "docs/live-sources.md": "tests/docs/test_live_sources.py, against local servers",
    "docs/predict-and-evaluate.md": "tests/emostream/test_documented_files.py",
    "docs/fine-tuning.md": "tests/training/finetune/test_documented_commands.py",
}
READY = {
    "emostream consume": r"consumer is ready",
    "emostream monitor": r"monitor is active",
    "emostream serve": r"Model server ready at",
    "emostream broker": r"Kafka ready at",
    "emostream demo": r"page stays up",
}
"""What runs until Ctrl-C, and how it says that it is ready."""


SECRETS = {
    "slack": "https://hooks.example/0123456789abcdef",
    "webhook": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
    "ntfy": "ntfys://ntfy.example/mood",
}
"""What is in the files that examples name, by its form; else any text."""


class Other(NamedTuple):
    """A command that doesn't end with status 0 here, or can't be run as it is written."""

    run: str
    statuses: tuple[int, ...] = (0,)
    shows: str = ""


PATIENT_S = 600.0
"""Ten times what the slowest, the demo, took under load."""
OTHERS = {
    # Placeholders of the text around them.
    "emostream alerts ack|note|mute|false": Other("emostream alerts ack --help"),
    "emostream produce replay": Other("emostream produce replay posts.jsonl"),
    "emostream ask": Other("emostream ask --help"),
    "emostream evaluate": Other("emostream evaluate --help"),
    "emostream train data | run | merge": Other(
        "emostream train data --help && emostream train run --help && emostream train merge --help"
    ),
    "emostream events export": Other("emostream events export --help"),
    "emostream predict": Other("emostream predict --help"),
    "emostream models for-tgi": Other("emostream models for-tgi --help"),
    # Without a registry, a sentence; tests/docs/test_schema_registry.py runs them with one.
    "emostream schemas check": Other("emostream schemas check", (2,), r"registry\.format"),
    "emostream schemas register": Other("emostream schemas register", (2,), r"registry\.format"),
    # Models that aren't here: a sentence, whether or not torch is.
    "emostream serve --model-id ./Emobart-large --port 8080": Other(
        "emostream serve --model-id ./Emobart-large --port 0", (1, 2), "Emobart|torch"
    ),
    "emostream serve --model-id lzw1008/Emot5-large --device cuda --max-concurrent-requests 256": (
        Other(
            "emostream serve --model-id lzw1008/Emot5-large --device cuda"
            " --max-concurrent-requests 256 --port 0",
            (1, 2),
            "Emot5|torch|cuda|CUDA",
        )
    ),
    # The person's own shell stays above it, and nobody's real ~/.bashrc is written.
    "emostream --install-completion": Other(
        "HOME=$PWD emostream --install-completion && true", shows=r"source ~/\.bashrc"
    ),
    # The demo, shorter than it is written: its own test holds what comes of it.
    "emostream demo": Other("emostream demo --posts 40 --rate 0 --port 0"),
    "emostream demo --posts 600": Other("emostream demo --help"),
}


def documented(program: str) -> list[str]:
    pages = [page for page in PAGES if str(page.relative_to(ROOT)) not in ELSEWHERE]
    return [line for line in commands(*pages) if line.split()[0] == program]


def test_the_pages_have_commands() -> None:
    assert len(documented("emostream")) > 15
    assert len(documented("make")) > 10


@pytest.fixture
async def tgi() -> AsyncIterator[FakeTgi]:
    """An EmoLLM that can answer the examples' own questions, too."""

    def say(prompt: str) -> str:
        answers = {"sarcastic": "sarcastic", "aroused": "3.5", "complains": "price, quality"}
        return next((answers[word] for word in answers if word in prompt), joyful(prompt))

    async with FakeTgi(say) as found:
        yield found


@pytest.fixture
async def receiver() -> AsyncIterator[str]:
    """What takes a notification."""

    async def take(_: web.Request) -> web.Response:
        return web.Response()

    async with serving(("POST", "/hook", take)) as url:
        yield f"{url}/hook"


@pytest.fixture
async def environment(bootstrap: str, tgi: FakeTgi, tmp_path: Path) -> dict[str, str]:
    """Everything where a command looks for it without a flag, topics too; ports are free ones."""
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(TopicNames()))
    mark = tmp_path.name[-20:]
    return {
        "EMOSTREAM_KAFKA__BOOTSTRAP": bootstrap,
        "EMOSTREAM_MODEL__SERVERS": tgi.url,
        "EMOSTREAM_HTTP__PORT": "0",
        "EMOSTREAM_MONITOR__HTTP__PORT": "0",
        "EMOSTREAM_MONITOR__PAGE__PORT": "0",
        "EMOSTREAM_INPUT__GROUP_ID": f"{mark}.group",
        "EMOSTREAM_MONITOR__GROUP_ID": f"{mark}.monitor",
        "HF_HUB_OFFLINE": "1",  # no hub is asked
    }


def write_files(folder: Path, receiver: str) -> None:
    """The files that the pages speak of."""
    (folder / "emostream.toml").write_text(
        f'[[monitor.notify]]\nname = "ours"\nkind = "webhook"\nurl = "{receiver}"\n',
        encoding="utf-8",
    )
    post = {"id": "1", "text": "What a day!", "lang": "en"}
    (folder / "posts.jsonl").write_text(json.dumps(post) + "\n", encoding="utf-8")
    answer = {"instruction": V_REG.instruction("What a day!"), "pred": {"Emollama-chat-7b": "0.9"}}
    (folder / "answers.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    subprocess.run(["gzip", "-k", "answers.jsonl"], cwd=folder, check=True)
    event = {
        "version": 1,
        "id": "a",
        "post_id": "1",
        "source": "mastodon",
        "created_at": "2026-01-31T08:15:30Z",
        "text": "What a day!",
        "sentiment": {"valence": 0.9},
        "model": {"id": "m"},
        "processed_at": "2026-01-31T08:15:31Z",
        "prompts": 1,
    }
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n", encoding="utf-8")
    (folder / "volumes.csv").write_text(
        "timestamp,value\n" + "".join(f"2026-01-31 {h:02}:00:00,{h}\n" for h in range(24)),
        encoding="utf-8",
    )


@pytest.mark.timeout(1300)
@pytest.mark.parametrize("line", documented("emostream"))
async def test_it_runs_in_a_terminal_of_80_columns(
    line: str, environment: dict[str, str], receiver: str, tmp_path: Path
) -> None:
    write_files(tmp_path, receiver)
    other = OTHERS.get(line, Other(line))
    command = re.sub(r"--port [1-9]\d*", "--port 0", other.run)
    if command.startswith("emostream serve") and "--port" not in command:
        command += " --port 0"
    terminal = await Terminal.open(command, tmp_path, environment)
    try:
        ready = next((READY[name] for name in READY if command.startswith(name)), None)
        ends = re.search(r"--help|--example|backtest|notify", command) or other.statuses != (0,)
        if ready is None or ends:
            assert await terminal.ended(within_s=PATIENT_S) in other.statuses, terminal.text
        else:
            await terminal.shows(ready, within_s=PATIENT_S)
            assert await terminal.interrupt() in {0, 130}, terminal.text
    finally:
        await terminal.close()
    assert "Traceback" not in terminal.text
    assert re.search(other.shows, terminal.text), terminal.text


@pytest.mark.parametrize("line", documented("make"))
def test_make_knows_the_target(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "…"]
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "No rule to make target" not in done.stderr


@pytest.mark.parametrize("place", [*configurations(), "emostream consume --example"])
async def test_each_configuration_passes_doctor(
    place: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """As it is written; only where Kafka and the model are is the test's, and secrets' files."""
    text = configurations().get(place)
    if text is None:
        shown = await Terminal.open("emostream consume --example > e.toml", tmp_path, environment)
        assert await shown.ended() == 0
        await shown.close()
        text = (tmp_path / "e.toml").read_text(encoding="utf-8")
    for path, name in re.findall(r'"(/run/secrets/([\w-]+))"', text):
        file = tmp_path / name
        file.write_text(SECRETS.get(name, "0123456789abcdef"), encoding="utf-8")
        text = text.replace(path, str(file))
    (tmp_path / "emostream.toml").write_text(text, encoding="utf-8")
    ours = {
        **environment,
        "EMOSTREAM_CONFIG": str(tmp_path / "emostream.toml"),
        "EMOSTREAM_KAFKA__TLS__ENABLED": "false",
        **dict.fromkeys(
            [f"EMOSTREAM_KAFKA__SASL__{key}" for key in ("MECHANISM", "USERNAME", "PASSWORD_FILE")],
            "",
        ),
    }
    settings = load(tmp_path / "emostream.toml", ours)
    if settings.input.topics == ("posts",):  # the default's, where other tests' records are
        ours["EMOSTREAM_INPUT__TOPICS"] = f"{tmp_path.name[-20:]}.posts"
        settings = load(tmp_path / "emostream.toml", ours)
    if settings.model.second.servers:  # another address of the one there is
        other = settings.model.servers[0].replace("127.0.0.1", "localhost")
        ours["EMOSTREAM_MODEL__SECOND__SERVERS"] = other
    for topic in settings.input.topics:
        specs = default_topics(TopicNames(posts=topic))
        await create_topics({"bootstrap_servers": settings.kafka.bootstrap}, specs)
    async with http_registry() as registry, Collector() as collector:
        if settings.tracing.endpoint:
            ours["EMOSTREAM_TRACING__ENDPOINT"] = collector.url
        if settings.registry.urls:
            ours["EMOSTREAM_REGISTRY__URLS"] = registry.url
            subject = f"{settings.output.events_topic}-value"
            registry.add(subject, json.loads(EVENTS.schema("avro")))
        terminal = await Terminal.open("emostream doctor", tmp_path, ours)
        try:
            status = await terminal.ended()
        finally:
            await terminal.close()
    assert status == 0, terminal.text
    assert "BAD" not in terminal.text
    if "sarcasm" in text:
        assert "ok  task sarcasm" in terminal.text


@pytest.mark.parametrize(
    "words", ["consume", "doctor", "monitor", "topics create", "dlq list", "events", "ask x"]
)
def test_each_command_reads_the_file_that_the_variable_names(
    words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOSTREAM_CONFIG", str(tmp_path / "nowhere.toml"))
    try:
        said = str(make_app(overview=False)(shlex.split(words), exit_on_error=False))
    except Exception as error:  # noqa: BLE001 - whatever it is, it has to name the file
        said = str(error)
    assert "nowhere.toml" in said or words == "doctor"  # doctor prints it
    assert words != "doctor" or said == "2"


@pytest.mark.timeout(620)
async def test_two_ctrl_c_at_once_end_the_demo(tmp_path: Path) -> None:
    """Within 20 ms, while it starts and while it runs: it hung once."""
    for moment in (r"starting Apache Kafka", r"posts in"):
        terminal = await Terminal.open("emostream demo --posts 40 --port 0", tmp_path, {})
        try:
            await terminal.shows(moment, within_s=200)
            os.killpg(terminal.pid, signal.SIGINT)
            await asyncio.sleep(0.01)
            with suppress(ProcessLookupError):  # this process was held up, and the demo is gone
                os.killpg(terminal.pid, signal.SIGINT)
            assert await terminal.ended(within_s=60) in {0, 130}, terminal.text
        finally:
            await terminal.close()
        assert "Traceback" not in terminal.text
