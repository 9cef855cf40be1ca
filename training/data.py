"""Reading the training data: SemEval-2018 task 1, and three other sets beside it.

Nothing here is shipped: the folders stay where the licence of each lets them be.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emollm.prompts import benchmark_text
from training import vocabulary

SENTIMENTS: Final = ("negative", "neutral", "positive")
"""The labels of SemEval-2017 task 4A."""

_LEAST_LETTERS: Final = 8
"""Shorter texts of EmoBank are pieces of sentences ("No.", "..")."""
_STRETCH: Final = 0.54
"""EmoBank's ratings, 1 to 5, keep close to the middle, 3: this brings their standard deviation
from .35 to .19, a little under that of the tweets' valence."""
_POSITIVE: Final = 0.75
_NEGATIVE: Final = 0.25
"""Valence of a comment of which only the sign is known, about the mean of its half of the scale."""
_SIGN_SPREAD: Final = 0.12
"""How far such a comment's valence may be from that: about the standard deviation of a half."""

POSITIVE_EMOTIONS: Final = frozenset(
    [
        "admiration",
        "amusement",
        "approval",
        "caring",
        "desire",
        "excitement",
        "gratitude",
        "joy",
        "love",
        "optimism",
        "pride",
        "relief",
    ]
)
NEGATIVE_EMOTIONS: Final = frozenset(
    [
        "anger",
        "annoyance",
        "disappointment",
        "disapproval",
        "disgust",
        "embarrassment",
        "fear",
        "grief",
        "nervousness",
        "remorse",
        "sadness",
    ]
)
"""GoEmotions' own grouping of its labels by sentiment; the four others are ambiguous."""


@dataclass(frozen=True, slots=True)
class Example:
    """One post and one question about it, with the gold answer.

    `score` is the real-valued label in 0..1 (also for the ordinal tasks, whose classes are bands
    of the same tweet's score), `level` the ordinal class, `labels` the emotions of E-c or the
    label numbers of an auxiliary set; or `probabilities` are those of all labels, where a teacher
    gave them. `tweet` is whether it is one, or a text of another kind;
    `spread` is the standard deviation of the score's error, beyond that of any rating.
    """

    task: str
    text: str
    emotion: str = ""
    score: float = 0.0
    level: int = 0
    labels: tuple[str, ...] = field(default=())
    tweet: bool = True
    spread: float = 0.0
    probabilities: tuple[float, ...] = ()

    @property
    def question(self) -> str:
        """The name in `vocabulary.QUESTIONS`, for the five tasks."""
        return f"{self.task} {self.emotion}" if self.emotion else self.task


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a tab-separated file, without its header; quotes are text."""
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(reader)
        yield from reader


def _scored(folder: Path, part: str) -> Iterator[Example]:
    """The examples of the four tasks with a score or a class."""
    for prefix, tasks, emotions in (
        ("EI", ("EI-reg", "EI-oc"), vocabulary.EMOTIONS),
        ("Valence", ("V-reg", "V-oc"), ("",)),
    ):
        for emotion in emotions:
            middle = f"-{emotion}" if emotion else ""
            scores = {
                row[0]: (row[1], float(row[3]))
                for row in _rows(folder / f"{prefix}-reg-En{middle}-{part}.txt")
            }
            levels = {
                row[0]: int(row[3].partition(":")[0])
                for row in _rows(folder / f"{prefix}-oc-En{middle}-{part}.txt")
            }
            for key, (text, score) in scores.items():
                for task in tasks:
                    yield Example(task, benchmark_text(text), emotion, score, levels[key])


def semeval(data: Path, part: str) -> list[Example]:
    """SemEval-2018's five English tasks; `part` is `train` or `dev`."""
    folder = data / "semeval2018"
    examples = list(_scored(folder, part))
    for row in _rows(folder / f"E-c-En-{part}.txt"):
        labels = tuple(
            label for label, flag in zip(vocabulary.LABELS, row[2:], strict=True) if flag == "1"
        )
        examples.append(Example("E-c", benchmark_text(row[1]), labels=labels))
    return examples


def sentiment(data: Path) -> list[Example]:
    """SemEval-2017 task 4A and its forerunners: tweets that are negative, neutral or positive."""
    seen: dict[str, Example] = {}
    for path in sorted((data / "semeval2017_4A" / "train").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            cells = line.rstrip("\t\r").split("\t")
            if len(cells) >= 3 and cells[1] in SENTIMENTS:
                text = cells[2].strip().strip('"')
                labels = (str(SENTIMENTS.index(cells[1])),)
                seen.setdefault(text, Example("sentiment", benchmark_text(text), labels=labels))
    return list(seen.values())


def emotions28(data: Path) -> list[Example]:
    """GoEmotions' training comments with the numbers of their labels, out of 28."""
    folder = data / "goemotions"
    examples = []
    for line in (folder / "train.tsv").read_text(encoding="utf-8").splitlines():
        text, numbers, _ = line.split("\t")
        labels = tuple(sorted(numbers.split(","), key=int))
        examples.append(Example("emotions28", benchmark_text(text), labels=labels))
    return examples


def other_valence(data: Path) -> list[Example]:
    """Valence of sentences of news, fiction, letters, essays and blogs: EmoBank's training set."""
    examples = []
    with (data / "emobank" / "train.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            text = row["text"].strip(' "')
            if len(text) >= _LEAST_LETTERS:
                score = min(1.0, max(0.0, 0.5 + (float(row["V"]) - 3.0) * _STRETCH))
                examples.append(Example("V-reg", benchmark_text(text), score=score, tweet=False))
    return examples


def comment_valence(data: Path) -> list[Example]:
    """Valence of GoEmotions' training comments, by the sign of their labels.

    Comments whose labels disagree, or are ambiguous, are left out.
    """
    folder = data / "goemotions"
    names = (folder / "labels.txt").read_text(encoding="utf-8").split()
    examples = []
    for line in (folder / "train.tsv").read_text(encoding="utf-8").splitlines():
        text, numbers, _ = line.split("\t")
        labels = {names[int(number)] for number in numbers.split(",")}
        if labels <= POSITIVE_EMOTIONS:
            score = _POSITIVE
        elif labels <= NEGATIVE_EMOTIONS:
            score = _NEGATIVE
        elif labels == {"neutral"}:
            score = 0.5
        else:
            continue
        examples.append(
            Example("V-reg", benchmark_text(text), score=score, tweet=False, spread=_SIGN_SPREAD)
        )
    return examples


def emoji(texts: Iterable[str], pattern: str, least: int) -> list[str]:
    """The emoji that occur at least `least` times, by code point."""
    counts = Counter(sign for text in texts for sign in re.findall(pattern, text))
    return sorted(sign for sign, count in counts.items() if count >= least)
