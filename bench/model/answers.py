"""Answers that the readers can read: from a file, else made up, the same for the same prompt."""

import zlib
from collections.abc import Mapping, Sequence
from itertools import combinations

from emollm.tasks import E_C, EI_OC, EI_REG, V_OC, V_REG

_MOODS = {
    "I am so happy today": ("0.95", "3", ("joy", "love")),
    "I am furious": ("0.1", "-3", ("anger", "disgust")),
    "I am terrified": ("0.15", "-2", ("fear",)),
    "The meeting was moved": ("0.5", "0", ()),
}
"""The canary's texts by their beginnings: valence, its class, emotions (see `emollm.canary`)."""


class Answers:
    """What a stub says to a prompt of any of the five tasks."""

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
        """A readable answer, picked by the prompt's checksum; to the canary's texts a right one."""
        end = prompt[-120:]
        mood = next((mood for mark, mood in _MOODS.items() if mark in prompt), None)
        if "This tweet contains emotions: " in end:
            return self._pick(self._e_c, prompt) if mood is None else E_C.write(mood[2])
        _, has_emotion, rest = end.partition("Emotion E: ")
        emotion = rest.partition(".")[0]
        if "Intensity Class: " in end:
            if has_emotion:
                right = None if mood is None else EI_OC.write(3 * (emotion in mood[2]), emotion)
                return right or self._pick(self._ei_oc[emotion], prompt)
            return self._pick(self._v_oc, prompt) if mood is None else V_OC.write(int(mood[1]))
        if has_emotion:
            right = None if mood is None else ("0.9" if emotion in mood[2] else "0.1")
            return right or self._pick(self._ei_reg, prompt)
        return self._pick(self._v_reg, prompt) if mood is None else mood[0]

    @staticmethod
    def _pick(choices: Sequence[str], prompt: str) -> str:
        return choices[zlib.crc32(prompt.encode()) % len(choices)]
