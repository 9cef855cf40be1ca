"""Columns hold all of a record; nothing of it is lost, changed or made up."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import NODEFAULT, UNSET
from msgspec.structs import FieldInfo, fields

from monitor.tables.columns import Table, Unreadable
from monitor.tables.tables import ACTIONS, ALERTS, EVENTS, TABLES, WINDOWS
from schemas import AffectEvent
from schemas.alert import Alert, AlertAction
from schemas.window import Window
from tests.monitor.alerts import make_alert
from tests.monitor.live.made import T0
from tests.schemas.examples import BARE_EVENT, FULL_EVENT, NEUTRAL_EVENT, json_values

OF: dict[str, type[msgspec.Struct]] = {
    "events": AffectEvent,
    "windows": Window,
    "alerts": Alert,
    "actions": AlertAction,
}
HOSTILE = [
    b"",
    b"\xff",
    b"null",
    b"[1]",
    b'"text"',
    b"{}",
    b"[" * 100_000,
    b'{"id": "\\ud800"}',
    b'{"created_at": 7}',
]


def read(table: Table, value: bytes) -> dict[str, Any]:
    row = table.row(value)
    assert row is not None
    names = [column.name for column in table.columns]
    return dict(zip([*names, "more"], row.values, strict=True))


def default_of(field: FieldInfo) -> Any:
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return None if field.default in {NODEFAULT, UNSET} else field.default


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_field_of_a_contract_has_a_column_and_its_default(table: Table) -> None:
    """A field that is added gets a column at the end; until then it is in `more`."""
    columns = {column.path[0]: column for column in table.columns}
    found = {field.encode_name: field for field in fields(OF[table.name])}
    assert set(found) == set(columns)
    for name, column in columns.items():
        field = found.get(name)
        if field is None or len(column.path) > 1 or column.type == "json":
            continue
        default = default_of(field)
        assert column.default == (list(default) if default == () else default), name
        assert column.required == field.required, name


def test_an_event_is_spread_over_typed_columns() -> None:
    row = read(EVENTS, msgspec.json.encode(FULL_EVENT))
    assert row["created_at"] == FULL_EVENT.created_at
    assert row["topics"] == ["trains", "monday"]
    assert (row["valence"], row["valence_class"]) == (0.87, 2)
    assert (row["intensity_joy"], row["intensity_class_joy"]) == (0.7, 3)
    assert row["intensity_anger"] is None
    assert json.loads(row["meta"]) == {"likes": 3, "nested": {"a": [None, True]}}
    assert (row["model"], row["model_revision"]) == ("lzw1008/Emollama-chat-7b", "abc")
    assert row["more"] is None


def test_not_asked_and_nothing_found_differ() -> None:
    assert read(EVENTS, msgspec.json.encode(NEUTRAL_EVENT))["emotions"] == []
    bare = read(EVENTS, msgspec.json.encode(BARE_EVENT))
    assert bare["emotions"] is None
    assert bare["valence"] is None
    assert bare["cached"] is False


def test_an_event_of_a_later_version_keeps_what_has_no_column() -> None:
    later = msgspec.to_builtins(FULL_EVENT) | {"version": 2, "irony": {"score": 0.3}}
    later["sentiment"]["arousal"] = 0.9
    later["prompts"] = "three"
    row = read(EVENTS, json.dumps(later).encode())
    assert (row["version"], row["valence"]) == (2, 0.87)
    assert row["prompts"] is None
    assert json.loads(row["more"]) == {
        "irony": {"score": 0.3},
        "sentiment": {"arousal": 0.9},
        "prompts": "three",
    }


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:12]))
def test_what_is_no_event_is_unreadable_and_nothing_else(value: bytes) -> None:
    with pytest.raises(Unreadable):
        EVENTS.row(value)


@given(
    st.sampled_from([column.path for column in EVENTS.columns if not column.required]), json_values
)
def test_a_field_of_any_type_is_in_its_column_or_in_more(path: tuple[str, ...], odd: Any) -> None:
    value = msgspec.to_builtins(BARE_EVENT)
    place = value
    for parent in path[:-1]:
        place = place.setdefault(parent, {})
    place[path[-1]] = odd
    row = read(EVENTS, msgspec.json.encode(value))
    column = next(one for one in EVENTS.columns if one.path == path)
    more = json.loads(row["more"] or "{}")
    for parent in path:
        more = more.get(parent, {}) if isinstance(more, dict) else {}
    if column.type == "json" and odd is not None:
        assert json.loads(row[column.name]) == odd
    elif row[column.name] is None or row[column.name] == column.default:
        assert odd is None or odd in (column.default, more)
    else:
        assert row[column.name] == odd or column.type == "time"


def test_transitions_and_what_people_did_are_two_tables_of_one_topic() -> None:
    alert = msgspec.json.encode(make_alert("firing", posts=12))
    action = msgspec.json.encode(
        AlertAction(version=1, id="a", alert_id="alert-0", action="ack", by="ann", at=T0)
    )
    assert read(ALERTS, alert)["posts"] == 12
    assert read(ACTIONS, action)["by"] == "ann"
    assert ALERTS.row(action) is None
    assert ACTIONS.row(alert) is None


def test_a_window_is_spread_over_columns() -> None:
    window = Window(version=1, track="t", start=T0, end=T0, posts=3, emotions={"anger": 0.5})
    row = read(WINDOWS, msgspec.json.encode(window))
    assert (row["posts"], row["emotion_anger"], row["emotion_joy"]) == (3, 0.5, None)
    assert row["more"] is None
