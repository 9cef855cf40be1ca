"""The chart: what it renders is valid, holds to the restricted profile, and fits the product."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from consumer.delivery.scheduler import LAST_ACKS_S
from consumer.options import LAST_COMMIT_S
from consumer.settings import Settings, load
from consumer.traces import FLUSH_S
from monitor.settings import load as load_monitor
from tests.infra.helm.chart import (
    CHART,
    ELSEWHERE,
    EVERYTHING,
    ROOT,
    Object,
    check,
    helm,
    needs_helm,
    of_kind,
    pods,
    rendered,
)

RULES = ROOT / "infra/prometheus/emostream.rules.yaml"
VALUES: list[Mapping[str, Any]] = [{}, EVERYTHING, ELSEWHERE]


def environment(container: Object) -> dict[str, str]:
    """What a container's variables are; a pod's name is `r-emostream-consumer-0`."""
    return {one["name"]: one.get("value", "r-emostream-consumer-0") for one in container["env"]}


def container(objects: list[Object], name: str) -> Object:
    (found,) = dict(pods(objects))[name]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


# ---- without helm


def test_the_default_values_are_what_the_schema_allows() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), schema)


def test_the_chart_has_the_projects_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["appVersion"] == project["version"]
    assert project["version"].startswith(chart["version"])


@pytest.mark.parametrize("name", ["emostream.rules.yaml", "engineer.json", "analyst.json"])
def test_the_chart_carries_the_one_copy_of_rules_and_dashboards(name: str) -> None:
    link = CHART / "files" / name
    assert link.is_symlink()
    assert link.resolve().is_relative_to(ROOT)
    assert link.is_file()


def test_no_list_of_the_values_that_may_be_empty_is_written_below_other_items() -> None:
    """`[]` on a line of its own, after items, is no YAML: `model.args: []`, say."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    written = [
        found[1]
        for path in sorted((CHART / "templates").glob("*.yaml"))
        for found in re.finditer(
            r"^ *\{\{- toYaml \.Values\.([\w.]+) ", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    assert written
    for name in written:
        found = schema
        for part in name.split("."):
            found = found["properties"][part]
            found = schema["definitions"].get(found.get("$ref", "").rpartition("/")[2], found)
        assert found.get("minItems", 0) > 0, name


# ---- rendered


@needs_helm
@pytest.mark.parametrize("values", VALUES)
def test_helm_lints_it_strictly(values: Mapping[str, Any]) -> None:
    done = helm("lint", "--strict", values=values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@needs_helm
@pytest.mark.parametrize("values", VALUES)
def test_every_object_is_valid_by_the_schema_of_its_kind(values: Mapping[str, Any]) -> None:
    objects = rendered(values)
    for one in objects:
        check(one)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


@needs_helm
def test_all_kinds_are_there_when_all_is_on() -> None:
    kinds = {one["kind"] for one in rendered(EVERYTHING)}
    assert kinds == {
        *("ConfigMap", "ServiceAccount", "Job", "StatefulSet", "Deployment", "Service"),
        *("ScaledObject", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "PrometheusRule"),
    }


@needs_helm
def test_an_object_that_is_wrong_is_noticed() -> None:
    """The schemas are strict: a key that nobody knows is no valid object."""
    objects = rendered(EVERYTHING)
    for kind in ("StatefulSet", "ScaledObject", "PodMonitor", "PrometheusRule"):
        one = next(iter(of_kind(objects, kind).values()))
        spoilt = {**one, "spec": {**one["spec"], "nonsense": 1}}
        with pytest.raises(Exception, match="nonsense"):
            check(spoilt)


@needs_helm
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"consumers": {}}, "consumers"),
        ({"image": {"tag": "latest"}}, "tag"),
        ({"image": {"digest": "sha256:1"}}, "digest"),
        ({"kafka": {"bootstrap": "kafka"}}, "bootstrap"),
        ({"kafka": {"topics": []}}, "topics"),
        ({"model": {"enabled": False}}, "servers"),
        ({"model": {"servers": ["http://there"]}}, "servers"),
        ({"model": {"second": {"servers": ["small:3000"]}}}, "servers"),
        ({"model": {"second": {"weight": 1}}}, "weight"),
        ({"model": {"second": {"onOutage": "first"}}}, "onOutage"),
        ({"model": {"second": {"shedAboveAgeS": -1}}}, "shedAboveAgeS"),
        ({"monitor": {"replicas": 3}}, "replicas"),
        ({"monitor": {"page": {"enabled": True}}}, "allowedHosts"),
        ({"monitor": {"page": {"enabled": True, "allowedHosts": ["a"]}}}, "existingSecret"),
        ({"autoscaling": {"consumer": {"enabled": True, "min": 5}}}, "kafka.partitions"),
        ({"autoscaling": {"model": {"enabled": True, "min": 3}}}, "autoscaling.model.max"),
        ({"networkPolicy": {"scrapersFrom": []}}, "scrapersFrom"),
        ({"networkPolicy": {"pageFrom": []}}, "pageFrom"),
        ({"monitoring": {"rules": {"runbookBase": "git.example.org"}}}, "runbookBase"),
    ],
)
def test_values_that_can_not_work_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    done = helm("template", "r", values=values)
    assert done.returncode != 0
    assert named in done.stderr


