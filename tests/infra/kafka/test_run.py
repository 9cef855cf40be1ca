"""The foreground broker, as `emostream broker` runs it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from infra.kafka import (
    BrokerSettings,
    BrokerStartError,
    EmbeddedKafka,
    _launch,
    ready_line,
    run_broker,
)


async def test_it_runs_until_sigterm_and_stops_in_order(tmp_path: Path) -> None:
    lines: list[str] = []

    def ready(broker: EmbeddedKafka) -> None:
        lines.append(ready_line(broker))
        os.kill(os.getpid(), signal.SIGTERM)

    await run_broker(BrokerSettings(data_dir=tmp_path), ready)
    assert len(lines) == 1
    assert lines[0].startswith("Kafka ready at 127.0.0.1:")
    assert "shutting down" in (tmp_path / "kafka.log").read_text(encoding="utf-8")


async def test_a_signal_while_it_starts_gives_the_start_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[EmbeddedKafka] = []

    async def interrupted(*_: object) -> None:
        """Java runs, and is not ready before the signal has come, however quick it is."""
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(_launch, "answering", interrupted)
    await run_broker(BrokerSettings(data_dir=tmp_path), lines.append)
    assert lines == []


async def test_a_broker_that_dies_by_itself_is_an_error_with_its_log() -> None:
    def ready(broker: EmbeddedKafka) -> None:
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)

    with pytest.raises(BrokerStartError, match="ended by itself") as caught:
        await run_broker(BrokerSettings(), ready)
    assert caught.value.log_path.exists()
