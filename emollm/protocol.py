"""The narrow seam between prompts and model servers."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from emollm.errors import ModelError


class GenerateParams(msgspec.Struct, frozen=True, kw_only=True):
    """How to answer. Always greedy: the same prompt gives the same answer."""

    max_new_tokens: int
    """At most 1,024: TGI answers in chunks of that."""
    grammar: str | None = None
    """A regular expression the answer must match; sent only where the server supports it."""


class RequestTrace(Protocol):
    """One request under way, as whoever records traces sees it."""

    def end(self, answer: "Generation | ModelError | None") -> None:
        """It ended so; None: it was called off."""


class PromptTrace(Protocol):
    """Records the requests that are sent for a prompt. Quick, never raises."""

    def request(
        self, prompt: "Prompt", *, server: str, attempt: int, info: "ServerInfo | None"
    ) -> RequestTrace:
        """The `attempt`-th request, from 1 on, is sent to this server; `info` is its model's."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model, whole: wrapper, instruction and text."""

    text: str
    params: GenerateParams
    task: str
    """The task's name, for grouping and metrics: `V-reg`, `EI-reg`, …"""
    post: str | None = None
    """The post's text as it is in the prompt. Prompts of one post share a verdict: once one of
    them is condemned, the others aren't tried again."""
    instruction: str = ""
    """What comes before that, where it is known: what a server's prefix cache may hold. One object
    for all prompts that begin so."""
    trace: PromptTrace | None = None
    """Who records its requests; mostly nobody."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a model."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a model server says of itself; None where it doesn't."""

    dialect: str
    """`tgi` or `openai`."""
    model_id: str
    model_revision: str | None = None
    max_concurrent_requests: int | None = None
    max_input_tokens: int | None = None
    max_total_tokens: int | None = None
    version: str | None = None
    software: str | None = None
    """What it is, where it tells: `tgi`, `emostream`, `vllm`, `sglang`, `llamacpp`."""
    family: str | None = None
    """As `emollm.models` names it, where the model itself says so (`emostream serve`)."""
    wrapper: str | None = None
    """`human` or `bare`; likewise."""


class ModelClient(Protocol):
    """One model server. No retry, breaker or limiter inside: those are the pool's."""

    @property
    def url(self) -> str:
        """Base URL, without credentials."""

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        """Answer one prompt, or say why not, within `timeout_s`. Never raises a ModelError.

        Cancelling the call closes its connection, which frees the prompt's place on the GPU.
        """

    async def info(self, *, timeout_s: float) -> ServerInfo | ModelError:
        """Ask the server what it serves."""

    async def aclose(self) -> None:
        """Close all connections."""


class PoolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and what it took."""

    text: str
    server: str
    """Base URL of the one that answered, without credentials."""
    attempts: int
    """Requests that were sent for it, the answered one included."""


OnAnswer: TypeAlias = Callable[[int, PoolAnswer | ModelError], None]
"""Called with a prompt's number and its answer. An error is Poison, nothing else. Quick; what it
raises ends its call."""
OnError: TypeAlias = Callable[[BaseException], None]
"""Called once, when a call can't go on. Nothing more is called then. Quick; never raises."""


class PromptCall(Protocol):
    """Prompts that somebody asks, answered one by one, each as soon as it can be."""

    def send(self, prompts: Sequence[Prompt]) -> None:
        """Ask these. Prompts are numbered as they are sent, over all sends, from 0."""

    def close(self) -> None:
        """Ask nothing more, and abandon what isn't answered, on the servers, too."""


class ModelPool(Protocol):
    """Several servers of one model as one: what the consumer asks."""

    def open_call(self, on_answer: OnAnswer, on_error: OnError, *, turn: int = 0) -> PromptCall:
        """Begin to ask prompts; close the call when nothing more is wanted.

        Each prompt is answered on its own, retrying what can be retried. Prompts of calls with a
        lower `turn` go first, then those that came first. While no server can take prompts they
        wait (consumption pauses; nothing is refused for being unlucky). A prompt whose failures
        repeat is asked alone before it counts as Poison (`FailedAlone`).

        `on_error` gets a Stop when no server can be used until a human acts. If that is known
        already, this raises it.
        """

    @property
    def available(self) -> bool:
        """Whether at least one server can take prompts: a breaker is closed."""

    async def wait_available(self) -> None:
        """Return as soon as `available` is True; at once if it is. Raises Stop as `ask` does."""

    @property
    def info(self) -> ServerInfo:
        """Of the model that all servers serve."""
