"""Answers that the readers can read: from a file, else made up, the same for the same prompt."""

import zlib
from collections.abc import Mapping, Sequence
from itertools import combinations

from emollm.canary import CANARIES, Canary
from emollm.readers import Value
from emollm.tasks import E_C, EI_OC, EI_REG, TASKS, V_OC, V_REG

_CANARY_TEXTS = tuple({canary.text for canary in CANARIES})


def right_answer(prompt: str) -> str | None:
    """Return the answer that passes, where the prompt asks a canary; else None."""
    if not any(text in prompt for text in _CANARY_TEXTS):
        return None
    for canary in CANARIES:
        task = TASKS[canary.task]
        asked = any(wording in prompt for wording in task.wordings)
        about = canary.emotion is None or f"Emotion E: {canary.emotion}." in prompt
        if asked and about and canary.text in prompt:
            return task.write(_right_value(canary), canary.emotion)
    return None


def _right_value(canary: Canary) -> Value:
    if canary.any_of:
        return (canary.any_of[0],)
    low = canary.minimum if canary.minimum is not None else (-3 if canary.task == "V-oc" else 0)
    high = canary.maximum if canary.maximum is not None else max(low, 1)
    return (low + high) / 2 if canary.task.endswith("-reg") else int(low)


class Answers:
    """Readable answers to the prompts of any of the five tasks."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """`known` are prompts with the answers that a real model gave."""
        self._known = dict(known or {})
        self._v_reg = [V_REG.write(n / 1000) for n in range(1001)]
        self._v_oc = [V_OC.write(n) for n in range(-3, 4)]
        self._ei_reg = [EI_REG.write(n / 1000, EI_REG.emotions[0]) for n in range(1001)]
        self._ei_oc = {e: [EI_OC.write(n, e) for n in range(4)] for e in EI_OC.emotions}
        labels = ("anger", "fear", "joy", "love", "optimism", "sadness")
        self._e_c = [E_C.write(found) for n in range(3) for found in combinations(labels, n)]

    def known(self, prompt: str) -> str | None:
        """The answer from the file; None where it has none."""
        return self._known.get(prompt)

    def make_up(self, prompt: str) -> str:
        """A readable answer, picked by the prompt's checksum; to a canary a right one."""
        if right := right_answer(prompt):
            return right
        end = prompt[-120:]
        if "This tweet contains emotions: " in end:
            return self._pick(self._e_c, prompt)
        _, has_emotion, rest = end.partition("Emotion E: ")
        if "Intensity Class: " in end:
            classes = self._ei_oc[rest.partition(".")[0]] if has_emotion else self._v_oc
            return self._pick(classes, prompt)
        return self._pick(self._ei_reg if has_emotion else self._v_reg, prompt)

    @staticmethod
    def _pick(choices: Sequence[str], prompt: str) -> str:
        return choices[zlib.crc32(prompt.encode()) % len(choices)]
