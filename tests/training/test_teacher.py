"""The teacher, with a tiny random MPNet instead of the real one."""

import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

from tests.training import made
from training import __main__ as command
from training import data, distil, mpnet, small, teacher, vocabulary
from training.teacher import Teacher, plain, unescaped

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "post", "comment", "sentence", *"0123456789"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a base model of twelve layers of eight dimensions."""
    folder = tmp_path / "base"
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers' own
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    shape = MPNetConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=12,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=teacher._LONGEST + 4,
    )
    MPNetModel(shape).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data without a dev set: who reads one fails."""
    made.write(tmp_path / "data", "train")
    return tmp_path / "data"


def test_it_reads_what_nobody_rated(
    base: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tweets, comments and sentences that are long enough, each once, with all that is asked.

    It is trained before, on SemEval's training set and the others', and on no dev set.
    """
    monkeypatch.setattr(mpnet, "unpacked", lambda _work: base)
    monkeypatch.setattr(teacher, "_REPORT", 1)
    lines: list[str] = []
    readings = teacher.teach(folder, tmp_path / "work", 1, lines.append)
    assert {one.text for one in readings if one.tweet} == {"good one, and really so."}
    assert sorted(one.text for one in readings if not one.tweet) == [
        *(f"comment {number}, it says." for number in range(10)),
        *(f"sentence {number} of some." for number in range(10)),
    ]
    for one in readings:
        assert len(one.intensities) == len(vocabulary.EMOTIONS)
        assert len(one.probabilities) == len(vocabulary.LABELS)
        assert all(0 <= probability <= 1 for probability in one.probabilities)
        assert math.isfinite(one.valence)
    assert sum("loss" in line for line in lines) == 3  # an epoch of so few is a batch
    assert "texts read" in lines[-1]


def test_the_command_writes_what_the_recipe_reads(
    base: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mpnet, "unpacked", lambda _work: base)
    work = tmp_path / "work"
    command.main(["teacher", "--data", str(folder), "--work", str(work)])
    assert len(distil.read(work / small.READINGS)) == 21


def test_it_learns(base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss on what it was trained on is less than before; the lower half stays as it is."""
    monkeypatch.setattr(teacher, "_HEADS_RATE", 0.1)
    monkeypatch.setattr(teacher, "_WARM_UP", 1)
    learner = Teacher(base, 1)
    posts = learner._rated(data.semeval(folder, "train"))
    bottom = learner.network.mpnet.encoder.layer[0].intermediate.dense.weight.clone()
    before = float(learner._loss(posts).detach())
    learner.train(folder, lambda _line: None)
    assert float(learner._loss(posts).detach()) < 0.9 * before
    assert torch.equal(learner.network.mpnet.encoder.layer[0].intermediate.dense.weight, bottom)


def test_a_text_is_as_the_base_models_words_can_say_it() -> None:
    assert plain("sooooooo 😂").split() == ["sooo", "face", "with", "tears", "of", "joy"]


def test_escapes_of_the_tweets_file_are_undone() -> None:
    written = 'well\\u002c \\""yes\\"" it\\u2019s'
    assert unescaped(written) == 'well, "yes" it’s'
