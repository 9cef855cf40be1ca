"""A simulated world at several knobs: the command prints and saves what is documented."""

from functools import partial
from pathlib import Path

import msgspec
import pytest

from bench.monitor import knobs, stream
from bench.monitor.__main__ import TOLD, Saved
from bench.monitor.world import simulate


def test_a_line_for_each_knob_and_threshold_is_printed_and_the_counts_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of `bench/README.md`, on three days of a post every two minutes."""
    monkeypatch.setattr(knobs, "RATES", (0.5,))
    small = partial(stream.write_events, days=3, posts_per_minute=(0.5,))
    monkeypatch.setattr(stream, "write_events", small)
    monkeypatch.setattr(knobs, "simulate", partial(simulate, days=3))
    saved = tmp_path / "counts.json"
    words = f"knobs --kind 9 --seed 411 --others 2.0 --save {saved}"
    monkeypatch.setattr("sys.argv", words.split())
    knobs.main()
    *lines, last = capsys.readouterr().out.splitlines()
    heads = [f"issue, seed 411, knob {knob:g}" for knob in (0.5, 2.0)]
    heads += [f"  told, threshold {threshold:g}" for threshold in TOLD]
    assert [one[:32].rstrip() for one in lines] == heads
    assert all(one.endswith(" weeks") for one in lines)
    assert last.startswith("  alarms in bursts: ")
    (counts,) = msgspec.json.decode(saved.read_bytes(), type=list[Saved])
    assert set(counts.ours) == {0.5, 2.0}
    assert set(counts.told) == set(TOLD)
