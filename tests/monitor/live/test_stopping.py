"""SIGTERM ends the monitor in time, and in order, whatever the brokers do."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from infra.kafka import EmbeddedKafka
from tests.monitor.live.stage import ACTIVE, make_stage, mood

_WITHIN_S = 30.0
"""What Kubernetes gives a pod by default: after it comes SIGKILL."""


@pytest.mark.parametrize("fault", ["gone", "frozen"])
async def test_it_stops_within_kubernetes_grace_without_a_broker(
    fault: str, tmp_path: Path
) -> None:
    async with EmbeddedKafka() as kafka:
        stage = await make_stage(kafka.bootstrap, tmp_path)
        async with stage.process() as monitor:
            await monitor.wait_for_line(ACTIVE)
            await stage.write(mood(0, 300, every_s=10, negative=0.3))
            pid = kafka.pid
            assert pid is not None
            if fault == "gone":
                await kafka.kill()
            else:
                os.kill(pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(_WITHIN_S):
                    assert await monitor.stop() == 0
            finally:
                if fault == "frozen":
                    os.kill(pid, signal.SIGCONT)
    assert "Traceback" not in monitor.output
    assert len(monitor.stderr) < 30  # not each of the client's tries
