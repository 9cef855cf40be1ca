"""What a post is asked: the questions, what hangs on what, and what is derived instead."""

from collections.abc import Sequence

import msgspec

from consumer.settings import Tasks
from emollm.tasks import E_C, EI_OC, EI_REG, V_OC, V_REG, Task
from schemas import INTENSITY_EMOTIONS


class Question(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One thing to ask about a text: a task and, where it takes one, an emotion."""

    task: Task
    emotion: str | None
    name: str
    """`V-reg`, `EI-reg:anger`: the key in an event's `unanswered`."""
    rank: int
    """Its place in the plan: prompts go out in this order, so that a task's stand together."""
    suffix: bytes
    """Two bytes of its own, which with a text's digest make the key of an answer."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All questions, by when they are asked."""

    gate: Question | None
    """Asked of every post, first: what it finds decides about `by_emotion`. None: no cascade."""
    always: tuple[Question, ...]
    """Asked of every post, beside the gate."""
    by_emotion: dict[str, tuple[Question, ...]]
    """Asked where the gate found the emotion; of all of them where the gate has no answer."""
    derive_valence_class: bool
    derive_intensity_class: bool
    tasks: tuple[Task, ...]
    """Every task that may be asked."""
    signature: str
    """The task set in words; part of every event's id."""

    def after(self, found: object) -> tuple[Question, ...]:
        """Give what is to ask once the gate has its answer: labels, or anything else for none."""
        if not isinstance(found, tuple):
            return tuple(q for questions in self.by_emotion.values() for q in questions)
        return tuple(q for label in found for q in self.by_emotion.get(label, ()))


def make_plan(options: Tasks, custom: Sequence[Task] = ()) -> Plan:
    """Make the plan of the configured tasks and the custom ones."""
    ranks = iter(range(65_536))

    def ask(task: Task, emotion: str | None = None) -> Question:
        rank = next(ranks)
        name = task.key(emotion)
        suffix = rank.to_bytes(2, "big")
        return Question(task=task, emotion=emotion, name=name, rank=rank, suffix=suffix)

    asks_intensity = options.ei_reg or options.ei_oc == "ask"
    cascade = asks_intensity and options.ei_emotions == "cascade"
    intensity = [EI_REG] * options.ei_reg + [EI_OC] * (options.ei_oc == "ask")
    gate = ask(E_C) if cascade else None
    single = (
        [E_C] * (options.e_c and not cascade)
        + [V_REG] * options.v_reg
        + [V_OC] * (options.v_oc == "ask")
    )
    always = [ask(task) for task in single]
    of_emotions = {
        emotion: tuple(ask(task, emotion) for task in intensity) for emotion in INTENSITY_EMOTIONS
    }
    if not cascade:
        always += sorted(
            (q for questions in of_emotions.values() for q in questions), key=lambda q: q.task.name
        )
        of_emotions = {}
    for task in custom:
        always += [ask(task, emotion) for emotion in task.emotions or (None,)]
    return Plan(
        gate=gate,
        always=tuple(always),
        by_emotion=of_emotions if cascade else {},
        derive_valence_class=options.v_oc == "derive",
        derive_intensity_class=options.ei_oc == "derive",
        tasks=tuple([E_C] * cascade + single + intensity + list(custom)),
        signature=_signature(options, custom),
    )


def _signature(options: Tasks, custom: Sequence[Task]) -> str:
    parts = [E_C.name] * options.e_c + [V_REG.name] * options.v_reg
    parts += [] if options.v_oc == "off" else [f"{V_OC.name}={options.v_oc}"]
    parts += [EI_REG.name] * options.ei_reg
    parts += [] if options.ei_oc == "off" else [f"{EI_OC.name}={options.ei_oc}"]
    if options.ei_reg or options.ei_oc == "ask":
        parts.append(f"EI={options.ei_emotions}")
    return ",".join([*parts, *(task.name for task in custom)])
