"""The authors' instruction data (AAID), built again from SemEval-2018 task 1's own files.

Every labelled post of the five English tasks is asked in each of its task's ten wordings: 23,404
labels of the train files make 234,040 records, 4,712 of the dev files 47,120, as the paper counts.
The text is put in by the benchmark's rule (`emollm.prompts.benchmark_text`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emollm.instructions import KNOWN_TASKS
from emollm.prompts import benchmark_text
from emollm.readers import Unreadable
from training.evaluation import sources
from training.finetune.records import Record

PUBLISHED: Final = {"train": 234_040, "dev": 47_120}
"""How many records the paper has of each part."""


def records(folder: Path, part: str, note: sources.Note = sources.silent) -> Iterator[Record]:
    """Build the records of a part, `train` or `dev`, in the files' order; `note` as `sources.gold`.

    Raises:
        DataError: the folder has no such files, two contradict each other, or a label can't be
            read.
    """
    for one in sources.gold(folder, part=part, note=note):
        task = KNOWN_TASKS[one.task]
        assert not isinstance(one.value, Unreadable)  # `gold` refuses such
        answer = task.write(one.value, one.emotion)
        text = benchmark_text(one.text)
        for wording in range(len(task.wordings)):
            yield Record(task.instruction(text, one.emotion, wording), answer)
