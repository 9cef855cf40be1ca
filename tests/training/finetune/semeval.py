"""SemEval-2018 task 1's English files, made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from emollm.tasks import EI_OC, V_OC
from schemas import EMOTIONS, INTENSITY_EMOTIONS

SIZES: Final = {
    "train": {"anger": 1701, "fear": 2252, "joy": 1616, "sadness": 1533, "V": 1181, "E-c": 6838},
    "dev": {"anger": 388, "fear": 389, "joy": 290, "sadness": 397, "V": 449, "E-c": 886},
}
"""How many posts the real files have, by part."""


def write(folder: Path, part: str, sizes: Mapping[str, int]) -> None:
    """Write the eleven files of a part with so many posts each."""
    folder.mkdir(parents=True, exist_ok=True)
    head = "ID\tTweet\tAffect Dimension\t"
    for emotion in INTENSITY_EMOTIONS:
        posts = [f"{part}-{n}\tpost {n}\t{emotion}" for n in range(sizes[emotion])]
        scores = [f"{post}\t{n % 1001 / 1000:.3f}" for n, post in enumerate(posts)]
        classes = [f"{post}\t{EI_OC.write(n % 4, emotion)}" for n, post in enumerate(posts)]
        _write(folder / f"EI-reg-En-{emotion}-{part}.txt", f"{head}Intensity Score", scores)
        _write(folder / f"EI-oc-En-{emotion}-{part}.txt", f"{head}Intensity Class", classes)
    posts = [f"{part}-{n}\tpost {n}\tvalence" for n in range(sizes["V"])]
    scores = [f"{post}\t{n % 1001 / 1000:.3f}" for n, post in enumerate(posts)]
    classes = [f"{post}\t{V_OC.write(n % 7 - 3)}" for n, post in enumerate(posts)]
    _write(folder / f"Valence-reg-En-{part}.txt", f"{head}Intensity Score", scores)
    _write(folder / f"Valence-oc-En-{part}.txt", f"{head}Intensity Class", classes)
    flags = [
        f"{part}-{n}\tpost {n}\t" + "\t".join(str(n >> bit & 1) for bit in range(len(EMOTIONS)))
        for n in range(sizes["E-c"])
    ]
    _write(folder / f"E-c-En-{part}.txt", "\t".join(["ID", "Tweet", *EMOTIONS]), flags)


def _write(path: Path, head: str, rows: list[str]) -> None:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
