"""What the small model learns from, as the data sets' files say it."""

from pathlib import Path

import pytest

from training import data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with some made-up lines of EmoBank's and of GoEmotions."""
    (tmp_path / "emobank").mkdir()
    (tmp_path / "emobank" / "train.tsv").write_text(
        "id\tcategory\tV\tA\tD\ttext\n"
        'a_1\tletters\t3.5\t3.0\t3.0\t"He wrote ""yes"" at last."\n'
        "a_2\tnews\t1.0\t3.0\t3.0\tNobody came back from the mine\n"
        'a_3\tnews\t3.0\t3.0\t3.0\t".."\n',
        encoding="utf-8",
    )
    (tmp_path / "goemotions").mkdir()
    (tmp_path / "goemotions" / "labels.txt").write_text("joy\nlove\nanger\nsurprise\nneutral")
    (tmp_path / "goemotions" / "train.tsv").write_text(
        "So glad you came\t0,1\tx1\n"
        "Leave me alone\t2\tx2\n"
        "It is a bus\t4\tx3\n"
        "Really?\t3\tx4\n"
        "I love and hate it\t1,2\tx5\n",
        encoding="utf-8",
    )
    return tmp_path


def test_sentences_are_rated_on_the_tweets_scale(folder: Path) -> None:
    """The middle stays, the ends are cut off, pieces of sentences are left out."""
    first, second = data.other_valence(folder)
    assert first.text == 'He wrote "yes" at last.'
    assert first.score == pytest.approx(0.77)
    assert (second.score, second.text) == (0.0, "Nobody came back from the mine.")
    assert not first.tweet
    assert first.question == "V-reg"


def test_comments_are_rated_by_the_sign_of_their_labels(folder: Path) -> None:
    """What is ambiguous, or says both, is left out; the rating is a rough one."""
    found = {one.text: one.score for one in data.comment_valence(folder)}
    assert found == {"So glad you came.": 0.75, "Leave me alone.": 0.25, "It is a bus.": 0.5}
    assert all(one.spread > 0.1 and not one.tweet for one in data.comment_valence(folder))
