"""Standing by again after a term."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from monitor import app
from monitor.settings import Settings
from monitor.telemetry import metrics as m
from monitor.telemetry.health import Health
from runtime.clock import SystemClock
from runtime.telemetry.metric import Counts


async def test_a_standby_shows_no_figures_of_its_last_term(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, clock = Counts(m.ALL), SystemClock()

    async def run_term(*_: object, **__: object) -> None:
        counts.put(m.ACTIVE, value=1)
        counts.put(m.WATERMARK_AGE, value=34)
        counts.put(m.LAG, "0", value=7)
        counts.put(m.NEGATIVE, "trains", value=0.3)
        counts.add(m.WINDOWS, by=9)

    monkeypatch.setattr(app, "run_term", run_term)
    keeper = app._Watchkeeper(
        Settings(),
        health=Health(stuck_after_s=60, monotonic=clock.monotonic),
        counts=counts,
        clock=clock,
        stop=asyncio.Event(),
        on_ready=None,
    )
    lease = SimpleNamespace(lost=asyncio.Event(), ended=asyncio.Event().wait)
    assert await keeper._term(cast("Any", lease), 0) == 0
    shown = [line for line in counts.expose()[0].decode().splitlines() if line[0] != "#"]
    ours = [line for line in shown if line.startswith(("emostream_monitor", "emostream_track"))]
    assert "emostream_monitor_active 0.0" in ours
    assert "emostream_monitor_windows_total 9.0" in ours
    assert not [line for line in ours if line.startswith("emostream_track")]
    assert not [line for line in ours if "_lag_" in line or "_age_" in line]
