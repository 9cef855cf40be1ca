"""The runbook has a place for each trouble that needs a human."""

from pathlib import Path

import pytest

from consumer.telemetry import log_events
from emollm.clients import events
from runtime.telemetry import log_events as shared_events

PAGE = Path(__file__).parents[2] / "docs" / "runbook.md"
TROUBLES = [
    log_events.PARTITION_STOPPED,
    log_events.WAITING_FOR_MODEL,
    log_events.TRANSACTION_ABORTED,
    log_events.TRANSACTION_FENCED,
    log_events.PARTITION_NOT_BEGUN,
    shared_events.KAFKA_UNREACHABLE,
    shared_events.REGISTRY_UNREACHABLE,
    shared_events.SPANS_DROPPED,
    events.SERVER_OUT,
    events.SERVER_STILL_OUT,
    events.PROMPTS_REFUSED,
]


@pytest.mark.parametrize("event", TROUBLES)
def test_the_runbook_says_what_to_do_about_it(event: str) -> None:
    assert f"`{event}`" in PAGE.read_text(encoding="utf-8")