@needs_helm
@pytest.mark.parametrize("args", [[], ["--quantize", "fp8"]])
def test_the_model_server_is_launched_with_the_arguments_given(args: list[str]) -> None:
    found = container(rendered({"model": {"args": args}}), "r-emostream-model")["args"]
    assert found[found.index("8080") + 1 :] == args


@needs_helm
@pytest.mark.parametrize("values", VALUES)
def test_every_pod_keeps_to_the_restricted_profile(values: Mapping[str, Any]) -> None:
    found = list(pods(rendered(values)))
    assert found
    for name, template in found:
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in spec["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert one["resources"]["requests"]["memory"]
            assert one["resources"]["limits"]["memory"]
            assert "/tmp" in {mount["mountPath"] for mount in one["volumeMounts"]}
            assert not one["image"].endswith(":latest")


@needs_helm
def test_live_and_ready_are_two_questions_and_the_grace_outlasts_both_drains() -> None:
    objects = rendered({"consumer": {"drain": {"revokeS": 30, "stopS": 50}}})
    for name in ("r-emostream-consumer", "r-emostream-monitor"):
        one = container(objects, name)
        assert one["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"
    spec = of_kind(objects, "StatefulSet")["r-emostream-consumer"]["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 30 + 50 + 5
    settings = load(None, environment(container(objects, "r-emostream-consumer")))
    assert (settings.drain.revoke_s, settings.drain.stop_s) == (30, 50)


@needs_helm
@pytest.mark.parametrize("drain", [(0, 20), (0, 0), (4, 20), (20, 20), (60, 300)])
def test_the_grace_outlasts_the_stop_that_the_consumer_promises(drain: tuple[int, int]) -> None:
    revoke_s, stop_s = drain
    objects = rendered({"consumer": {"drain": {"revokeS": revoke_s, "stopS": stop_s}}})
    spec = of_kind(objects, "StatefulSet")["r-emostream-consumer"]["spec"]["template"]["spec"]
    tail_s = LAST_ACKS_S + LAST_COMMIT_S + 3.0 + FLUSH_S  # the third: disconnecting
    assert spec["terminationGracePeriodSeconds"] >= stop_s + max(tail_s, revoke_s + 5)


@needs_helm
def test_the_job_that_makes_topics_runs_again_over_topics_that_were_changed() -> None:
    """Each release has one, and the runbook says to raise a retention."""
    args = container(rendered(EVERYTHING), "r-emostream-topics-1")["args"]
    assert args[:2] == ["topics", "create"]
    assert "--allow-differences" in args


@needs_helm
@pytest.mark.parametrize(
    ("kafka", "ports"),
    [
        ({}, [9092]),
        ({"bootstrap": "a:9093,b:9093,c:9094"}, [9093, 9094]),
        ({"bootstrap": "a:9093", "port": 31000}, [9093, 31000]),
        ({"bootstrap": "a:9093", "port": 9093}, [9093]),
    ],
)
def test_the_policy_lets_the_brokers_ports_through(kafka: dict[str, Any], ports: list[int]) -> None:
    policies = of_kind(rendered({"kafka": {**kafka, "createTopics": True}}), "NetworkPolicy")
    for name in ("consumer", "monitor", "topics"):
        egress = policies[f"r-emostream-{name}"]["spec"]["egress"]
        assert [port["port"] for port in egress[1]["ports"]] == ports


@needs_helm
@pytest.mark.parametrize("values", VALUES)
def test_consumer_and_monitor_take_the_configuration_that_the_chart_gives_them(
    values: Mapping[str, Any], tmp_path: Path
) -> None:
    objects = rendered(values)
    file = tmp_path / "emostream.toml"
    file.write_text(of_kind(objects, "ConfigMap")["r-emostream"]["data"][file.name])
    env = environment(container(objects, "r-emostream-consumer"))
    assert Path(env["EMOSTREAM_CONFIG"]).name == file.name
    settings = load(file, env)
    assert settings.http.host == "0.0.0.0"
    assert settings.log.format == "json"
    assert settings.input.group_instance_id == "r-emostream-consumer-0"
    if values == ELSEWHERE:
        assert settings.model.servers == tuple(ELSEWHERE["model"]["servers"])
    else:
        assert settings.model.servers[0] == (
            "http://r-emostream-model-0.r-emostream-model.ns.svc:8080"
        )
        env = environment(container(objects, "r-emostream-monitor"))
        token = tmp_path / "page-token"
        token.write_text("0123456789abcdef")
        if "EMOSTREAM_MONITOR__PAGE__TOKEN_FILE" in env:
            env["EMOSTREAM_MONITOR__PAGE__TOKEN_FILE"] = str(token)
        watching = load_monitor(file, env)
        assert watching.monitor.http.host == "0.0.0.0"
        assert watching.input.group_id == settings.input.group_id
        assert watching.monitor.page.enabled is (values == EVERYTHING)


@needs_helm
def test_the_second_model_is_what_the_values_say_and_the_policy_lets_it_be_reached() -> None:
    objects = rendered(EVERYTHING)
    second = load(None, environment(container(objects, "r-emostream-consumer"))).model.second
    wanted = EVERYTHING["model"]["second"]
    assert second.servers == tuple(wanted["servers"])
    assert second.weight == wanted["weight"]
    assert second.on_outage == wanted["onOutage"]
    assert second.shed_above_age_s == wanted["shedAboveAgeS"]
    policy = of_kind(objects, "NetworkPolicy")["r-emostream-consumer"]["spec"]
    assert [port["port"] for port in policy["egress"][-1]["ports"]] == [3000, 443]


@needs_helm
def test_the_digits_that_end_a_servers_name_are_no_port() -> None:
    servers = ["http://gpu-1", "https://10.0.0.5", "http://tgi:3000/v1"]
    policies = of_kind(rendered({"model": {"enabled": False, "servers": servers}}), "NetworkPolicy")
    egress = policies["r-emostream-consumer"]["spec"]["egress"]
    assert [port["port"] for port in egress[-1]["ports"]] == [80, 443, 3000]


@needs_helm
def test_what_the_configuration_file_names_by_itself_can_be_let_through() -> None:
    config = '[model.second]\nservers = ["http://small:3000"]\n'
    values = {
        "config": config,
        "kafka": {"createTopics": True},  # it may ask for a token
        "networkPolicy": {"configPorts": [3000, 8081]},
    }
    policies = of_kind(rendered(values), "NetworkPolicy")
    for name in ("consumer", "monitor", "topics"):
        egress = policies[f"r-emostream-{name}"]["spec"]["egress"]
        ports = [[port["port"] for port in rule["ports"]] for rule in egress]
        assert [3000, 8081] in ports
    without = of_kind(rendered(), "NetworkPolicy")["r-emostream-consumer"]["spec"]["egress"]
    assert all(port["port"] not in {3000, 8081} for rule in without for port in rule["ports"])


@needs_helm
def test_without_servers_a_second_model_is_the_configuration_files_business() -> None:
    names = environment(container(rendered(), "r-emostream-consumer"))
    assert not [name for name in names if "SECOND" in name]
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["model"]["second"]
    ours = Settings().model.second
    assert (values["weight"], values["onOutage"]) == (ours.weight, ours.on_outage)
    assert values["shedAboveAgeS"] == ours.shed_above_age_s


@needs_helm
def test_other_configuration_starts_the_pods_again() -> None:
    sums = [
        dict(pods(rendered({"config": text})))[f"r-emostream-{name}"]["metadata"]["annotations"]
        for text in ("", "[fuse]\nshare = 0.8\n")
        for name in ("consumer", "monitor")
    ]
    assert len({json.dumps(one) for one in sums}) == 2


@needs_helm
def test_two_objects_scale_two_things_by_one_kind_of_trigger_each() -> None:
    objects = rendered(EVERYTHING)
    scaled = of_kind(objects, "ScaledObject")
    consumer, model = (scaled[f"r-emostream-{name}"]["spec"] for name in ("consumer", "model"))
    assert {one["type"] for one in consumer["triggers"]} == {"kafka"}
    assert [one["metadata"]["topic"] for one in consumer["triggers"]] == ["posts", "more.posts"]
    assert {one["type"] for one in model["triggers"]} == {"prometheus"}
    assert consumer["maxReplicaCount"] == 12
    sets = of_kind(objects, "StatefulSet")
    for spec in (consumer, model):
        # Who scales it alone says how many there are.
        assert "replicas" not in sets[spec["scaleTargetRef"]["name"]]["spec"]
    env = environment(container(objects, "r-emostream-consumer"))
    assert env["EMOSTREAM_MODEL__SERVERS"].count("http://") == model["maxReplicaCount"] == 3
    assert env["EMOSTREAM_INPUT__GROUP_ID"] == consumer["triggers"][0]["metadata"]["consumerGroup"]


def test_how_it_scales_and_is_disrupted_is_what_was_tried_with_keda() -> None:
    """Read from the templates, so that a machine without helm notices a change, too."""
    scaling, disruption, *workloads = (
        (CHART / f"templates/{name}.yaml").read_text(encoding="utf-8")
        for name in ("scaling", "disruption", "consumer", "monitor", "model")
    )
    consumer, model = scaling.split("\n---\n")
    for line in (
        "maxReplicaCount: {{ .Values.kafka.partitions }}",
        "stabilizationWindowSeconds: 300",
        "offsetResetPolicy: earliest",
        'limitToPartitionsWithLag: "true"',
        'excludePersistentLag: "false"',
    ):
        assert f" {line}\n" in consumer, line
    assert ' ignoreNullValues: "false"\n' in model
    assert "\n  fallback: {" in model
    assert "\n  maxUnavailable: 1\n" in disruption
    assert all("topologySpreadConstraints: " in one for one in workloads)


@needs_helm
@pytest.mark.parametrize("values", VALUES)
def test_what_selects_pods_selects_some(values: Mapping[str, Any]) -> None:
    objects = rendered(values)
    labels = [template["metadata"]["labels"] for _, template in pods(objects)]
    for one in objects:
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            wanted = spec["selector"]
        elif one["kind"] == "NetworkPolicy":
            wanted = spec["podSelector"]["matchLabels"]
        elif one["kind"] in {"PodDisruptionBudget", "PodMonitor", "StatefulSet", "Deployment"}:
            wanted = spec["selector"]["matchLabels"]
        else:
            continue
        assert [has for has in labels if wanted.items() <= has.items()], one["metadata"]["name"]


@needs_helm
def test_every_pod_has_a_network_policy_that_names_both_directions() -> None:
    for values in VALUES:
        objects = rendered(values)
        policies = of_kind(objects, "NetworkPolicy").values()
        for name, template in pods(objects):
            has = template["metadata"]["labels"]
            (one,) = [
                policy
                for policy in policies
                if policy["spec"]["podSelector"]["matchLabels"].items() <= has.items()
            ]
            assert one["spec"]["policyTypes"] == ["Ingress", "Egress"], name
    assert [
        [port["port"] for port in rule["ports"]]
        for rule in of_kind(objects, "NetworkPolicy")["r-emostream-consumer"]["spec"]["egress"]
    ] == [[53, 53], [9092], [3000, 443]]


@needs_helm
def test_pods_are_scraped_under_the_names_that_rules_and_dashboards_go_by() -> None:
    monitors = of_kind(rendered(EVERYTHING), "PodMonitor")
    jobs = {
        name: relabel["replacement"]
        for name, one in monitors.items()
        for relabel in one["spec"]["podMetricsEndpoints"][0]["relabelings"]
        if relabel["targetLabel"] == "job"
    }
    assert jobs["r-emostream-consumer"] in re.findall(r'job="([\w-]+)"', RULES.read_text())
    assert jobs["r-emostream-model"] in json.dumps(rendered(EVERYTHING))
    assert len(set(jobs.values())) == 3


@needs_helm
def test_the_rules_are_those_of_the_repository_with_addresses_that_open(tmp_path: Path) -> None:
    rules = of_kind(rendered(EVERYTHING), "PrometheusRule")["r-emostream"]["spec"]
    ours = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    names = [[rule["alert"] for rule in one["groups"][0]["rules"]] for one in (rules, ours)]
    assert names[0] == names[1]
    for rule in rules["groups"][0]["rules"]:
        url = rule["annotations"]["runbook_url"]
        assert url.startswith("https://git.example.org/emostream/docs/runbook.md#")
    if shutil.which("promtool"):
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        subprocess.run(["promtool", "check", "rules", "rules.yaml"], cwd=tmp_path, check=True)


@needs_helm
def test_grafana_finds_the_dashboards_in_a_config_map() -> None:
    one = of_kind(rendered(EVERYTHING), "ConfigMap")["r-emostream-dashboards"]
    assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
    for name in ("engineer", "analyst"):
        committed = (ROOT / f"infra/grafana/dashboards/{name}.json").read_text(encoding="utf-8")
        assert json.loads(one["data"][f"emostream-{name}.json"]) == json.loads(committed)
