"""One post on its way through the analysis."""

from typing import TypeAlias

from consumer.analysis.decoder import Decoded
from consumer.analysis.plan import Question
from consumer.records import Outcome, Record
from emollm.errors import Poison
from emollm.prompts import PreparedText
from emollm.protocol import PromptTrace
from emollm.readers import Unreadable, Value

Answer: TypeAlias = Value | Unreadable | Poison
"""What became of a question: a value, an answer that can't be read, or a refusal."""


def is_value(answer: Answer | None) -> bool:
    """Whether a question was answered readably."""
    return answer is not None and not isinstance(answer, Unreadable | Poison)


class Case:
    """A decoded post, its questions' answers, and what they cost."""

    __slots__ = (
        "after", "decoded", "digest", "first_alone", "found", "open", "prompts", "record",
        "second", "second_before", "server", "settled", "text", "trace", "unanswered",
    )  # fmt: skip

    def __init__(self, record: Record, decoded: Decoded, text: PreparedText, digest: bytes) -> None:
        self.record = record
        self.decoded = decoded
        self.text = text
        self.digest = digest
        """Of the text, under this model."""
        self.open = 0
        """Questions without an answer."""
        self.after: tuple[Question, ...] = ()
        """What was to ask once the gate had its answer."""
        self.found: dict[int, Answer] = {}
        """Answers by their question's rank."""
        self.prompts = 0
        """What was asked for this post, in earlier rounds, too. Of posts with equal texts the one
        that asked pays."""
        self.server: str | None = None
        """Base URL of who answered the last of these."""
        self.unanswered: Outcome | None = None
        """Its dead letter, if nothing readable came back: held until the model isn't doubted."""
        self.second: SecondPart | None = None
        """What the second model is asked about it; None where it isn't."""
        self.second_before: SecondPart | None = None
        """What it was asked in an earlier round."""
        self.first_alone = False
        """The second model has nothing to say about it: it waits for the first."""
        self.settled = False
        """All its questions are answered."""
        self.trace: PromptTrace | None = None
        """Who records the requests for it; mostly nobody."""


class SecondPart(Case):
    """What the second model is asked about a post: a case of its own, with its own cost."""

    __slots__ = ("alone", "given_up", "post")

    def __init__(self, post: Case, text: PreparedText, digest: bytes, *, alone: bool) -> None:
        super().__init__(post.record, post.decoded, text, digest)
        self.post = post
        self.trace = post.trace
        if post.second_before is not None:
            self.prompts, self.server = post.second_before.prompts, post.second_before.server
        self.alone = alone
        """The first model isn't asked."""
        self.given_up = False
        """Its answers don't count any more: they came too late, or none can come."""
