"""Where the records of one fine-tuning come from, and what its model is scored on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emollm.instructions import KNOWN_TASKS, parse
from emollm.readers import Unreadable
from training.evaluation import sources
from training.evaluation.errors import DataError
from training.evaluation.readings import Reading
from training.finetune import aaid
from training.finetune.records import Record, read

_NAMES: Final = ("{}.json", "{}.jsonl", "{}.json.gz", "{}.jsonl.gz")


@dataclass(frozen=True, slots=True)
class Data:
    """Records to learn from, and others to choose by."""

    train: list[Record]
    dev: list[Record]
    """Empty: nothing is held out, and training can't stop early."""

    @property
    def digest(self) -> str:
        """The same for the same records in the same order, and for no others."""
        found = hashlib.sha256()
        for part in (self.train, self.dev):
            for record in part:
                for text in (record.instruction, record.answer):
                    raw = text.encode("utf-8", "surrogatepass")
                    found.update(b"%d:" % len(raw) + raw)
            found.update(b"/")
        return found.hexdigest()


def load(path: Path, dev: Path | None = None, note: sources.Note = sources.silent) -> Data:
    """Read the data of a fine-tuning.

    Args:
        path: A folder of SemEval-2018 task 1, from which all is built; a folder with `train.json`
            and `dev.json` (or `.jsonl`, gzipped or not); or one file of training records.
        dev: File of the dev records, where they are elsewhere.
        note: As of `sources.gold`.

    Raises:
        DataError: there is nothing to learn from, or an entry can't be read.
    """
    if path.is_dir():
        train_file, dev_file = _file(path, "train"), _file(path, "dev")
        if train_file is None:
            train = list(aaid.records(path, "train", note))
            held_out = read(dev) if dev else list(aaid.records(path, "dev", note))
            return Data(train, held_out)
        chosen = dev or dev_file
        return Data(read(train_file), read(chosen) if chosen else [])
    if not path.is_file():
        raise DataError(path, "there is no such file or folder")
    return Data(read(path), read(dev) if dev else [])


def gold(records: Iterable[Record]) -> list[Reading]:
    """Give the labels among some records: each question about each post once, in no wording.

    A record whose instruction is of none of the known tasks has no place in a score.
    """
    found: dict[tuple[str, str], Reading] = {}
    for record in records:
        asked = parse(record.instruction)
        if asked is None or len(asked.tasks) != 1:
            continue
        task = KNOWN_TASKS[asked.tasks[0]]
        value = task.read(record.answer, asked.emotion)
        if isinstance(value, Unreadable):
            continue
        one = Reading(task=task.name, emotion=asked.emotion, text=asked.text, value=value)
        found.setdefault((one.question, one.text), one)
    return list(found.values())


def _file(folder: Path, part: str) -> Path | None:
    names: Sequence[str] = [name.format(part) for name in _NAMES]
    return next((folder / name for name in names if (folder / name).is_file()), None)
