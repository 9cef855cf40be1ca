"""One batch on its way through the analysis."""

from collections.abc import Sequence

from consumer.analysis.case import Case
from consumer.analysis.inference import Asking
from consumer.processor import Done
from consumer.records import Outcome


class Batch:
    """One batch under way."""

    __slots__ = (
        "asked_again", "asking", "bugs", "cases", "done", "open", "posts", "prompts", "second",
    )  # fmt: skip

    def __init__(self, done: Done, bugs: list[Exception]) -> None:
        self.done = done
        self.bugs = bugs
        self.asking: Asking
        """What the model is asked in this round."""
        self.second: Asking | None = None
        """What the second model is asked; None where it isn't, or can't be any more."""
        self.cases: Sequence[Case] = ()
        """Its posts of this round."""
        self.open = 0
        """Posts whose questions aren't all answered."""
        self.asked_again = False
        """Its posts are those that had no readable answer before the canary was passed again."""
        self.posts = 0
        self.prompts = 0

    def finish(self, case: Case, outcome: Outcome) -> None:
        """Pass a post's outcome on."""
        self.posts += 1
        second = case.second or case.second_before
        self.prompts += case.prompts + (0 if second is None else second.prompts)
        self.done(case.record, outcome)

    def put_aside(self) -> None:
        """One of its posts isn't settled in this round: it is asked in another one."""
        self.open -= 1
        if self.open == 0:
            self.asking.finish()
