"""One post on its way through the analysis."""

from typing import TypeAlias

from consumer.analysis.decoder import Decoded
from consumer.analysis.plan import Question
from consumer.records import Outcome, Record
from emollm.errors import Poison
from emollm.prompts import PreparedText
from emollm.readers import Unreadable, Value

Answer: TypeAlias = Value | Unreadable | Poison
"""What became of a question: a value, an answer that can't be read, or a refusal."""


class Case:
    """A decoded post, its questions' answers, and what they cost."""

    __slots__ = (
        "after", "decoded", "digest", "found", "open", "prompts", "record", "server", "text",
        "unanswered",
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
        """What was asked for this post. Among posts with equal texts the one that asked pays."""
        self.server: str | None = None
        """Base URL of who answered the last of these."""
        self.unanswered: Outcome | None = None
        """Its dead letter, if nothing readable came back: held until the model isn't doubted."""
