"""Progress of long work, where standard error is a log."""

import pytest

from emostream.bar import Bar


class Now:
    """Seconds, turned by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = Now()
    with Bar("rows", 1_000, now=now) as bar:
        bar.update(0, 400)  # a run before this one came so far
        for _ in range(60):
            now.seconds += 1
            seconds = now.seconds - 100
            bar.update(int(seconds * 20), 400 + seconds * 2)
    assert capsys.readouterr().err.splitlines() == [
        "600 rows, 20/s, 4:30 left",
        "1,200 rows, 20/s, 4:00 left",
    ]


def test_before_anything_is_made_the_time_left_is_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = Now()
    with Bar("rows", 10, now=now) as bar:
        now.seconds += 31
        bar.update(0, 0)
    assert "time left unknown" in capsys.readouterr().err
