"""What coverage-guided fuzzing is pointed at: each raises what breaks a promise."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from consumer.analysis.decoder import Decoder
from consumer.records import SKIP_RULES, Skip
from consumer.settings import Fields
from consumer.settings import Input as InputSettings
from emollm.clients.completions import CompletionsClient
from emollm.clients.connection import Connection
from emollm.clients.tgi import TgiClient
from emollm.clients.transport import BODY_LIMIT, Response, TransportError
from emollm.custom import PRESETS, CustomTask
from emollm.errors import ModelError
from emollm.prompts import PromptBuilder
from emollm.protocol import GenerateParams, Generation
from emollm.readers import Unreadable
from emollm.sanitize import Sanitizer
from emollm.tasks import TASKS
from schemas import DeadLetter
from tests.hostile.checks import is_a_dead_letter
from tests.hostile.draws import Draws, mark
from tests.hostile.inputs import Input, draw_input
from tests.hostile.pipeline import MOST_BYTES, Transport, record_of
from tests.hostile.replies import Reply

_PATHS = ("id", "@key", "@position", "a.b.0.c", "text")
_DECODERS = tuple(
    Decoder(InputSettings(fields=fields, max_record_bytes=MOST_BYTES, default_lang="en"))
    for fields in (
        Fields(),
        *(
            Fields(id=path, text="t.x", created_at="c", author="a.0", topics="g", meta="m")
            for path in _PATHS
        ),
        Fields(text="text", source=""),
    )
)
_CUSTOM = (
    CustomTask(name="c1", wordings=("w",), choices=("sarcastic", "not sarcastic")).task(),
    CustomTask(name="c2", wordings=("w",), choices=("1: low", "2: high"), type="integer").task(),
    CustomTask(name="c3", wordings=("w",), grammar=r"-?[0-9.]+", type="number").task(),
    CustomTask(name="c4", wordings=("w",), grammar=r"(?P<value>\w+)[.!]?").task(),
    *(preset.task() for preset in PRESETS.values()),
)
_QUESTIONS = [
    (task, emotion) for task in (*TASKS.values(), *_CUSTOM) for emotion in task.emotions or (None,)
]
_BUILDER = PromptBuilder(list(TASKS.values()), max_input_tokens=400)
_SANITIZER = Sanitizer()
_runner = asyncio.Runner()


def decode(draws: Draws) -> None:
    """Any bytes, or a record as the other fuzzers make them, through each form of the decoder."""
    if draws.number(0, 1):
        given = draw_input(draws)
    else:
        value = draws.blob(4_000)
        given = Input(kind="bytes", value=value, mark="no text of a post", key=draws.blob(20))
    record = record_of(given, 0)
    found = _DECODERS[draws.number(0, len(_DECODERS) - 1)].decode(record)
    if isinstance(found, DeadLetter):
        is_a_dead_letter(given, record, found)
        return
    if isinstance(found, Skip):
        assert found.rule in SKIP_RULES
        return
    assert found.post.created_at is not None
    assert found.post.id
    prepared = _BUILDER.prepare(found.post.text)
    assert "\n" not in prepared.text
    clean = _SANITIZER.clean(prepared.text)
    assert clean == (prepared.text, False), "what was made harmless isn't"
    prepared.text.encode()


def answers(draws: Draws) -> None:
    """Any answer to any question: a value of the task's kind and range, or a reason."""
    answer = draws.chars(2_000)
    for task, emotion in _QUESTIONS:
        value = task.read(answer, emotion)
        if isinstance(value, Unreadable):
            assert value.reason
            continue
        kinds: dict[str, type | tuple[type, ...]] = {"number": float, "class": int, "labels": tuple}
        assert isinstance(value, kinds.get(task.kind, str))
        if task in TASKS.values() and isinstance(value, int | float):
            assert -3 <= value <= 3
            assert task.name == "V-oc" or value >= 0
            assert not task.name.endswith("reg") or value <= 1
        if task in TASKS.values():
            assert task.read(task.write(value, emotion), emotion) == (
                round(value, 3) if isinstance(value, float) else value
            )


def bodies(draws: Draws) -> None:
    """Any status and body, to both dialects: an answer, or an error that quotes no prompt."""
    marked = mark(draws)
    transport = Transport()
    client = TgiClient(transport) if draws.number(0, 1) else CompletionsClient(transport, model="m")
    status = draws.one((200, 200, 400, 422, 424, 500, draws.number(100, 999)))
    kind = draws.one(("application/json", "text/html", draws.chars(9)))
    quoted = draws.one((b"", b'{"error": "@@', b'{"generated_text": "@@'))
    body = quoted + draws.blob(3_000)
    transport.tell([Reply("", status, kind, body, quote=draws.number(0, 20))])
    prompt = f"Tweet: {marked} Score:"
    params = GenerateParams(max_new_tokens=4)
    found = _runner.run(client.generate(prompt, params, timeout_s=1))
    if isinstance(found, Generation):
        assert isinstance(found.text, str)
        found.text.encode()
    else:
        assert isinstance(found, ModelError)
        assert marked not in str(found)


class _Socket(asyncio.Transport):
    """The way out, as the event loop gives it."""

    closing = False

    def write(self, data: Any) -> None:
        return

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0


def http(draws: Draws) -> None:
    """Any bytes on the wire, in any pieces: a whole answer, or a TransportError."""
    _runner.run(_http(draws))


async def _http(draws: Draws) -> None:
    connection = Connection(asyncio.get_running_loop())
    connection.connection_made(_Socket())
    head = draws.one((b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
    data = head + draws.blob(3_000)
    asking = asyncio.ensure_future(connection.ask(b"GET / HTTP/1.1\r\n\r\n", 1.0))
    await asyncio.sleep(0)
    while data and not asking.done():
        cut = draws.number(1, len(data))
        connection.data_received(data[:cut])
        data = data[cut:]
    if not asking.done():
        connection.connection_lost(draws.one((None, ConnectionResetError())))
    with contextlib.suppress(TransportError):
        found = await asking
        assert isinstance(found, Response)
        assert 200 <= found.status <= 999
        assert len(found.body) <= BODY_LIMIT
    if connection.usable and data:  # nobody asked for the rest
        connection.data_received(data)
        assert not connection.usable


def close() -> None:
    """Close the event loop that the targets share."""
    _runner.close()


TARGETS: dict[str, Callable[[Draws], None]] = {
    "decode": decode,
    "answers": answers,
    "bodies": bodies,
    "http": http,
}
