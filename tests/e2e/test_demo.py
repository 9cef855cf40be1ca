"""`emostream demo`, as a newcomer runs it."""

import json
import subprocess
import sys

import pytest

KEYS = {
    "posts",
    "events",
    "dead_letters",
    "lost",
    "posts_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "prompts_per_post",
    "valence_pearson",
}


@pytest.mark.timeout(170)
def test_every_tweet_comes_out_and_the_model_agrees_with_people() -> None:
    """Real Kafka, the model that ships, real tweets: nothing lost, valence close to the humans'."""
    done = subprocess.run(
        [sys.executable, "-m", "emostream", "demo", "--posts", "150", "--rate", "0", "--json"],
        capture_output=True,
        text=True,
        timeout=160,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary.keys() >= KEYS
    assert summary["posts"] == 150
    assert summary["events"] + summary["dead_letters"] == 150
    assert summary["lost"] == 0
    assert 2 <= summary["prompts_per_post"] <= 6
    assert summary["valence_pearson"] > 0.6
    assert "@" not in done.stderr  # no handle on the way
