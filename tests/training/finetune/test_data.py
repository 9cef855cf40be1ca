"""Where a fine-tuning's records come from, and what its model is scored on."""

from pathlib import Path

import pytest

from emollm.tasks import E_C, EI_REG, V_REG
from tests.training.finetune import semeval
from training.evaluation.errors import DataError
from training.finetune.data import Data, gold, load
from training.finetune.records import Record, write

ONE, OTHER = Record("Task: a", "1"), Record("Task: b", "2")


def test_a_semeval_folder_gives_both_parts(tmp_path: Path) -> None:
    for part in ("train", "dev"):
        semeval.write(tmp_path, part, dict.fromkeys(semeval.SIZES[part], 1))
    found = load(tmp_path)
    assert len(found.train) == len(found.dev) == 110


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_folder_with_files_gives_what_they_hold(suffix: str, tmp_path: Path) -> None:
    write([ONE], tmp_path / f"train.{suffix}")
    assert load(tmp_path) == Data([ONE], [])
    write([OTHER], tmp_path / f"dev.{suffix}")
    assert load(tmp_path) == Data([ONE], [OTHER])


def test_a_file_may_have_its_dev_records_elsewhere(tmp_path: Path) -> None:
    for name, record in (("a.json", ONE), ("b.json", OTHER)):
        write([record], tmp_path / name)
    assert load(tmp_path / "a.json") == Data([ONE], [])
    assert load(tmp_path / "a.json", tmp_path / "b.json") == Data([ONE], [OTHER])
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "c.json")


def test_a_digest_tells_data_apart() -> None:
    several = [
        Data([ONE, OTHER], []),
        Data([OTHER, ONE], []),
        Data([ONE], [OTHER]),
        Data([], [ONE, OTHER]),
        Data([Record("Task: a1", ""), OTHER], []),
    ]
    assert len({data.digest for data in several}) == len(several)
    assert Data([ONE], [OTHER]).digest == Data([ONE], [OTHER]).digest


def test_each_question_about_a_post_is_scored_once_whatever_its_wordings() -> None:
    records = [
        *(Record(V_REG.instruction("a b.", wording=n), "0.5") for n in range(10)),
        Record(EI_REG.instruction("a b.", "joy"), "0.25"),
        Record(E_C.instruction("a b."), "joy, love."),
        Record("Write a poem.", "No."),
        Record(V_REG.instruction("c."), "plenty"),
    ]
    assert [(one.question, one.text, one.value) for one in gold(records)] == [
        ("V-reg", "a b.", 0.5),
        ("EI-reg:joy", "a b.", 0.25),
        ("E-c", "a b.", ("joy", "love")),
    ]
