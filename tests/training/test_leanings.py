"""Leanings make greedy answers score better, and only where cross-validation says so."""

from collections.abc import Sequence

import numpy as np
import pytest

from training import vocabulary
from training.leanings import CHOICES, LABELS, Classes, Labels, Numbers, Step, improved, tuned

ANGER, FEAR = vocabulary.LABELS.index("anger"), vocabulary.LABELS.index("fear")
FULL_STOP = CHOICES.index(vocabulary.FULL_STOP)


class Reluctant:
    """A model that sees anger in each post, and fear, too, but ends its answer just before."""

    def __init__(self) -> None:
        self.asked: list[Step] = []

    def __call__(self, steps: Sequence[Step]) -> Numbers:
        self.asked += steps
        logits = np.full((len(steps), len(CHOICES)), -5.0)
        for row, (_, prefix) in enumerate(steps):
            if not prefix:
                logits[row, ANGER] = 2.0
            elif prefix == (ANGER,):
                logits[row, FULL_STOP], logits[row, FEAR] = 0.3, 0.0
            else:
                logits[row, FULL_STOP] = 2.0
        return logits


def test_labels_that_greedy_decoding_leaves_out_are_found() -> None:
    task = Labels(Reluctant(), [("anger", "fear")] * 20)
    start = np.zeros(len(CHOICES))
    assert task.score(start, range(20)) == 0.5
    assert task.score(tuned(task, range(20), start), range(20)) == 1.0


def test_no_step_is_computed_twice() -> None:
    model = Reluctant()
    task = Labels(model, [("anger",), ("anger", "fear")])
    tuned(task, range(2), np.zeros(len(CHOICES)))
    assert len(model.asked) == len(set(model.asked))


def test_an_answer_has_no_label_twice() -> None:
    """A leaning that would make a label follow itself ends the answer instead."""
    leaning = np.zeros(len(CHOICES))
    leaning[ANGER] = 100.0
    task = Labels(Reluctant(), [("anger",)])
    assert task.answers(leaning, [0]) == [{LABELS[ANGER]}]


def test_a_class_that_is_too_likely_loses() -> None:
    draw = np.random.default_rng(3)
    gold = draw.integers(0, 4, 300)
    logits = -((np.arange(4) - gold[:, None] - draw.normal(0, 0.6, (300, 1))) ** 2)
    logits[:, 1] += 2.0
    choices = vocabulary.INTENSITY_CLASSES["anger"]
    task = Classes(logits, choices, gold.tolist())
    lines: list[str] = []
    found = improved(task, {}, lines.append, "EI-oc anger")
    leaning = np.array([found[choice] for choice in choices])
    before = task.score(np.zeros(4), range(300))
    assert task.score(leaning, range(300)) > before + 0.02
    assert np.argmin(leaning) == 1
    assert np.max(leaning) == 0
    assert "EI-oc anger" in lines[0]


def test_leanings_that_only_fit_chance_are_left_alone() -> None:
    """Classes that have nothing to do with the gold ones: what tuning gains on them is luck."""
    draw = np.random.default_rng(1)
    logits, gold = draw.normal(0, 1, (60, 4)), draw.integers(0, 4, 60)
    choices = vocabulary.INTENSITY_CLASSES["joy"]
    task = Classes(logits, choices, gold.tolist())
    found = improved(task, {choices[2]: -0.5}, lambda _: None, "EI-oc joy")
    assert [found[choice] for choice in choices] == pytest.approx([0, 0, -0.5, 0])
