"""The runbook has a place for each trouble that needs a human."""

from pathlib import Path

import pytest

from consumer.telemetry import log_events
from emollm.clients import events
from runtime.telemetry import log_events as shared_events

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
TROUBLES = [
    log_events.PARTITION_STOPPED,
    log_events.WAITING_FOR_MODEL,
    shared_events.KAFKA_UNREACHABLE,
    events.SERVER_OUT,
    events.SERVER_STILL_OUT,
    events.PROMPTS_REFUSED,
]


@pytest.mark.parametrize("event", TROUBLES)
def test_the_runbook_says_what_to_do_about_it(event: str) -> None:
    runbook = PAGE.read_text(encoding="utf-8").partition("## Runbook")[2].partition("\n## ")[0]
    assert f"`{event}`" in runbook
