"""Leanings: what is added to the logits of single answers, so that greedy decoding scores best.

A greedy answer is the likeliest one, which isn't the one that scores best: Jaccard's index rewards
a label that is a little less likely than not, Pearson's coefficient a class that isn't the frequent
one. A constant per answer, which goes into the model's `final_logits_bias`, makes up for part of it
and costs nothing. It is found by coordinate ascent, on posts that the model wasn't trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training import vocabulary
from training.evaluation.metrics import jaccard, pearson

Numbers = NDArray[np.float64]
Prefix = tuple[int, ...]
Step = tuple[int, Prefix]
"""A post's number, and what is written of its answer so far: places among the choices."""
Logits = Callable[[Sequence[Step]], Numbers]
"""With which logits (steps x choices) each step goes on."""

LABELS: Final = tuple(vocabulary.SEPARATOR + label for label in vocabulary.LABELS)
CHOICES: Final = (*LABELS, vocabulary.NEUTRAL, vocabulary.FULL_STOP)
"""With what an E-c answer goes on, of `vocabulary.ANSWERS`; what isn't a label ends it."""

_FIRST_STRIDE: Final = 0.8
_LAST_STRIDE: Final = 0.1
_PENALTY: Final = 0.0005
"""Taken off the score per squared unit of leaning: a few posts aren't worth a large one."""
_FOLDS: Final = 5


class Task:
    """Posts of one question, and how well the greedy answers under a leaning agree with the gold.

    `choices` are the answers that a leaning has one number for each, in this order.
    """

    def __init__(self, choices: Sequence[str], posts: int) -> None:
        self.choices, self.posts = choices, posts

    def score(self, leaning: Numbers, posts: Sequence[int]) -> float:
        """The benchmark's score of some of the posts, by number."""
        raise NotImplementedError


class Labels(Task):
    """E-c, scored by Jaccard's index. Each step of an answer is computed once."""

    def __init__(self, logits: Logits, gold: Sequence[Sequence[str]]) -> None:
        super().__init__(CHOICES, len(gold))
        self._logits = logits
        self._gold = [frozenset(vocabulary.SEPARATOR + label for label in one) for one in gold]
        self._known: dict[Step, Numbers] = {}

    def answers(self, leaning: Numbers, posts: Sequence[int]) -> list[frozenset[str]]:
        """The labels that greedy decoding gives each post."""
        written: dict[int, Prefix] = dict.fromkeys(posts, ())
        still_open = list(posts)
        for _ in LABELS:
            self._look_up([(post, written[post]) for post in still_open])
            going_on = []
            for post in still_open:
                best = int(np.argmax(self._known[post, written[post]] + leaning))
                if best < len(LABELS) and best not in written[post]:
                    written[post] = (*written[post], best)
                    going_on.append(post)
            still_open = going_on
        return [frozenset(LABELS[place] for place in written[post]) for post in posts]

    def score(self, leaning: Numbers, posts: Sequence[int]) -> float:
        """Jaccard's index, the mean over the posts."""
        return jaccard(self.answers(leaning, posts), [self._gold[post] for post in posts])

    def _look_up(self, steps: Sequence[Step]) -> None:
        missing = [step for step in steps if step not in self._known]
        if missing:
            self._known.update(zip(missing, self._logits(missing), strict=True))


class Classes(Task):
    """An ordinal task of one emotion, or of valence, scored by Pearson's coefficient.

    `logits` (posts x classes) and `choices` begin with the lowest class, `gold` are the levels.
    """

    def __init__(self, logits: Numbers, choices: Sequence[str], gold: Sequence[int]) -> None:
        super().__init__(choices, len(gold))
        self._logits, self._gold = logits, gold

    def score(self, leaning: Numbers, posts: Sequence[int]) -> float:
        """Pearson's coefficient of the classes."""
        given = (self._logits[list(posts)] + leaning).argmax(-1)
        return pearson(given.tolist(), [self._gold[post] for post in posts])


def tuned(task: Task, posts: Sequence[int], start: Numbers) -> Numbers:
    """The leaning near `start` that scores best on `posts`: coordinate ascent, ever finer."""

    def worth(leaning: Numbers) -> float:
        return task.score(leaning, posts) - _PENALTY * float(((leaning - start) ** 2).sum())

    best, best_worth = start.copy(), worth(start)
    stride = _FIRST_STRIDE
    while stride >= _LAST_STRIDE:
        improved = False
        for place in range(len(start)):
            for move in (stride, -stride):
                tried = best.copy()
                tried[place] += move
                if (tried_worth := worth(tried)) > best_worth + 1e-9:
                    best, best_worth, improved = tried, tried_worth, True
                    break
        if not improved:
            stride /= 2
    return best


def held_out(task: Task, start: Numbers) -> tuple[float, float]:
    """What tuning gains: mean scores of `start` and of tuned leanings, on folds not tuned on."""
    before, after = [], []
    for fold in range(_FOLDS):
        others = [post for post in range(task.posts) if post % _FOLDS != fold]
        mine = range(fold, task.posts, _FOLDS)
        before.append(task.score(start, mine))
        after.append(task.score(tuned(task, others, start), mine))
    return float(np.mean(before)), float(np.mean(after))


def improved(
    task: Task, leanings: dict[str, float], report: Callable[[str], None], name: str
) -> dict[str, float]:
    """The leanings of a task's choices, tuned where cross-validation says that it helps.

    None is above 0: an answer must not win where another task was asked.
    """
    start = np.array([leanings.get(choice, 0.0) for choice in task.choices])
    before, after = held_out(task, start)
    report(f"leanings of {name}: {before:.3f}, tuned (cross-validated) {after:.3f}")
    found = tuned(task, range(task.posts), start) if after > before else start
    return dict(zip(task.choices, (found - np.max(found)).tolist(), strict=True))
