"""The teacher of the small model: MPNet, four times as large, with a linear head for each task.

It reads a text once, for all tasks, and so is no drop-in for an EmoLLM; what it says of texts that
nobody rated is what the small model learns from (`training.distil`). It is trained on
SemEval-2018's training set, EmoBank, and some of GoEmotions and SemEval-2017, never on a dev set.
The lower half of its layers, and the embeddings, stay as they are: half the work, and what they
make of a text is kept from epoch to epoch.
"""

from __future__ import annotations

import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer

from training import data, mpnet, vocabulary
from training.data import SENTIMENTS, Example
from training.distil import Reading
from training.predict import pad
from training.targets import GOEMOTIONS
from training.tokenizer import EMOJI_PATTERN

SENTENCES: Final = (1_200, 600)
"""EmoBank's sentences, in the first epoch and in each later one."""
COMMENTS: Final = (2_500, 800)
"""GoEmotions' comments, likewise."""
TWEETS: Final = 1_500
"""SemEval-2017's tweets in the first epoch."""
READ_TWEETS: Final = 13_500
"""Tweets of SemEval-2017 that the teacher reads for the small model."""
READ_COMMENTS: Final = 4_000
"""GoEmotions' comments, likewise."""
READ_SENTENCES: Final = 800
"""EmoBank's sentences, likewise."""

_FROZEN: Final = 6  # of twelve layers
_EPOCHS: Final = 3
_BATCH: Final = 32
_CHUNK: Final = 40  # batches that are sorted by length together
_LONGEST: Final = 80  # tokens
_RATE: Final = 6e-5  # of the top layer; each one below learns a tenth slower
_RATE_BELOW: Final = 0.9
_HEADS_RATE: Final = 1e-3
_WARM_UP: Final = 60  # batches
_LAST: Final = 0.03
_CLIP: Final = 1.0
_DECAY: Final = 0.99  # of the running average, per batch
_REPORT: Final = 20  # batches between two progress lines
_EMOJI_WORDS: Final = 5
_LEAST_LETTERS: Final = 16  # a shorter text isn't worth a question

_SENTENCE_WEIGHT: Final = 0.5  # of a sentence's valence beside a tweet's
_SIGN_WEIGHT: Final = 0.2  # likewise where only the sign is known
_WEIGHTS: Final = {
    "intensities": 12.0,
    "valence": 20.0,
    "labels": 1.2,
    "sentiment": 0.3,
    "emotions28": 2.0,
}
"""Of the heads' losses: squared errors of scores, which are small, and cross-entropies."""

_EMOJI: Final = re.compile(EMOJI_PATTERN)
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_LONG_DRAWN: Final = re.compile(r"(.)\1{3,}")
_LAYER: Final = re.compile(r"encoder\.layer\.(\d+)\.")

Report = Callable[[str], None]


def unescaped(text: str) -> str:
    """A tweet as it was written: SemEval-2017's files have some characters as JSON's escapes."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return text.replace('\\""', '"').replace('\\"', '"')


def plain(text: str) -> str:
    """A text as MPNet's words can say it: emoji by their names, `sooooo` shorter."""
    return _EMOJI.sub(_name, _LONG_DRAWN.sub(r"\1\1\1", text))


def _name(found: re.Match[str]) -> str:
    words = unicodedata.name(found[0], "sign").lower().replace("-", " ").split()
    return f" {' '.join(words[:_EMOJI_WORDS])} "


@dataclass(slots=True)
class Text:
    """A text's tokens and what people said of it; NaN, None or -1 where nobody was asked.

    `low` is what the frozen layers make of it (tokens x width), once it is known.
    """

    ids: list[int]
    intensities: list[float] = field(default_factory=lambda: [torch.nan] * len(vocabulary.EMOTIONS))
    valence: float = torch.nan
    valence_weight: float = 1.0
    labels: list[float] | None = None
    sentiment: int = -1
    emotions28: list[float] | None = None
    low: Tensor | None = None


