"""What the hand-written consumers do with a post: the same work, without any guarantee.

Decoded and encoded with msgspec, as fast as it goes: only how records and requests are driven
differs between the peers. An answer that can't be read raises, and so ends the peer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from emollm.prompts import Wrapper
from emollm.tasks import E_C, V_OC, V_REG

Ask = Callable[[bytes], Awaitable[Any]]
"""Posts one body to `/generate`; the answer's body, in whatever bytes its client has."""


class Job(msgspec.Struct, frozen=True):
    """What a peer is to do: the one argument of its command line, as JSON."""

    bootstrap: str
    posts: str
    events: str
    group: str
    url: str


class _Post(msgspec.Struct):
    id: str
    text: str
    source: str | None = None
    author: str | None = None
    lang: str | None = None
    topics: tuple[str, ...] = ()
    meta: dict[str, Any] = {}


class _Sentiment(msgspec.Struct):
    valence: float
    class_: int = msgspec.field(name="class")


class _Event(msgspec.Struct):
    id: str
    post_id: str
    source: str | None
    created_at: datetime
    lang: str | None
    topics: tuple[str, ...]
    meta: dict[str, Any]
    text: str
    sentiment: _Sentiment
    emotions: list[str]
    model: dict[str, str]
    processed_at: datetime
    version: int = 1


class _Answer(msgspec.Struct):
    generated_text: str


_post = msgspec.json.Decoder(_Post).decode
_answer = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode
_MODEL = {"id": "Emollama-chat-7b", "revision": "bench", "server": "http://127.0.0.1:3000"}


def _frame(task: Any) -> tuple[str, str, bytes]:
    before, after = task.frame()
    around = Wrapper.HUMAN.value
    parameters = {
        "max_new_tokens": task.max_new_tokens,
        "do_sample": False,
        "return_full_text": False,
    }
    tail = b',"parameters":' + _encode(parameters) + b"}"
    return around[0] + before, after + around[1], tail


_FRAMES = [_frame(task) for task in (V_REG, V_OC, E_C)]


def _body(text: str, frame: tuple[str, str, bytes]) -> bytes:
    before, after, tail = frame
    return b'{"inputs":' + _encode(f"{before}{text}{after}") + tail


async def process(value: bytes, id_: str, created_ms: int, ask: Ask) -> bytes:
    """One post's three questions at once; the event, encoded."""
    post = _post(value)
    v_reg, v_oc, e_c = await asyncio.gather(*(ask(_body(post.text, f)) for f in _FRAMES))
    emotions = _answer(e_c).generated_text.removesuffix(".")
    event = _Event(
        id=id_,
        post_id=post.id,
        source=post.source,
        created_at=datetime.fromtimestamp(created_ms / 1000, UTC),
        lang=post.lang,
        topics=post.topics,
        meta=post.meta,
        text=post.text,
        sentiment=_Sentiment(
            valence=float(_answer(v_reg).generated_text),
            class_=int(_answer(v_oc).generated_text.partition(":")[0]),
        ),
        emotions=[] if emotions.startswith("neutral") else emotions.split(", "),
        model=_MODEL,
        processed_at=datetime.now(UTC),
    )
    return _encode(event)
