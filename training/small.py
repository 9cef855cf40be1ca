"""The recipe: from MiniLM and the data folder to the trained small model.

Epoch 0 mixes SemEval-2018's training set with the two auxiliary sets, epoch 1 is without them,
and the later ones stress intensity, the hardest of the tasks. Each epoch also asks for the valence
of some texts that aren't tweets: of EmoBank's sentences, and of GoEmotions' comments, of which only
the sign is known. The dev set was annotated
together with the test set, a year after the training set, and is worth learning from: it joins
from epoch `DEV_FROM` on, by this schedule and by no score. Until then it is held out, and the
scores on it guide the choice of the recipe. What ships is the running average of the weights.

Where the work folder holds what a teacher said of unrated texts (`training.teacher` writes it),
the epochs without the dev set learn some of that, too. The last epoch is short: half of the
training set's tweets, and the dev set twice.

Each epoch is kept in the work folder, and every some minutes the one that is under way: a run that
was cut off goes on from there.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch.multiprocessing.spawn import spawn
from transformers import BartForConditionalGeneration

from training import convert, data, distil, export, leanings, vocabulary, wordings
from training import tokenizer as tokenizers
from training.data import Example
from training.loop import BATCH, Slope, Trainer
from training.predict import StepLogits, answers, places, scores
from training.targets import AUXILIARY, Encoder
from training.team import Team

INTENSITY_FROM: Final = 2
"""The first epoch that asks each post's intensity both ways, and half of E-c's posts."""
DEV_FROM: Final = 3
"""The first epoch that trains on the dev set."""
ADJUSTMENT: Final = 1.0
"""How much of the logarithm of a class's share is taken off its logit; chosen on dev."""
READINGS: Final = "readings.jsonl"
"""The file in the work folder that holds the teacher's readings."""
_EMOJI_LEAST: Final = 2
_WARM_UP: Final = 300  # batches
_MIDDLE: Final = 0.5  # the learning rates' factor at the end of epoch 0
_AGAIN: Final = 0.2  # and at the start of the last epoch
_LAST: Final = 0.01

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained how long.

    `sentiment` and `emotions28` are numbers of auxiliary examples, `texts` of those that aren't
    tweets in the first epoch (a third of it in the later ones), `taught_tweets` and `taught_texts`
    of the teacher's readings of tweets and others in the first epoch (two thirds and a third of it
    in the later ones until dev joins), `epochs` those after the joint one, `workers` processes of
    one thread each.
    """

    seed: int = 7
    sentiment: int = 2_000
    emotions28: int = 3_000
    texts: int = 3_000
    taught_tweets: int = 4_500
    taught_texts: int = 2_400
    epochs: int = 4
    workers: int = 2


def vocabulary_words(examples: Sequence[Example]) -> list[str]:
    """The small model's word list: BERT's, common and seen emoji, markers, answers."""
    seen = data.emoji({one.text for one in examples}, tokenizers.EMOJI_PATTERN, _EMOJI_LEAST)
    return vocabulary.extend(convert.base_words(), sorted({*seen, *tokenizers.COMMON_EMOJI}))


def _has_turn(example: Example, epoch: int) -> bool:
    """Whether an example is asked in this epoch.

    At first a post's intensity is asked as a score in one epoch and as a class, which follows from
    the same score, in the next: half the work for nearly the same lesson. Later the posts of E-c
    take turns.
    """
    even = (zlib.crc32(f"{example.emotion} {example.text}".encode()) + epoch) % 2 == 0
    if epoch < INTENSITY_FROM:
        return not example.task.startswith("EI") or even == (example.task == "EI-reg")
    return example.task != "E-c" or even


class Recipe:
    """One worker's view of the training: data, words, tokenizer and the work folder."""

    def __init__(self, plan: Plan, folder: Path, work: Path) -> None:
        self.plan, self.work = plan, work
        self._train = data.semeval(folder, "train")
        self.dev = data.semeval(folder, "dev")
        self._sentiment, self._emotions28 = data.sentiment(folder), data.emotions28(folder)
        self._texts = self._interleaved(data.other_valence(folder), data.comment_valence(folder))
        readings = distil.read(work / READINGS) if (work / READINGS).exists() else []
        self._tweets = [one for one in readings if one.tweet]
        self._others = [one for one in readings if not one.tweet]
        self.words = vocabulary_words([*self._train, *self._sentiment, *self._emotions28])
        self.tokenizer = tokenizers.build(self.words, wordings.load())
        self.encoder = Encoder(self.tokenizer, self.words)

    def fresh(self) -> BartForConditionalGeneration:
        """The model before training, with the auxiliary entries."""
        torch.manual_seed(self.plan.seed)
        return convert.fresh(self.words, AUXILIARY)

    def examples(self, epoch: int) -> list[Example]:
        """What an epoch trains on; at first V, the smallest set, twice."""
        if self._is_last(epoch):
            half = [one for one in self._train if zlib.crc32(one.text.encode()) % 2]
            return [*half, *self.dev, *self.dev]
        own = [*self._train, *(self.dev if epoch >= DEV_FROM else [])]
        own = [one for one in own if _has_turn(one, epoch)]
        if epoch < INTENSITY_FROM:
            own += [one for one in own if one.task.startswith("V")]
        own += self._other_texts(epoch) + self._taught(epoch)
        return own + (self._auxiliary() if epoch == 0 else [])

    def _is_last(self, epoch: int) -> bool:
        """Whether it is the short one at the end, which a plan without dev doesn't have."""
        return epoch == self.plan.epochs and epoch > DEV_FROM

    def _interleaved(self, *sets: Sequence[Example]) -> list[Example]:
        """One of each set by turns, in random order, until the smallest is used up."""
        generator = torch.Generator().manual_seed(self.plan.seed)
        orders = [torch.randperm(len(one), generator=generator).tolist() for one in sets]
        return [
            examples[number]
            for numbers in zip(*orders, strict=False)
            for examples, number in zip(sets, numbers, strict=True)
        ]

    def _other_texts(self, epoch: int) -> list[Example]:
        """An epoch's texts that aren't tweets, and that the epochs before didn't ask about."""
        later = self.plan.texts // 3
        first = self.plan.texts + later * (epoch - 1) if epoch else 0
        count = later if epoch else self.plan.texts
        return [self._texts[place % len(self._texts)] for place in range(first, first + count)]

    def _taught(self, epoch: int) -> list[Example]:
        """An epoch's questions about the teacher's readings, of texts that are new in it."""
        if epoch >= DEV_FROM:
            return []
        chosen: list[distil.Reading] = []
        for readings, first, later in (
            (self._tweets, self.plan.taught_tweets, self.plan.taught_tweets * 2 // 3),
            (self._others, self.plan.taught_texts, self.plan.taught_texts // 3),
        ):
            begin = first + later * (epoch - 1) if epoch else 0
            chosen += readings[begin : begin + (later if epoch else first)]
        return distil.examples(chosen, self.plan.seed + epoch)

    def _auxiliary(self) -> list[Example]:
        generator = torch.Generator().manual_seed(self.plan.seed)
        chosen: list[Example] = []
        for examples, count in (
            (self._sentiment, self.plan.sentiment),
            (self._emotions28, self.plan.emotions28),
        ):
            order = torch.randperm(len(examples), generator=generator)[:count].tolist()
            chosen += [examples[number] for number in order]
        return chosen

    def slope(self, epoch: int) -> tuple[Slope, int, int]:
        """The slope an epoch lies on, how many batches lie before it, and how many in all."""
        sizes = [-(-len(self.examples(number)) // BATCH) for number in range(self.plan.epochs + 1)]
        if epoch == 0:
            return Slope(1.0, _MIDDLE, _WARM_UP), 0, sizes[0]
        if self._is_last(epoch):
            return Slope(_AGAIN, _LAST), 0, sizes[epoch]
        between = sizes[1:-1] if self._is_last(self.plan.epochs) else sizes[1:]
        return Slope(_MIDDLE, _LAST), sum(sizes[1:epoch]), sum(between)

    def judge(self, trainer: Trainer) -> str:
        """The dev scores: worker 0 judges the running average, the others the weights as such."""
        average = trainer.rank == 0
        if average:
            trainer.swap()
        items = self.encoder.items(self.dev, seed=0)
        found = scores(self.dev, answers(trainer.model, self.encoder, items, self.leanings()))
        if average:
            trainer.swap()
        line = " ".join(f"{task} {value:.3f}" for task, value in found.items())
        return f"{'average' if average else 'weights'} on dev: {line}"

    def checkpoint(self, epoch: int) -> Path:
        """Where an epoch is kept."""
        return self.work / f"epoch-{epoch}.pt"

    def unfinished(self, epoch: int) -> Path:
        """Where an epoch that is under way is kept."""
        return self.work / f"epoch-{epoch}.unfinished.pt"

    def result(self) -> BartForConditionalGeneration:
        """The model that ships: the running average after the last epoch."""
        state = torch.load(self.checkpoint(self.plan.epochs), weights_only=True)
        names = [name for name, _ in self.fresh().named_parameters()]
        weights = dict(zip(names, state["average"], strict=True))
        chosen = self.leanings()
        if self.tuned_leanings.exists():
            chosen = json.loads(self.tuned_leanings.read_text(encoding="utf-8"))
        return export.assemble(self.words, weights, chosen)

    @property
    def tuned_leanings(self) -> Path:
        """Where the leanings are kept that were tuned on the dev set while it was held out."""
        return self.work / "leanings.json"

    def tune(self, model: BartForConditionalGeneration, report: Report) -> None:
        """Tune the leanings of the classes and of E-c's labels on the dev set, and keep them."""
        found = self.leanings()
        for question in vocabulary.QUESTIONS:
            name, _, emotion = question.partition(" ")
            if name.endswith("-reg"):
                continue
            own = [one for one in self.dev if one.question == question]
            items = self.encoder.items(own, seed=0)
            task: leanings.Task
            if name == "E-c":
                logits = StepLogits(model, self.encoder, items, places(leanings.CHOICES))
                task = leanings.Labels(logits, [one.labels for one in own])
            else:
                choices = vocabulary.INTENSITY_CLASSES.get(emotion, vocabulary.VALENCE_CLASSES)
                logits = StepLogits(model, self.encoder, items, places(choices))
                first = logits([(number, ()) for number in range(len(own))])
                task = leanings.Classes(first, choices, [one.level for one in own])
            found |= leanings.improved(task, found, report, question)
        text = json.dumps(found, indent=1, ensure_ascii=False)
        self.tuned_leanings.write_text(text, encoding="utf-8")

    def leanings(self) -> dict[str, float]:
        """What is added to the logits of the ordinal classes: less for a class that is frequent.

        Where tuning begins. A greedy answer is the likeliest class, and so too often the most
        frequent one; this makes it the class that the post makes likelier than it is anyway (logit
        adjustment: Menon et al., ICLR 2021), which agrees better with the gold classes' order.
        """
        found: dict[str, float] = {}
        for emotion in (*vocabulary.EMOTIONS, ""):
            answers_of = vocabulary.INTENSITY_CLASSES.get(emotion, vocabulary.VALENCE_CLASSES)
            task, lowest = ("EI-oc", 0) if emotion else ("V-oc", min(vocabulary.DEGREES))
            levels = [
                one.level for one in self._train if one.task == task and one.emotion == emotion
            ]
            counts = [levels.count(lowest + place) for place in range(len(answers_of))]
            for answer, count in zip(answers_of, counts, strict=True):
                # At most 0: a rare class must not win where another task was asked.
                found[answer] = -ADJUSTMENT * math.log(count / min(counts))
        return found


def _keep(path: Path, state: Mapping[str, Any]) -> None:
    """Write whole or not at all."""
    partly = path.with_suffix(".partial")
    torch.save(state, partly)
    partly.rename(path)


def _keep_unfinished(path: Path, trainer: Trainer, done: int) -> None:
    """Worker 0 keeps how far the epoch is."""
    if trainer.rank == 0:
        _keep(path, {**trainer.state(), "done": done})


def _work(  # noqa: PLR0917  as spawn hands them over
    rank: int, team: Team, plan: Plan, folder: Path, work: Path, report: Report
) -> None:
    """One worker's whole training."""
    torch.set_num_threads(1)
    recipe = Recipe(plan, folder, work)
    trainer = Trainer(recipe.fresh(), recipe.encoder, team, rank)
    for epoch in range(plan.epochs + 1):
        path, unfinished = recipe.checkpoint(epoch), recipe.unfinished(epoch)
        if path.exists():
            continue
        begin = 0
        if unfinished.exists():
            state = torch.load(unfinished, weights_only=True)
            begin = state["done"]
            trainer.load(state)
        elif epoch:
            trainer.load(torch.load(recipe.checkpoint(epoch - 1), weights_only=True))
        team.meet()  # everybody has looked before the first one writes
        name = f"epoch {epoch} worker {rank}"
        seed = plan.seed + epoch
        items = recipe.encoder.items(recipe.examples(epoch), seed)
        slope, done, steps = recipe.slope(epoch)
        begun = time.monotonic()
        trainer.epoch(
            items,
            seed=seed,
            slope=slope,
            done=done,
            steps=steps,
            report=partial(_report, report, name),
            begin=begin,
            keep=partial(_keep_unfinished, unfinished, trainer),
        )
        report(f"{name} took {time.monotonic() - begun:.0f} s for {len(items)} examples")
        if epoch == DEV_FROM - 1:
            report(f"{name} {recipe.judge(trainer)}")
            if rank == 0:
                trainer.swap()
                recipe.tune(trainer.model, partial(_report, report, name))
                trainer.swap()
        if rank == 0:
            _keep(path, trainer.state())
            unfinished.unlink(missing_ok=True)
        team.meet()  # nobody looks for the next checkpoint before it is there


def _report(report: Report, name: str, line: str) -> None:
    report(f"{name} {line}")


def train(plan: Plan, folder: Path, work: Path, report: Report) -> Recipe:
    """Train all epochs that the work folder doesn't hold yet.

    `report` is called in the workers, and so must be a function that pickle finds by its name.
    Raises `torch.multiprocessing.ProcessRaisedException` when a worker fails.
    """
    work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(plan, folder, work)
    team = Team(plan.workers, [parameter.shape for parameter in recipe.fresh().parameters()])
    spawn(  # type: ignore[no-untyped-call]
        _work, (team, plan, folder, work, report), nprocs=plan.workers, join=True
    )
    return recipe
