"""Examples as numbers: the prompt's ids, and what each position of the answer should be.

Numbers are learnt as a Gaussian over the hundredths and classes as that Gaussian's mass in each
class's band: a near miss costs little, as it does in Pearson's coefficient.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from emollm.bands import INTENSITY_BANDS, VALENCE_BANDS
from training import vocabulary
from training.data import SENTIMENTS, Example

NUMBER_SPREAD: Final = 0.09
"""Standard deviation of a number's target, on the scale of the scores: wide enough that the
likeliest number, which is what greedy decoding says, is near the mean of all."""
CLASS_SPREAD: Final = 0.08
"""The same for the ordinal classes: about half a band."""
LONGEST: Final = 96
"""Prompt tokens in training; a longer post loses its end, never its markers."""
UNKNOWN_WORDING: Final = 0.15
"""Share of the tweets' prompts that are trained without the marker before the post."""
UNKNOWN_WORDING_OTHERS: Final = 0.5
"""The same for other texts, which are asked about in other wordings more often."""

WEIGHTS: Final[Mapping[str, float]] = {"E-c": 0.6, "sentiment": 0.6, "emotions28": 0.4}
"""Weight of one answer token in the loss; 1 for the tasks that aren't named."""
LABEL_LEAST: Final = 0.4
"""From which probability on a teacher's answer lists a label: a little under one half, as
Jaccard's index rewards."""
END_WEIGHT: Final = 0.1
"""Weight of the end after an answer of one token, which is learnt at once."""

GOEMOTIONS: Final = 28
AUXILIARY: Final = (
    "\ue200",
    "\ue201",
    *(f"\ue202{label}" for label in SENTIMENTS),
    *(f"\ue203{number}" for number in range(GOEMOTIONS)),
)
"""Entries of the auxiliary tasks: two markers, then their answers. They are not shipped."""


@dataclass(frozen=True, slots=True)
class Item:
    """One example in numbers.

    `prompt` are token ids; `answer` are indices into the answer space, the end included;
    `target` (answer length x answer space) and `weight` (answer length) make its loss.
    """

    prompt: list[int]
    answer: list[int]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


def _mass_below(limit: float, mean: float, spread: float) -> float:
    """The normal distribution's cumulative mass."""
    return 0.5 * (1.0 + math.erf((limit - mean) / (spread * math.sqrt(2.0))))


def number_target(score: float, spread: float = 0.0) -> NDArray[np.float32]:
    """Probabilities of the 101 hundredths: a Gaussian around the score, cut to 0..1.

    `spread` is the standard deviation of the score's own error, where it has one.
    """
    grid = np.arange(101) / 100
    density = np.exp(-0.5 * ((grid - score) / math.hypot(NUMBER_SPREAD, spread)) ** 2)
    target: NDArray[np.float32] = (density / density.sum()).astype(np.float32)
    return target


def class_target(score: float, emotion: str) -> NDArray[np.float32]:
    """Probabilities of the ordinal classes, lowest first: the score's mass in each band."""
    bands = INTENSITY_BANDS[emotion] if emotion else VALENCE_BANDS
    limits = (-math.inf, *bands, math.inf)
    below = [_mass_below(limit, score, CLASS_SPREAD) for limit in limits]
    return np.diff(np.array(below)).astype(np.float32)


def likely_labels(probabilities: Sequence[float]) -> list[int]:
    """The places of the labels that an answer lists, of their probabilities; sometimes none."""
    return [place for place, probability in enumerate(probabilities) if probability >= LABEL_LEAST]


def label_targets(probabilities: Sequence[float], listed: Sequence[int]) -> NDArray[np.float32]:
    """With what an E-c answer goes on at each of its steps, by the labels' probabilities.

    `listed` are the places of the labels that the answer lists, in order. Gives an array of
    (their number + 1) x (labels, then the end): the next label is the first one after the last
    listed that applies, each independently of the others.
    """
    rows = np.zeros((len(listed) + 1, len(probabilities) + 1), np.float32)
    for row, last in zip(rows, (-1, *listed), strict=True):
        left = 1.0
        for place in range(last + 1, len(probabilities)):
            row[place] = left * probabilities[place]
            left *= 1.0 - probabilities[place]
        row[-1] = left
    return rows


