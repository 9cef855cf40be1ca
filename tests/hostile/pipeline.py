"""decode → plan → read with the real parts: every stage but Kafka and the socket."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.asked_model import AskedModel
from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.plan import make_plan
from consumer.records import Outcome, Record
from consumer.settings import Fields, Tasks
from consumer.settings import Input as InputSettings
from emollm.clients.completions import CompletionsClient
from emollm.clients.tgi import TgiClient
from emollm.clients.transport import Response
from emollm.errors import FailedAlone, ModelError, Poison
from emollm.prompts import PromptBuilder, Wrapper
from emollm.protocol import (
    Generation,
    ModelClient,
    OnAnswer,
    OnError,
    PoolAnswer,
    Prompt,
    ServerInfo,
)
from tests.consumer.fakes import FakeCall
from tests.consumer.records import make_record
from tests.hostile.inputs import Input
from tests.hostile.replies import Reply

MOST_BYTES = 20_000
"""So that records over the limit are cheap to draw."""
_CUSTOM: tuple[dict[str, Any], ...] = (
    {"name": "sarcasm", "wordings": ["Is it?", "Sure?"], "choices": ["sarcastic", "not sarcastic"]},
    {
        "name": "topics",
        "wordings": ["Which?"],
        "choices": ["joy", "anger"],
        "multiple": True,
        "none": "none",
    },
    {"name": "grade", "wordings": ["How?"], "choices": ["1: low", "2: high"], "type": "integer"},
    {"name": "word", "wordings": ["Say."], "grammar": r"(?P<value>\w+)[.!]?"},
    {
        "name": "degree",
        "wordings": ["Deg?"],
        "grammar": r"-?[0-9]+(\.[0-9]+)?",
        "type": "number",
        "maximum": 9,
    },
    {"preset": "V-T"},
    {"preset": "Emobank-arousal"},
    {"preset": "GoEmotions"},
)
_TWITTER = Fields(
    id="payload.status.id_str",
    text="payload.status.full_text",
    author="payload.status.user.screen_name",
    created_at="payload.status.created_at",
    lang="payload.status.lang",
    topics="payload.status.entities.hashtags",
    meta="payload.status.place",
)
_FLAT = Fields(
    id="@position",
    text="full_text",
    created_at="created_at",
    author="user",
    topics="entities.hashtags.0.text",
)
_OF_KEY = Fields(id="@key", text="text", url="meta.x.0.y", meta="meta")


class Transport:
    """Gives the replies of a test, in turn."""

    url = "http://gpu"

    def __init__(self) -> None:
        self.replies: Sequence[Reply] = ()
        self._asked = 0

    def tell(self, replies: Sequence[Reply]) -> None:
        self.replies, self._asked = replies, 0

    async def post(self, path: str, body: bytes, timeout_s: float) -> Response:
        prompt: str = msgspec.json.decode(body).get("inputs") or msgspec.json.decode(body)["prompt"]
        reply = self.replies[self._asked % len(self.replies)]
        self._asked += 1
        return reply.to(prompt)

    async def get(self, path: str, timeout_s: float) -> Response:
        raise NotImplementedError

    async def aclose(self) -> None:
        return


class OneTry:
    """A pool without its patience: what could be tried again counts as failed alone."""

    available = True

    def __init__(self, client: ModelClient, mark: str = "") -> None:
        self._client = client
        self.mark = mark
        self.info = ServerInfo(dialect="tgi", model_id="emostream-small", model_revision="r1")

    def suspect_model(self) -> None:
        """Nothing: it is asked no more than once."""

    async def wait_available(self) -> None:
        return

    def open_call(self, on_answer: OnAnswer, on_error: OnError, *, turn: int = 0) -> FakeCall:
        return FakeCall(self, on_answer, on_error, turn)

    async def ask(
        self, prompts: Sequence[Prompt], *, turn: int = 0
    ) -> list[PoolAnswer | ModelError]:
        return [await self._one(prompt) for prompt in prompts]

    async def _one(self, prompt: Prompt) -> PoolAnswer | ModelError:
        answer = await self._client.generate(prompt.text, prompt.params, timeout_s=30)
        if isinstance(answer, Generation):
            return PoolAnswer(text=answer.text, server=self._client.url, attempts=1)
        assert isinstance(answer, ModelError)
        assert not self.mark or self.mark not in str(answer), f"an error quotes the post: {answer}"
        if isinstance(answer, Poison):
            return answer
        return FailedAlone(
            f"{type(answer).__name__}: {answer}", server=answer.server, status=answer.status
        )


class Path:
    """One configuration of the way from a record to its outcome."""

    def __init__(
        self,
        name: str,
        *,
        fields: Fields | None = None,
        tasks: Tasks | None = None,
        wrapper: Wrapper = Wrapper.HUMAN,
        max_input_tokens: int = 1_000,
        include_text: bool = True,
        author_key: str = "",
        openai: bool = False,
    ) -> None:
        self.name = name
        self.mapped = fields is not None and fields.text != "text"
        """Whether it reads another service's documents."""
        self.include_text = include_text
        self._transport = Transport()
        client: ModelClient = (
            CompletionsClient(self._transport, model="m") if openai else TgiClient(self._transport)
        )
        self._pool = OneTry(client)
        tasks = tasks or Tasks()
        plan = make_plan(tasks, tasks.custom_tasks())
        builder = PromptBuilder(plan.tasks, wrapper=wrapper, max_input_tokens=max_input_tokens)
        options = InputSettings(
            fields=fields or Fields(), max_record_bytes=MOST_BYTES, default_source="d"
        )
        self._analyzer = Analyzer(
            # Without a cache: each input gets the answers that were drawn for it.
            model=AskedModel(self._pool, lambda _: builder, AnswerCache[Answer](max_entries=0)),
            plan=plan,
            decoder=Decoder(options),
            events=EventBuilder(
                ids=EventIds(plan.signature),
                identifiers=Identifiers(author_key),
                include_text=include_text,
            ),
        )

    def __repr__(self) -> str:
        return self.name

    async def outcome(self, record: Record, replies: Sequence[Reply], mark: str) -> Outcome:
        """What becomes of a record when the server answers its prompts so, in turn."""
        self._transport.tell(replies)
        self._pool.mark = mark
        found: list[Outcome] = []
        await self._analyzer.process((record,), lambda _, outcome: found.append(outcome))
        (outcome,) = found
        return outcome


def paths() -> tuple[Path, ...]:
    """Every form of input, of tasks and of prompts that the settings know."""
    return (
        Path("as a Post"),
        Path("mapped", fields=_TWITTER, author_key="k" * 16, include_text=False),
        Path("mapped, flat", fields=_FLAT, wrapper=Wrapper.BARE, max_input_tokens=460),
        Path("id from the key", fields=_OF_KEY, openai=True, author_key="k" * 16),
        Path("all asked", tasks=Tasks(v_oc="ask", ei_oc="ask", ei_emotions="all"), openai=True),
        Path("custom tasks", tasks=Tasks(custom=_CUSTOM), max_input_tokens=300),
    )


def record_of(given: Input, offset: int) -> Record:
    """The record as the consumer fetches it."""
    return make_record(
        given.value,
        offset,
        key=given.key,
        timestamp_ms=given.timestamp_ms,
        headers=given.headers,
    )


class Loop:
    """One event loop for a run: making one for each input would take longer than the input."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, path: Path, record: Record, replies: Sequence[Reply], mark: str) -> Outcome:
        return self._loop.run_until_complete(path.outcome(record, replies, mark))

    def close(self) -> None:
        self._loop.close()
