"""What the monitor writes is what the contracts say, in every topic of its own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from infra.kafka import default_topics
from monitor.detection import DetectionSettings
from monitor.events import reading_of
from monitor.live.journal import Journal
from monitor.saying import alert_action, mute_of
from monitor.settings import Settings
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from runtime.kafka.options import KafkaOptions
from schemas.generate import documents
from tests.monitor.live.made import T0
from tests.monitor.live.stage import mood

HOUR = 3_600.0
CONTRACTS = documents()


def contract(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(CONTRACTS[f"json/{name}.v1.schema.json"])
    return schema


@pytest.fixture(scope="module")
def written() -> dict[str, list[Any]]:
    """A storm through the monitor's core, and people's actions, as JSON by contract."""
    watch = Watch(TrackMatcher(by="topics"), DetectionSettings(warm_s=7_200))
    events = [
        *mood(0, 4 * HOUR, every_s=40, negative=0.3),
        *mood(4 * HOUR, 4 * HOUR + 900, every_s=4, negative=0.8),
        *mood(4 * HOUR + 900, 6 * HOUR, every_s=40, negative=0.3),
    ]
    for offset, one in enumerate(events):
        watch.feed(reading_of(one), 0, offset, one.created_at.timestamp())
    closed = watch.advance()
    assert closed.alerts
    journal = Journal(KafkaOptions(bootstrap="127.0.0.1:1", group_id="g"), Settings())
    journal.windows_end = {0: 7, 3: 9}
    baselines = [
        journal.baseline(track, state, closed_until=watch.closed_until or 0, at=T0.timestamp())
        for track, state in watch.snapshots().items()
    ]
    who: dict[str, Any] = {"by": "ann", "at": T0}
    records: dict[str, list[msgspec.Struct]] = {
        "window": [*closed.windows],
        "alert": [*closed.alerts],
        "baseline": [*baselines, journal.baseline("new", b"", closed_until=0, at=0.0)],
        "alert_action": [
            alert_action("a", "ack", note=None, **who),
            alert_action("a", "note", note="it rains", **who),
            alert_action("a", "false", note=None, **who),
        ],
        "mute": [
            mute_of("trains", until=datetime.now(UTC) + timedelta(days=1), **who),
            mute_of("trains", weekly="daily 22:00-06:00", zone="Europe/Vienna", **who),
        ],
    }
    return {
        name: [json.loads(msgspec.json.encode(one)) for one in found]
        for name, found in records.items()
    }


@pytest.mark.parametrize("name", ["window", "alert", "baseline", "alert_action", "mute"])
def test_each_record_satisfies_its_schema(written: dict[str, list[Any]], name: str) -> None:
    schema = contract(name)
    validator = Draft202012Validator(schema)
    assert written[name]
    for record in (*written[name][:5], *written[name][-5:]):  # warming, and in the storm
        validator.validate(record)
    for field in schema["required"]:
        broken = {key: value for key, value in written[name][-1].items() if key != field}
        assert not validator.is_valid(broken), field


def test_each_topic_that_is_created_is_in_the_asyncapi_document() -> None:
    channels = json.loads(CONTRACTS["asyncapi.json"])["channels"]
    assert {one["address"] for one in channels.values()} == {one.name for one in default_topics()}
