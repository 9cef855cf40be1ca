"""The alert rules: parsed by Prometheus' own tool, made of metrics that exist, and able to fire."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumer.telemetry import metrics
from monitor.telemetry import metrics as monitor_metrics
from producer.live import metrics as live_metrics

ROOT = Path(__file__).parents[3]
RULES = ROOT / "infra/prometheus/emostream.rules.yaml"
TESTS = Path(__file__).with_name("emostream.rules.test.yaml")
OF_PROMETHEUS = {"up", "process_start_time_seconds"}
"""The scraper's own, and what each process exports by its client library."""

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def labels() -> dict[str, set[str]]:
    """Each metric's name with its labels."""
    ours: dict[str, set[str]] = {one.name: set(one.labels) for one in metrics.ALL}
    ours |= {one.name: set(one.labels) for one in live_metrics.ALL}
    table = monitor_metrics.table()
    for name, cell in re.findall(r"\| `(\w+)` \| \w+ \| ([^|]*) \|", table):
        ours[name] = set(re.findall(r"`(\w+)`", cell))
    return ours


def test_each_metric_and_label_of_a_rule_is_one_of_the_code() -> None:
    known = labels()
    for rule in rules():
        named = re.findall(r"\b(emostream_\w+|up|process_\w+)(?:\{([^}]*)\})?", rule["expr"])
        assert named, rule["alert"]
        for name, selector in named:
            assert name in known or name in OF_PROMETHEUS, name
            used = set(re.findall(r"(\w+)=", selector)) - {"job", "instance"}
            assert used <= known.get(name, set()), (name, used)


def test_none_leans_on_the_fuse_which_is_gone_before_a_scrape() -> None:
    assert "emostream_fuse_blown" not in RULES.read_text(encoding="utf-8")


def test_each_rule_has_its_case_in_which_it_fires() -> None:
    cases = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    fires = {
        one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]
    }
    assert fires == {rule["alert"] for rule in rules()}


def test_each_rule_says_what_it_means_in_a_sentence() -> None:
    assert all(rule["annotations"]["summary"] for rule in rules())


def test_each_rule_says_whether_somebody_has_to_get_up() -> None:
    found = {rule["alert"]: rule.get("labels", {}).get("severity") for rule in rules()}
    assert set(found.values()) == {"critical", "warning", "info"}
    assert found["EmostreamPostsLost"] == "critical"
    assert found["EmostreamSpansDropped"] == "info"


@promtool
def test_prometheus_takes_the_rules_and_each_fires_as_it_should(tmp_path: Path) -> None:
    for path in (RULES, TESTS):
        shutil.copy(path, tmp_path)
    for words in (["check", "rules", RULES.name], ["test", "rules", TESTS.name]):
        done = subprocess.run(
            ["promtool", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_leads_to_its_own_section_of_the_runbook() -> None:
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert anchor == rule["alert"].lower()
        headings = re.findall(
            r"^## (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert headings == [one["alert"] for one in rules()]
