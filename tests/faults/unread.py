"""Which questions about a post the model answered unreadably, as the model servers know it."""

from collections.abc import Container

from consumer.analysis.model import make_builder
from consumer.analysis.plan import make_plan
from consumer.settings import Model, Tasks
from emollm.protocol import ServerInfo
from tests.faults.verdict import Unread

PLAN = make_plan(Tasks(), ())
"""What the members ask: the configuration says nothing of it, so it is the default."""
QUESTIONS = tuple(
    question for question in (PLAN.gate, *PLAN.always, *PLAN.after(None)) if question is not None
)
"""All that may be asked about a post; of one with no readable answer all are."""


class Unreadable:
    """Builds a post's prompts as the consumer does, and looks who answered them unreadably."""

    def __init__(self, info: ServerInfo, misanswered: Container[str]) -> None:
        """`misanswered` holds the prompts to which a server once gave an unreadable answer."""
        self._builder = make_builder(Model(), info, PLAN.tasks)
        self._misanswered = misanswered

    def of(self, text: str | None) -> Unread:
        """Give the questions about a text of which one wording was misanswered, or both."""
        if text is None:
            return Unread()
        prepared = self._builder.prepare(text)
        once, twice = set(), set()
        for question in QUESTIONS:
            wordings = (0, question.task.next_wording(0) or 0)
            hits = sum(
                self._builder.build(question.task, prepared, question.emotion, wording).text
                in self._misanswered
                for wording in wordings
            )
            if hits:
                once.add(question.name)
            if hits == len(wordings):
                twice.add(question.name)
        return Unread(frozenset(once), frozenset(twice))
