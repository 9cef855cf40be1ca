"""The compose file: well-formed, pinned, bounded, and its programs take their configuration."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumer.settings import Settings, load
from emollm.models import MODELS
from monitor.settings import load as load_monitor
from tests.infra.grafana.promql import filled
from tests.infra.grafana.test_dashboards import queries

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "infra/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"topics"}
"""What ends by itself."""
WRITES = {"kafka", "tgi"}
"""What writes outside of its volumes, by the making of its image."""


def image(service: str) -> str:
    """Its image, where no variable names another."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(SERVICES[service]["image"]))


def settings(service: str) -> Settings:
    return load(FOLDER / "emostream.toml", SERVICES[service]["environment"])


def test_it_is_what_the_compose_specification_allows() -> None:
    pytest.importorskip("check_jsonschema", reason="of `make test`, not `make unit-light`")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema"),
            *("vendor.compose-spec", FOLDER / "compose.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_bounded_hardened_and_local(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+", image(name)), "an image without a version"
    assert {"memory", "cpus", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name not in WRITES)
    assert service["logging"]["options"]["max-size"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    if name in ONCE:
        assert service["restart"].startswith("on-failure")
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_waits_only_for_what_can_come(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        profiles = SERVICES[other].get("profiles")
        assert profiles is None or set(SERVICES[name]["profiles"]) <= set(profiles)
        assert (other in ONCE) == (how["condition"] == "service_completed_successfully")
        if how["condition"] == "service_healthy":
            assert SERVICES[other]["healthcheck"]


def test_everything_that_is_mounted_is_in_the_repository() -> None:
    found = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    }
    assert len(found) > 3
    assert [path for path in found if not (FOLDER / path).exists()] == []


def test_secrets_are_files_that_git_ignores() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert "/infra/compose/secrets/\n" in ignored
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")


def test_the_images_are_those_that_the_project_knows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, end in (("consumer", ""), ("consumer-cpu", ""), ("monitor", ""), ("small", "-small")):
        assert image(name) == f"localhost/emostream:{project['version']}{end}"
    model = next(one for one in MODELS if one.name == "Emollama-chat-7b")
    (tgi,) = [one for one in model.serving if one.server.startswith("TGI")]
    command = tgi.command(model.hub_id or "")
    assert image("tgi") in command
    lock = tomllib.loads((ROOT / "infra/kafka/kafka.lock.toml").read_text(encoding="utf-8"))
    assert image("kafka") == f"apache/kafka:{lock['kafka']}"
    for flag in SERVICES["tgi"]["command"]:
        name, _, value = flag.partition("=")
        assert name == "--port" or f"{name} {value}" in command, flag


@pytest.mark.parametrize(
    ("name", "server", "second"),
    [
        ("consumer", "http://tgi:3000", ("http://small:3000",)),
        ("consumer-cpu", "http://small:3000", ()),
    ],
)
def test_each_consumer_takes_its_configuration(
    name: str, server: str, second: tuple[str, ...]
) -> None:
    found = settings(name)
    assert found.model.servers == (server,)
    assert found.model.second.servers == second
    assert found.kafka.bootstrap == "kafka:9092"
    assert (found.http.host, found.http.port) == ("0.0.0.0", 9090)
    grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace >= found.drain.stop_s + found.drain.revoke_s + 5


def test_the_monitor_takes_its_configuration(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef", encoding="utf-8")
    found = load_monitor(
        FOLDER / "emostream.toml",
        {
            **SERVICES["monitor"]["environment"],
            "EMOSTREAM_MONITOR__PAGE__TOKEN_FILE": str(token),
        },
    )
    assert found.monitor.http.port == 9091
    assert found.monitor.page.host == "0.0.0.0"
    assert SERVICES["monitor"]["secrets"] == ["page-token"]


def test_a_topic_that_somebody_changed_does_not_hold_the_others_up() -> None:
    """Everything waits for `topics`, and the runbook says to raise a retention."""
    assert SERVICES["topics"]["command"][:2] == ["topics", "create"]
    assert "--allow-differences" in SERVICES["topics"]["command"]


def test_kafka_is_told_where_each_side_finds_it() -> None:
    env = SERVICES["kafka"]["environment"]
    assert f"PIPELINE://{settings('consumer').kafka.bootstrap}" in env["KAFKA_ADVERTISED_LISTENERS"]
    (port,) = SERVICES["kafka"]["ports"]
    assert f"HOST://localhost:{port.split(':')[1]}" in env["KAFKA_ADVERTISED_LISTENERS"]


def test_prometheus_scrapes_what_runs_under_the_names_of_rules_and_dashboards(
    tmp_path: Path,
) -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    jobs = {one["job_name"]: one["dns_sd_configs"][0] for one in config["scrape_configs"]}
    assert set(jobs) == {"emostream", "emostream-monitor", "emostream-model"}
    aliases = {*SERVICES, *SERVICES["consumer-cpu"]["networks"]["pipeline"]["aliases"]}
    assert all(set(one["names"]) <= aliases for one in jobs.values())
    rules = (ROOT / "infra/prometheus/emostream.rules.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r'job="([\w-]+)"', rules + "".join(filled(q.expr) for q in queries())))
    assert named <= set(jobs)
    if shutil.which("promtool"):
        shutil.copy(FOLDER / "prometheus.yaml", tmp_path)
        shutil.copy(ROOT / "infra/prometheus/emostream.rules.yaml", tmp_path)
        subprocess.run(["promtool", "check", "config", "prometheus.yaml"], cwd=tmp_path, check=True)


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    source = yaml.safe_load((FOLDER / "grafana/datasource.yaml").read_text(encoding="utf-8"))
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    folder = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text(encoding="utf-8"))
    path = folder["providers"][0]["options"]["path"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["../grafana/dashboards"] == path
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "infra/grafana/dashboards" / Path(home).name).is_file()