class Network(nn.Module):
    """MPNet and the heads. `mpnet_model` is a `transformers.MPNetModel`."""

    def __init__(self, mpnet_model: Any) -> None:
        super().__init__()
        self.mpnet = mpnet_model
        width = mpnet_model.config.hidden_size
        self.intensities = _head(width, len(vocabulary.EMOTIONS), 0.45)  # the scores' mean
        self.valence = _head(width, 1, 0.5)
        self.labels = _head(width, len(vocabulary.LABELS), -1.3)  # the logit of their mean share
        self.sentiment = _head(width, len(SENTIMENTS), 0.0)
        self.emotions28 = _head(width, GOEMOTIONS, -3.0)
        self.dropout = nn.Dropout(0.1)
        encoder = mpnet_model.encoder
        for module in (
            mpnet_model.embeddings,
            mpnet_model.pooler,
            encoder.relative_attention_bias,
            *encoder.layer[:_FROZEN],
        ):
            if module is not None:
                module.requires_grad_(requires_grad=False)
        for layer in encoder.layer:
            layer.attention.attn.dropout.p = 0.0  # it costs a tenth of the time and gains nothing

    def low(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the frozen layers make of texts (texts x tokens): texts x tokens x width."""
        hidden = self.mpnet.embeddings(input_ids=ids)
        return self._through(self.mpnet.encoder.layer[:_FROZEN], hidden, mask)

    def high(self, low: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Each head's answers (texts x its size): scores, and logits of labels."""
        hidden = self._through(self.mpnet.encoder.layer[_FROZEN:], low, mask)
        weights = mask[..., None].to(hidden.dtype)
        mean = self.dropout((hidden * weights).sum(1) / weights.sum(1))
        return {name: getattr(self, name)(mean) for name in _WEIGHTS}

    def _through(self, layers: Iterable[nn.Module], hidden: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            bias = self.mpnet.encoder.compute_position_bias(hidden)
        hide = (1.0 - mask[:, None, None].to(hidden.dtype)) * -1e4
        for layer in layers:
            hidden = layer(hidden, hide, position_bias=bias)[0]
        return hidden


def _head(width: int, size: int, start: float) -> nn.Linear:
    head = nn.Linear(width, size)
    nn.init.normal_(head.weight, std=0.02)
    nn.init.constant_(head.bias, start)
    return head


class Teacher:
    """The network and its words. `folder` is the base model's (`mpnet.unpacked`)."""

    def __init__(self, folder: Path, seed: int) -> None:
        torch.manual_seed(seed)
        self._draw = random.Random(seed)  # noqa: S311  no secret hangs on it
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = Network(AutoModel.from_pretrained(folder))

    def text(self, text: str) -> Text:
        """A text that nobody was asked about."""
        tokens = self._tokenizer(plain(text), truncation=True, max_length=_LONGEST)
        return Text(list(tokens["input_ids"]))

    def train(self, folder: Path, report: Report) -> None:
        """Train on the data folder's training sets; what is left is the weights' average."""
        epochs = list(self._epochs(folder))
        total = sum(-(-len(texts) // _BATCH) for texts in epochs)
        learnt = [one for one in self.network.named_parameters() if one[1].requires_grad]
        parameters: list[Tensor] = [parameter for _, parameter in learnt]
        optimizer = torch.optim.AdamW(
            [{"params": [parameter], "lr": _rate(name)} for name, parameter in learnt],
            weight_decay=0.01,
            fused=True,
        )
        rates = [group["lr"] for group in optimizer.param_groups]
        average = [parameter.detach().clone() for parameter in parameters]
        self.network.train()
        begun = time.monotonic()
        for step, batch in enumerate((one for texts in epochs for one in self._batches(texts)), 1):
            factor = min(1.0, step / _WARM_UP) * (1.0 - (1.0 - _LAST) * (step - 1) / total)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss = self._loss(batch)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 1 - min(_DECAY, 1 - 1 / (step + 1)))
            if step % _REPORT == 0:
                took = time.monotonic() - begun
                report(
                    f"teacher: batch {step}/{total} loss {float(loss.detach()):.4f} {took:.0f} s"
                )
        with torch.no_grad():
            for parameter, mean in zip(parameters, average, strict=True):
                parameter.copy_(mean)

    @torch.no_grad()
    def read(self, texts: Sequence[tuple[str, bool]], report: Report) -> list[Reading]:
        """What it says of texts, in their order; of each the words and whether it is a tweet."""
        self.network.eval()
        found: list[Reading | None] = [None] * len(texts)
        known = [self.text(text) for text, _ in texts]
        order = sorted(range(len(texts)), key=lambda number: len(known[number].ids))
        for begin in range(0, len(order), _BATCH):
            batch = order[begin : begin + _BATCH]
            ids, mask = pad([known[number].ids for number in batch])
            said = self.network.high(self.network.low(ids, mask), mask)
            rows = zip(
                batch,
                said["intensities"].tolist(),
                said["valence"][:, 0].tolist(),
                torch.sigmoid(said["labels"]).tolist(),
                strict=True,
            )
            for number, intensities, valence, probabilities in rows:
                text, tweet = texts[number]
                found[number] = Reading(
                    text, tuple(intensities), valence, tuple(probabilities), tweet
                )
            if (begin // _BATCH + 1) % _REPORT == 0:
                report(f"teacher: {begin + len(batch)} of {len(texts)} texts read")
        return [one for one in found if one is not None]

    def _epochs(self, folder: Path) -> Iterator[list[Text]]:
        """The texts of each epoch: SemEval-2018's, and others that are new in it."""
        tweets = self._rated(data.semeval(folder, "train"))
        sentences = []
        for one in data.other_valence(folder):
            text = self.text(one.text)
            text.valence, text.valence_weight = one.score, _SENTENCE_WEIGHT
            sentences.append(text)
        self._draw.shuffle(sentences)
        comments = self._comments(folder, COMMENTS[0] + (_EPOCHS - 1) * COMMENTS[1])
        for epoch in range(_EPOCHS):
            others = _share(sentences, SENTENCES, epoch) + _share(comments, COMMENTS, epoch)
            yield tweets + others + (self._sentiments(folder) if epoch == 0 else [])

    def _rated(self, examples: Sequence[Example]) -> list[Text]:
        """SemEval-2018's tweets, each once, with all that was said of it."""
        found: dict[str, Text] = {}
        for one in examples:
            text = found.get(one.text) or found.setdefault(one.text, self.text(one.text))
            if one.task == "EI-reg":
                text.intensities[vocabulary.EMOTIONS.index(one.emotion)] = one.score
            elif one.task == "V-reg":
                text.valence = one.score
            elif one.task == "E-c":
                text.labels = [float(label in one.labels) for label in vocabulary.LABELS]
        return list(found.values())

    def _comments(self, folder: Path, count: int) -> list[Text]:
        signs = {one.text: one.score for one in data.comment_valence(folder)}
        found = []
        for one in _some(data.emotions28(folder), count, self._draw):
            text = self.text(one.text)
            text.emotions28 = [float(str(number) in one.labels) for number in range(GOEMOTIONS)]
            if one.text in signs:
                text.valence, text.valence_weight = signs[one.text], _SIGN_WEIGHT
            found.append(text)
        return found

    def _sentiments(self, folder: Path) -> list[Text]:
        found = []
        for one in _some(data.sentiment(folder), TWEETS, self._draw):
            text = self.text(unescaped(one.text))
            text.sentiment = int(one.labels[0])
            found.append(text)
        return found

    def _batches(self, texts: Sequence[Text]) -> Iterator[list[Text]]:
        """All texts once, in batches of like lengths, in random order."""
        order = list(texts)
        self._draw.shuffle(order)
        batches = []
        for begin in range(0, len(order), _BATCH * _CHUNK):
            chunk = sorted(order[begin : begin + _BATCH * _CHUNK], key=lambda text: len(text.ids))
            batches += [chunk[start : start + _BATCH] for start in range(0, len(chunk), _BATCH)]
        self._draw.shuffle(batches)
        yield from batches

    @torch.no_grad()
    def _low(self, batch: Sequence[Text], ids: Tensor, mask: Tensor) -> Tensor:
        if any(text.low is None for text in batch):
            self.network.eval()
            hidden = self.network.low(ids, mask)
            self.network.train()
            for text, row in zip(batch, hidden, strict=True):
                text.low = row[: len(text.ids)].half()
        kept = [text.low.float() for text in batch if text.low is not None]
        return pad_sequence(kept, batch_first=True)

    def _loss(self, batch: Sequence[Text]) -> Tensor:
        """The heads' losses, weighted: means over the batch, 0 where nobody was asked."""
        ids, mask = pad([text.ids for text in batch])
        said = self.network.high(self._low(batch, ids, mask), mask)
        gold = torch.tensor([text.intensities for text in batch])
        asked = ~gold.isnan()
        losses = {"intensities": ((said["intensities"] - gold)[asked] ** 2).sum()}
        gold = torch.tensor([text.valence for text in batch])
        weight = torch.tensor([text.valence_weight for text in batch])
        asked = ~gold.isnan()
        errors = (said["valence"][:, 0] - gold)[asked]
        losses["valence"] = (errors**2 * weight[asked]).sum()
        for name in ("labels", "emotions28"):
            rows = [row for row, text in enumerate(batch) if getattr(text, name) is not None]
            flags = torch.tensor([getattr(batch[row], name) for row in rows])
            losses[name] = _label_loss(said[name][rows], flags) if rows else torch.zeros(())
        sentiments = torch.tensor([text.sentiment for text in batch])
        losses["sentiment"] = functional.cross_entropy(
            said["sentiment"], sentiments, ignore_index=-1, reduction="sum"
        )
        parts = [weight * losses[name] for name, weight in _WEIGHTS.items()]
        return torch.stack(parts).sum() / len(batch)


def _label_loss(logits: Tensor, flags: Tensor) -> Tensor:
    loss = functional.binary_cross_entropy_with_logits(logits, flags, reduction="sum")
    return loss / flags.shape[1]


def _rate(name: str) -> float:
    """The learning rate of a parameter, by its layer."""
    found = _LAYER.search(name)
    return _RATE * _RATE_BELOW ** (11 - int(found[1])) if found else _HEADS_RATE


def _share(texts: Sequence[Text], counts: tuple[int, int], epoch: int) -> list[Text]:
    first, later = counts
    begin = first + later * (epoch - 1) if epoch else 0
    return list(texts[begin : begin + (later if epoch else first)])


def _some(examples: Sequence[Example], count: int, draw: random.Random) -> list[Example]:
    return draw.sample(examples, min(count, len(examples)))


def unrated(folder: Path, seed: int) -> list[tuple[str, bool]]:
    """The texts that the teacher reads for the small model, and whether each is a tweet."""
    draw = random.Random(seed)  # noqa: S311  no secret hangs on it
    found: list[tuple[str, bool]] = []
    for examples, count, tweet in (
        (data.sentiment(folder), READ_TWEETS, True),
        (data.emotions28(folder), READ_COMMENTS, False),
        (data.other_valence(folder), READ_SENTENCES, False),
    ):
        texts = [unescaped(one.text) if tweet else one.text for one in examples]
        texts = [text for text in texts if len(text) >= _LEAST_LETTERS]
        found += [(text, tweet) for text in draw.sample(texts, min(count, len(texts)))]
    draw.shuffle(found)
    return found


def teach(folder: Path, work: Path, seed: int, report: Report) -> list[Reading]:
    """Train a teacher, and give what it says of the unrated texts of the data folder.

    Raises as `mpnet.unpacked`.
    """
    work.mkdir(parents=True, exist_ok=True)
    teacher = Teacher(mpnet.unpacked(work), seed)
    teacher.train(folder, report)
    return teacher.read(unrated(folder, seed), report)
