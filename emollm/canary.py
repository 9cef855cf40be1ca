"""Known texts whose answers a right model can't miss, and a wrong one can't hit.

A server that answers is not yet the right model: TGI serves BART with fresh weights and status
200, and a base model answers any prompt with something. So at start each canary is asked; its
answer must be readable and lie in a range wide enough for every EmoLLM and the small model, yet
too narrow for garbage or for one constant answer.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from emollm.readers import Unreadable
from emollm.tasks import TASKS, Task


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """One known text, the question asked of it, and what a right model may answer."""

    task: str
    text: str
    emotion: str | None = None
    minimum: float | None = None
    """Least score or class accepted."""
    maximum: float | None = None
    """Greatest score or class accepted."""
    any_of: tuple[str, ...] = ()
    """At least one of these labels is due, unless empty."""
    none_of: tuple[str, ...] = ()
    """None of these labels may be there."""

    @property
    def key(self) -> str:
        """Name of the question: `V-reg`, `EI-reg:anger`."""
        return f"{self.task}:{self.emotion}" if self.emotion else self.task

    def check(self, answer: str, task: Task | None = None) -> str | None:
        """Say what is wrong with a model's answer, in a clause; None where it is plausible.

        `task` defaults to the built-in one of that name.
        """
        value = (task or TASKS[self.task]).read(answer, self.emotion)
        asked = f"{self.key} of {self.text!r} was answered {answer[:60]!r}"
        if isinstance(value, Unreadable):
            return f"{asked}: {value.reason}"
        if isinstance(value, tuple):
            missing = self.any_of and not set(value) & set(self.any_of)
            wrong = sorted(set(value) & set(self.none_of))
            if missing:
                return f"{asked}: at least one of {', '.join(self.any_of)} is due"
            return f"{asked}: {', '.join(wrong)} can't be" if wrong else None
        if isinstance(value, str):
            return None
        low = -float("inf") if self.minimum is None else self.minimum
        high = float("inf") if self.maximum is None else self.maximum
        return None if low <= value <= high else f"{asked}: {low:g} to {high:g} is plausible"


_JOYFUL: Final = "I am so happy today, best day of my life! I love you all so much!"
_FURIOUS: Final = "I am furious. You lied to my face again and I am absolutely raging!"
_TERRIFIED: Final = "I am terrified, my hands are shaking and I can't breathe. So scared right now."
_NEUTRAL: Final = "The meeting was moved from Tuesday to Wednesday at noon."

CANARIES: Final = (
    Canary(task="V-reg", text=_JOYFUL, minimum=0.65),
    Canary(task="V-reg", text=_FURIOUS, maximum=0.45),
    Canary(task="V-reg", text=_TERRIFIED, maximum=0.5),
    Canary(task="V-reg", text=_NEUTRAL, minimum=0.25, maximum=0.8),
    Canary(task="V-oc", text=_JOYFUL, minimum=1),
    Canary(task="V-oc", text=_FURIOUS, maximum=-1),
    Canary(task="E-c", text=_JOYFUL, any_of=("joy", "love", "optimism"), none_of=("anger", "fear")),
    Canary(task="E-c", text=_FURIOUS, any_of=("anger", "disgust"), none_of=("joy", "love")),
    Canary(task="E-c", text=_TERRIFIED, any_of=("fear",), none_of=("joy", "love")),
    Canary(task="EI-reg", emotion="joy", text=_JOYFUL, minimum=0.55),
    Canary(task="EI-reg", emotion="anger", text=_FURIOUS, minimum=0.55),
    Canary(task="EI-reg", emotion="fear", text=_TERRIFIED, minimum=0.55),
    Canary(task="EI-reg", emotion="anger", text=_JOYFUL, maximum=0.54),
    Canary(task="EI-oc", emotion="joy", text=_JOYFUL, minimum=1),
    Canary(task="EI-oc", emotion="anger", text=_FURIOUS, minimum=1),
    Canary(task="EI-oc", emotion="fear", text=_TERRIFIED, minimum=1),
)
"""Hand-written texts, nobody's posts. Ask those whose task is in use (see `canaries_for`)."""


def canaries_for(tasks: Iterable[Task]) -> tuple[Canary, ...]:
    """Return the canaries of these tasks."""
    names = {task.name for task in tasks}
    return tuple(canary for canary in CANARIES if canary.task in names)