class Encoder:
    """Turns examples into items, for one tokenizer and its word list.

    The answer space is `vocabulary.ANSWERS`, the end, then the auxiliary answers; `space` holds
    the vocabulary id of each of its members.
    """

    def __init__(self, tokenizer: Tokenizer, words: Sequence[str]) -> None:
        everything = [*words, *AUXILIARY]
        self._tokenizer = tokenizer
        self._ids = {word: number for number, word in enumerate(everything)}
        answers = [vocabulary.answer_token(answer) for answer in vocabulary.ANSWERS]
        self.space = [self._ids[word] for word in (*answers, "[SEP]", *AUXILIARY[2:])]
        self.end = len(answers)
        self.start_id = self._ids["[CLS]"]
        self._places = {answer: number for number, answer in enumerate(vocabulary.ANSWERS)}

    def items(self, examples: Sequence[Example], seed: int) -> list[Item]:
        """All examples in numbers; `seed` draws the prompts that lose their first marker."""
        draw = random.Random(seed)  # noqa: S311  no secret hangs on it
        encodings = self._tokenizer.encode_batch(
            [example.text for example in examples], add_special_tokens=False
        )
        return [
            self._item(
                example,
                encoding.ids,
                known=draw.random()
                >= (UNKNOWN_WORDING if example.tweet else UNKNOWN_WORDING_OTHERS),
            )
            for example, encoding in zip(examples, encodings, strict=True)
        ]

    def _item(self, example: Example, text: list[int], *, known: bool) -> Item:
        if example.question in vocabulary.QUESTION_MARKERS:
            before = vocabulary.TASK_MARKERS[example.task]
            after = vocabulary.QUESTION_MARKERS[example.question]
        else:
            before = after = AUXILIARY[0 if example.task == "sentiment" else 1]
        opening = [self.start_id, *([self._ids[before]] if known else [])]
        closing = [self._ids[after], self._ids["[SEP]"]]
        prompt = [*opening, *text[: LONGEST - len(opening) - len(closing)], *closing]
        answer = [*self._answer(example), self.end]
        target = np.zeros((len(answer), len(self.space)), np.float32)
        target[np.arange(len(answer)), answer] = 1.0
        weight = np.full(len(answer), WEIGHTS.get(example.task, 1.0), np.float32)
        if len(answer) == 2:  # one token and the end
            weight[1] = END_WEIGHT
        if example.task.endswith("-reg"):
            target[0] = 0.0
            target[0, : len(vocabulary.NUMBERS)] = number_target(example.score, example.spread)
        elif example.task.endswith("-oc"):
            target[0] = 0.0
            target[0, self._classes(example.emotion)] = class_target(example.score, example.emotion)
        elif example.probabilities:
            labels = [self._places[vocabulary.SEPARATOR + label] for label in vocabulary.LABELS]
            rows = label_targets(example.probabilities, likely_labels(example.probabilities))
            target[: len(rows)] = 0.0
            target[: len(rows), labels] = rows[:, :-1]
            ends = np.full(len(rows), self._places[vocabulary.FULL_STOP])
            ends[0] = self._places[vocabulary.NEUTRAL]
            target[np.arange(len(rows)), ends] = rows[:, -1]
        return Item(prompt, answer, target, weight)

    def _classes(self, emotion: str) -> list[int]:
        """The places of an ordinal task's answers, lowest class first."""
        answers = vocabulary.INTENSITY_CLASSES[emotion] if emotion else vocabulary.VALENCE_CLASSES
        return [self._places[answer] for answer in answers]

    def _answer(self, example: Example) -> list[int]:
        """The gold answer as places in the answer space, without the end."""
        if example.task.endswith("-reg"):
            return [round(example.score * 100)]
        if example.task.endswith("-oc"):
            lowest = 0 if example.emotion else min(vocabulary.DEGREES)
            return [self._classes(example.emotion)[example.level - lowest]]
        if example.task == "E-c":
            listed = example.labels or tuple(
                vocabulary.LABELS[place] for place in likely_labels(example.probabilities)
            )
            if not listed:
                return [self._places[vocabulary.NEUTRAL]]
            labels = [self._places[vocabulary.SEPARATOR + label] for label in listed]
            return [*labels, self._places[vocabulary.FULL_STOP]]
        first = self.end + 1 + (0 if example.task == "sentiment" else len(SENTIMENTS))
        return [first + int(label) for label in example.labels]
