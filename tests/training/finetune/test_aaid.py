"""The instruction data, built again from made-up files of SemEval-2018's form."""

from pathlib import Path

import pytest

from emollm.instructions import parse
from emollm.tasks import TASKS
from tests.training.finetune import semeval
from training.evaluation.errors import DataError
from training.finetune import aaid
from training.finetune.records import Record


@pytest.mark.parametrize("part", ["train", "dev"])
def test_files_of_the_real_sizes_give_the_papers_counts(part: str, tmp_path: Path) -> None:
    semeval.write(tmp_path, part, semeval.SIZES[part])
    count = sum(1 for _ in aaid.records(tmp_path, part))
    assert count == aaid.PUBLISHED[part] == {"train": 234_040, "dev": 47_120}[part]


def test_each_label_is_asked_in_all_ten_wordings_and_answered_alike(tmp_path: Path) -> None:
    semeval.write(tmp_path, "train", dict.fromkeys(semeval.SIZES["train"], 2))
    found = list(aaid.records(tmp_path, "train"))
    assert len(found) == 22 * 10
    assert len({record.instruction for record in found}) == len(found)
    for start in range(0, len(found), 10):
        ten = found[start : start + 10]
        assert len({record.answer for record in ten}) == 1
        asked = [parse(record.instruction) for record in ten]
        assert len({(one.tasks, one.emotion, one.text) for one in asked if one is not None}) == 1
        assert {record.instruction.partition(" Tweet: ")[0] for record in ten} == {
            f"Task: {wording}"
            for wording in TASKS[asked[0].tasks[0]].wordings  # type: ignore[union-attr]
        }


@pytest.mark.parametrize(
    ("text", "asked"),
    [("What a day", "What a day."), ("Ha!", "Ha!"), ("so \\n so", "so \\n so."), ("x?", "x?")],
)
def test_the_text_is_put_in_by_the_benchmarks_rule(text: str, asked: str, tmp_path: Path) -> None:
    head = "ID\tTweet\tAffect Dimension\tIntensity Score"
    (tmp_path / "Valence-reg-En-train.txt").write_text(f"{head}\n1\t{text}\tvalence\t0.500\n")
    first = next(aaid.records(tmp_path, "train"))
    wording = TASKS["V-reg"].wordings[0]
    assert first == Record(f"Task: {wording} Tweet: {asked} Intensity Score: ", "0.5")


def test_answers_are_written_as_the_models_know_them(tmp_path: Path) -> None:
    semeval.write(tmp_path, "dev", dict.fromkeys(semeval.SIZES["dev"], 7))
    answers = {record.answer for record in aaid.records(tmp_path, "dev")}
    assert {
        "0.0",
        "0.006",
        "3: high amount of fear can be inferred",
        "-3: very negative emotional state can be inferred",
        "neutral or no emotion.",
        "anger, anticipation.",
    } <= answers


def test_a_folder_without_such_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no English file of SemEval-2018"):
        list(aaid.records(tmp_path, "train"))
