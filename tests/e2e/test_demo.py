"""`emostream demo`, as a newcomer runs it."""

import json
import signal
import subprocess
import sys
import time

import psutil
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


@pytest.mark.timeout(620)
def test_every_tweet_comes_out_and_the_model_agrees_with_people() -> None:
    """Real Kafka, the model that ships, real tweets: nothing lost, valence close to the humans'."""
    done = subprocess.run(
        [sys.executable, "-m", "emostream", "demo", "--posts", "150", "--rate", "0", "--json"],
        capture_output=True,
        text=True,
        timeout=600,  # 90 s under load
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


def read_until(demo: subprocess.Popen[str], words: str) -> None:
    """Read its standard error up to the line that has these words."""
    assert demo.stderr is not None
    lines: list[str] = []
    while not (lines and words in lines[-1]):
        lines.append(demo.stderr.readline())
        assert lines[-1], "".join(lines)


def runs(process: psutil.Process) -> bool:
    """Whether it hasn't ended; a dead one may wait long for a container's process 1 to notice."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.timeout(620)
def test_an_interrupt_while_it_stops_ends_it_at_once_and_all_that_it_started() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "emostream", "demo", "--posts", "40", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        read_until(demo, "page: http")
        started = psutil.Process(demo.pid).children(recursive=True)
        (monitor,) = (one for one in started if "monitor" in one.cmdline())
        monitor.suspend()  # else it may have stopped in order by the time of the second press
        try:
            demo.send_signal(signal.SIGINT)
            read_until(demo, "stopping")
            time.sleep(0.6)  # another press, not the same one
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=60) == 130
        finally:
            monitor.resume()
        _, alive = psutil.wait_procs(started, timeout=30)
        assert [one for one in alive if runs(one)] == []
    finally:
        demo.kill()
        demo.communicate()
