"""The one protocol between router and engines: jobs in, generations out.

The router knows nothing of models. An engine knows nothing of HTTP, limits or queues: it
tokenizes, and answers a batch of jobs in one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

FinishReason = Literal["length", "eos_token", "stop_sequence"]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and can do.

    Limits are in tokens: `max_input_tokens` is the longest prompt the model can hold,
    `max_total_tokens` the most that a prompt and its answer may have together, and
    `max_new_tokens` the longest answer. `parallel` is how many batches may run at once.
    `encoder_decoder` models keep prompt and answer apart.
    """

    model_id: str
    model_sha: str | None = None
    pipeline_tag: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    max_input_tokens: int = 1024
    max_total_tokens: int = 2048
    max_new_tokens: int = 1024
    encoder_decoder: bool = False
    parallel: int = 1
    #: Prompts per pass where --max-batch-size isn't given: what fills the machine.
    batch_size: int = 64
    #: How the model wants to be asked (`family`, `wrapper`), where its config.json says so.
    asked: Mapping[str, str] | None = None
    #: Whether it can hold answers to a grammar.
    supports_grammar: bool = True


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in tokens: their ids, and where each lies in the text (in characters)."""

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn from the logits. The defaults are greedy."""

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    seed: int = 0
    #: Whether the client set the seed, and so may repeat the request for the same answer.
    seeded: bool = False

    @property
    def samples(self) -> bool:
        """Whether tokens are drawn at random. As in TGI, a changed distribution means sampling."""
        return (
            self.do_sample
            or self.temperature != 1.0
            or self.top_k != 0
            or self.top_p < 1.0
            or self.typical_p < 1.0
        )

    @property
    def plain_greedy(self) -> bool:
        """Whether each token is the argmax of the model's own logits."""
        return not self.samples and self.repetition_penalty == 1.0 and self.frequency_penalty == 0.0


GREEDY = Sampling()


@dataclass(slots=True)
class TopToken:
    """One of the most likely tokens at a step."""

    id: int
    text: str
    logprob: float
    special: bool


@dataclass(slots=True)
class Token:
    """One token of an answer; `text` is what it adds to the answer."""

    id: int
    text: str
    logprob: float
    special: bool
    top: list[TopToken] = field(default_factory=list)


@dataclass(slots=True)
class PrefillToken:
    """One token of the prompt; `logprob` is None where the model gives none."""

    id: int
    text: str
    logprob: float | None


@dataclass(slots=True)
class Generation:
    """A whole answer. `tokens` is empty where the job didn't ask for them."""

    text: str
    finish_reason: FinishReason
    generated_tokens: int
    tokens: list[Token] = field(default_factory=list)
    prefill: list[PrefillToken] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Job:
    """One prompt to be answered.

    `want_tokens` asks for each token with its log-probability, `on_token` for each as it is made
    (called in the engine's thread). `grammar` is a regular expression that the answer must match.
    An engine looks at `cancelled` between steps and may end such a job with any generation.
    """

    ids: list[int]
    max_new_tokens: int
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()
    want_tokens: bool = False
    want_prefill: bool = False
    top_n_tokens: int = 0
    grammar: str | None = None
    on_token: Callable[[Token], None] | None = None
    cancelled: bool = False

    @property
    def per_token(self) -> bool:
        """Whether the engine must report or inspect each token, not only the whole answer."""
        return self.want_tokens or self.on_token is not None or bool(self.stop)

    @property
    def needs_sampler(self) -> bool:
        """Whether a token takes more than the argmax of the logits."""
        return not self.sampling.plain_greedy or self.grammar is not None or self.top_n_tokens > 0


#: Called by an engine, in its thread, once for each job of a batch.
Finish = Callable[[Job, Generation | BaseException], None]


class Engine(Protocol):
    """What answers. All methods may be called from several threads at once."""

    @property
    def info(self) -> EngineInfo:
        """What it is and can do."""
        ...

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
        """Tokenize; special tokens written in a text are text."""
        ...

    def batch_key(self, job: Job) -> Hashable:
        """Jobs with equal keys may share a pass."""
        ...

    def check_grammar(self, pattern: str) -> None:
        """Prepare a grammar, a regular expression, before a job that has it.

        Blocks for milliseconds. Raises `EngineError` when it isn't a pattern that this engine
        can hold an answer to.
        """
        ...

    def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
        """Answer a batch; blocks. `finish` is called for each job as soon as it is done.

        A job may finish with an exception: `PromptRefusedError` is answered 422, any other 424.
        Raises anything: the router then fails the jobs that aren't finished (424).
        """
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
