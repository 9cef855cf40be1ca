"""Real models' recorded answers, where the data folder is at hand (a clone has none)."""

import os
from pathlib import Path

import pytest

from training.evaluation.readings import matched
from training.evaluation.scores import score
from training.evaluation.sources import gold, own_predictions

DATA = Path(os.environ.get("EMOSTREAM_SHARED", Path(__file__).parents[4] / "shared")) / "data"
ANSWERS = DATA / "emollms_recorded_answers.jsonl.gz"


@pytest.mark.skipif(not ANSWERS.exists(), reason="no recorded answers here")
def test_two_7b_models_are_scored_as_they_were_by_others() -> None:
    labels = gold(ANSWERS)
    figures = {
        model: [
            score(matched(labels, readings))[task].metrics["pearson"]
            for task in ("EI-reg", "EI-oc", "V-reg", "V-oc")
        ]
        for model, readings in own_predictions(ANSWERS).items()
    }
    assert figures == {
        "Emollama-chat-7b": pytest.approx([0.819, 0.740, 0.885, 0.846], abs=0.002),
        "Emobloom-7b": pytest.approx([0.781, 0.719, 0.869, 0.836], abs=0.002),
    }
