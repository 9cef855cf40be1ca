"""The dashboards: what the code makes, of metrics that exist, where each panel has its place."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from infra.grafana import generate
from tests.infra.grafana.promql import filled, known, named

RULES = Path(__file__).parents[3] / "infra/prometheus/emostream.rules.yaml"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(generate.FOLDER.glob("*.json"))
}


class Query(NamedTuple):
    """A curve of a panel."""

    board: str
    panel: str
    legend: str
    expr: str


def panels(name: str) -> list[dict[str, Any]]:
    """Every panel of a dashboard, rows among them, and those inside of a collapsed row."""
    return [
        one
        for panel in BOARDS[name]["panels"]
        for one in (panel, *(panel["panels"] if panel["type"] == "row" else ()))
    ]


def queries() -> list[Query]:
    """Every expression of every dashboard."""
    return [
        Query(name, panel["title"], target.get("legendFormat", ""), target["expr"])
        for name in BOARDS
        for panel in panels(name)
        for target in panel.get("targets", [])
    ]


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    """Else: make generated."""
    assert generate.outdated() == []
    assert set(BOARDS) == {"analyst", "engineer"}


def test_a_dashboard_that_is_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    for name, text in generate.documents().items():
        (tmp_path / name).write_text(text.replace("now-1h", "now-2h"), encoding="utf-8")
    assert generate.outdated(tmp_path) == [tmp_path / "engineer.json"]


@pytest.mark.parametrize("query", queries(), ids=lambda query: f"{query.panel}, {query.legend}")
def test_each_curve_is_made_of_metrics_and_labels_of_the_code(query: Query) -> None:
    series = known()
    found = named(filled(query.expr))
    assert found
    for one in found:
        assert one.metric in series
        assert one.labels <= set().union(*(series[other.metric] for other in found))
    # What a legend names is left over by the aggregation.
    available = set().union(*(series[one.metric] for one in found))
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= available


def test_a_metric_that_the_code_does_not_have_is_noticed() -> None:
    (one,) = named('sum by (nowhere) (rate(emostream_no_such_total{instance="a"}[5m]))')
    assert one.metric not in known()
    assert one.labels == {"nowhere", "instance"}


@pytest.mark.parametrize("name", BOARDS)
def test_each_variable_of_an_expression_is_one_of_the_dashboard(name: str) -> None:
    board = BOARDS[name]
    declared = {one["name"] for one in board["templating"]["list"]} | {"__rate_interval"}
    text = json.dumps(board["panels"])
    assert set(re.findall(r"\$\{?(\w+)", text)) <= declared
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.findall(r"\w+", variable["query"])[1:]
            assert label in known()[metric]


@pytest.mark.parametrize("name", BOARDS)
def test_no_panel_lies_on_another_or_beside_the_grid(name: str) -> None:
    places = [panel["gridPos"] for panel in panels(name)]
    assert all(one["x"] + one["w"] <= 24 for one in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@pytest.mark.parametrize("name", BOARDS)
def test_each_panel_says_what_it_shows(name: str) -> None:
    shown = [panel for panel in panels(name) if panel["type"] != "row"]
    assert all(panel["description"].endswith(".") for panel in shown)


@pytest.mark.parametrize("name", BOARDS)
def test_a_row_has_panels_inside_exactly_if_it_is_collapsed(name: str) -> None:
    """Grafana drops those of an open row."""
    rows = [panel for panel in BOARDS[name]["panels"] if panel["type"] == "row"]
    assert rows
    assert all(bool(one["panels"]) == one.get("collapsed", False) for one in rows)


def test_what_most_have_off_is_collapsed_at_the_end() -> None:
    collapsed = [panel for panel in BOARDS["engineer"]["panels"] if panel.get("collapsed")]
    assert collapsed == BOARDS["engineer"]["panels"][-1:]
    assert collapsed[0]["title"] == "Exactly-once, registry, traces"


def test_lag_and_age_come_first_for_the_engineer_and_alerts_for_the_analyst() -> None:
    first = {
        name: next(panel["title"] for panel in panels(name) if panel["type"] != "row")
        for name in BOARDS
    }
    assert first == {"engineer": "Posts waiting", "analyst": "Alerts that fire"}
    titles = [panel["title"] for panel in panels("engineer")]
    assert titles.index("Age of the news, 95 %") < titles.index("Posts a second")


def test_what_an_alert_is_about_is_on_a_dashboard() -> None:
    """Who is called at night sees the figure that called: but `up`, and what is shown otherwise."""
    elsewhere = {
        "emostream_build_info": "the choice of consumers",
        "emostream_monitor_active": "the analyst sees the age of the figures",
    }
    shown = {one.metric for query in queries() for one in named(filled(query.expr))}
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    wanted = {one.metric for rule in group["rules"] for one in named(rule["expr"])}
    assert wanted - shown - set(elsewhere) == {"up"}
