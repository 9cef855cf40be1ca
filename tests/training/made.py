"""A data folder of some made-up posts."""

from pathlib import Path
from typing import Final

from tests.training.finetune import semeval

POSTS: Final = 8
"""In each of SemEval's sets: each of the seven classes of valence occurs."""
SIZES: Final = dict.fromkeys(("anger", "fear", "joy", "sadness", "V", "E-c"), POSTS)


def write(folder: Path, *parts: str) -> None:
    """Posts of each task in the parts of SemEval, ten sentences, ten comments, two tweets."""
    for part in parts:
        semeval.write(folder / "semeval2018", part, SIZES)
    sentiment = folder / "semeval2017_4A" / "train"
    sentiment.mkdir(parents=True)
    (sentiment / "a.tsv").write_text(
        "1\tpositive\tgood one\\u002c and really so\n2\tnegative\tbad one\n"
    )
    comments = folder / "goemotions"
    comments.mkdir()
    (comments / "labels.txt").write_text("joy\nneutral")
    lines = [f"comment {number}, it says\t{number % 2}\tx{number}" for number in range(10)]
    (comments / "train.tsv").write_text("\n".join(lines))
    (folder / "emobank").mkdir()
    rows = [f"{number}\tnews\t3.{number}\t3\t3\tsentence {number} of some" for number in range(10)]
    (folder / "emobank" / "train.tsv").write_text("\n".join(["id\tcategory\tV\tA\tD\ttext", *rows]))
