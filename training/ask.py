"""Scoring a model folder or a running server by the EmoLLMs' full prompts, as a user asks them.

Answers are read by `emollm`'s strict readers. One that can't be read counts as the middle of its
scale (as no label for E-c), so that saying nothing never pays.
"""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ctranslate2
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from emollm.prompts import Wrapper
from emollm.readers import Unreadable, Value
from emollm.tasks import TASKS
from training import data
from training.evaluation.metrics import f1, jaccard, pearson

Answerer = Callable[[Sequence[str]], list[str]]
"""Full prompts in, their answers in the same order."""

_EMOTION: Final = re.compile(r" Emotion E: (\w+)\. Intensity (?:Score|Class): \Z")
_MIDDLES: Final = {"EI-reg": 0.5, "EI-oc": 1.5, "V-reg": 0.5, "V-oc": 0.0}
SNIPPETS: Final = {
    "products": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "editorials": "nytEditorialSnippets",
}
"""Kinds of rated texts that aren't tweets, and their files' names."""
_SNIPPETS_EACH: Final = 1000
_BATCH: Final = 64
_AT_ONCE: Final = 32  # requests to a server: enough to fill its batches
_TIMEOUT_S: Final = 300.0
_NEW_TOKENS: Final = 16


@dataclass(frozen=True, slots=True)
class Question:
    """A full prompt and the gold answer's value."""

    task: str
    emotion: str
    prompt: str
    gold: Value


def _wrapped(instruction: str) -> str:
    before, after = Wrapper.HUMAN.value
    return f"{before}{instruction}{after}"


def dev(folder: Path) -> list[Question]:
    """SemEval-2018's dev set, its questions in all the wordings by turns."""
    questions = []
    for number, one in enumerate(data.semeval(folder, "dev")):
        task = TASKS[one.task]
        gold: Value = one.labels
        if one.task != "E-c":
            gold = one.score if one.task.endswith("-reg") else one.level
        wording = number % len(task.wordings)
        prompt = _wrapped(task.instruction(one.text, one.emotion or None, wording))
        questions.append(Question(one.task, one.emotion, prompt, gold))
    return questions


def recorded(folder: Path) -> list[Question]:
    """The half of SemEval-2018's test set for which real EmoLLMs' answers were recorded.

    It has no E-c. For a final score only, never for training or choosing.
    """
    questions = []
    with gzip.open(folder / "emollms_recorded_answers.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["ds_type"] not in TASKS:
                continue
            found = _EMOTION.search(row["instruction"])
            emotion = found[1] if found else ""
            gold = TASKS[row["ds_type"]].read(row["output"], emotion or None)
            if isinstance(gold, Unreadable):
                message = f"{row['ds_type']} {row['i']}: no gold answer"
                raise ValueError(message)  # noqa: TRY004  the data are wrong, not the type
            prompt = _wrapped(row["instruction"])
            questions.append(Question(row["ds_type"], emotion, prompt, gold))
    return questions


def snippets(folder: Path) -> dict[str, list[Question]]:
    """Texts of other kinds that people have rated for valence, a thousand of each, by kind.

    They are out of vaderSentiment's sdist (`hutto_ICWSM_2014.tar.gz` in it), unpacked into the
    folder's `vader/`. For scoring only: the model isn't trained on them, nor on their kinds.
    """
    task = TASKS["V-reg"]
    found = {}
    for kind, name in SNIPPETS.items():
        path = folder / "vader" / f"{name}_GroundTruth.txt"
        rows = [line.split("\t", 2) for line in path.read_text(encoding="utf-8").splitlines()]
        some = rows[:: max(1, len(rows) // _SNIPPETS_EACH)][:_SNIPPETS_EACH]
        found[kind] = [
            Question(
                task.name,
                "",
                _wrapped(task.instruction(text, None, number % len(task.wordings))),
                float(rating),
            )
            for number, (_, rating, text) in enumerate(some)
        ]
    return found


def light(folder: Path) -> Answerer:
    """The CTranslate2 form of a model folder, greedily, as the light engine runs it."""
    translator = ctranslate2.Translator(str(folder / "ct2"), device="cpu")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    ids = tokenizer.get_vocab()

    def answer(prompts: Sequence[str]) -> list[str]:
        results = translator.translate_batch(
            [encoding.tokens for encoding in tokenizer.encode_batch(list(prompts))],
            beam_size=1,
            max_batch_size=_BATCH,
            max_decoding_length=_NEW_TOKENS,
            use_vmap=(folder / "ct2" / "vmap.txt").exists(),
        )
        return tokenizer.decode_batch(
            [[ids[token] for token in one.hypotheses[0]] for one in results]
        )

    return answer


def heavy(folder: Path) -> Answerer:
    """The transformers form of a model folder, greedily, in bfloat16."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.bfloat16)

    def answer(prompts: Sequence[str]) -> list[str]:
        result = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            inputs = tokenizer([prompts[n] for n in batch], padding=True, return_tensors="pt")
            ids = model.generate(**inputs, max_new_tokens=_NEW_TOKENS)
            texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
            for number, text in zip(batch, texts, strict=True):
                result[number] = text
        return result

    return answer


def server(url: str) -> Answerer:
    """A running server's `/generate`, greedily. Raises `OSError` when it refuses a prompt."""

    def ask(prompt: str) -> str:
        body = {"inputs": prompt, "parameters": {"max_new_tokens": 48, "do_sample": False}}
        request = urllib.request.Request(  # noqa: S310  the caller's own server
            f"{url.rstrip('/')}/generate",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return str(json.load(reply)["generated_text"])

    def answer(prompts: Sequence[str]) -> list[str]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(ask, prompts))

    return answer


def score(questions: Sequence[Question], given: Sequence[str]) -> dict[str, float]:
    """The benchmark's scores of the tasks that were asked, and the share of unreadable answers."""
    read: dict[tuple[str, str], list[tuple[Value, Value]]] = {}
    unreadable = 0
    for question, text in zip(questions, given, strict=True):
        value = TASKS[question.task].read(text, question.emotion or None)
        if isinstance(value, Unreadable):
            unreadable += 1
            value = _MIDDLES.get(question.task, ())
        read.setdefault((question.task, question.emotion), []).append((value, question.gold))
    result: dict[str, float] = {}
    for task in TASKS:
        groups = [pairs for (name, _), pairs in read.items() if name == task]
        if groups and task != "E-c":
            found = [_correlation(pairs) for pairs in groups]
            result[task] = sum(found) / len(found)
        elif groups:
            mine = [set(_labels(value)) for value, _ in groups[0]]
            gold = [set(_labels(value)) for _, value in groups[0]]
            result["E-c"] = jaccard(mine, gold)
            names = sorted(set().union(*gold))
            result["E-c micro-F1"], result["E-c macro-F1"] = f1(mine, gold, names)
    result["unreadable"] = unreadable / len(questions)
    return result


def _correlation(pairs: Sequence[tuple[Value, Value]]) -> float:
    numbers = [
        (float(mine), float(gold))
        for mine, gold in pairs
        if isinstance(mine, int | float) and isinstance(gold, int | float)
    ]
    return pearson([mine for mine, _ in numbers], [gold for _, gold in numbers])


def _labels(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
