"""The chart as `helm template` renders it, and the schemas of what comes out."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "infra/helm/emostream"
KUBERNETES = "1.35"
"""Whose schemas the built-in kinds are held against."""

Object = dict[str, Any]

needs_helm = pytest.mark.skipif(
    shutil.which("helm") is None,
    reason="there is no helm: go install helm.sh/helm/v3/cmd/helm@v3.22.0",
)

EVERYTHING: Mapping[str, Any] = {
    "kafka": {"createTopics": True, "topics": ["posts", "more.posts"], "partitions": 12},
    "existingSecret": "secrets",
    "model": {
        "second": {
            "servers": ["http://small:3000", "https://small.example.org"],
            "weight": 0.25,
            "onOutage": "second",
            "shedAboveAgeS": 60,
        }
    },
    "imagePullSecrets": [{"name": "registry"}],
    "monitor": {"page": {"enabled": True, "allowedHosts": ["mood.example.org"]}},
    "autoscaling": {
        "consumer": {"enabled": True, "authenticationRef": "kafka"},
        "model": {"enabled": True, "max": 3},
    },
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "runbookBase": "https://git.example.org/emostream/"},
        "dashboards": {"enabled": True},
    },
}
"""Values that switch on whatever can be."""

ELSEWHERE: Mapping[str, Any] = {
    "model": {"enabled": False, "servers": ["http://tgi:3000", "https://gateway.example.org"]},
    "monitor": {"enabled": False},
    "networkPolicy": {"kafkaTo": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
}
"""Model servers that are there already, and no monitor."""


def helm(*words: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `helm` on the chart: `words` are the verb and what follows it."""
    return subprocess.run(
        ["helm", *words, str(CHART), "--kube-version", f"{KUBERNETES}.0", "--values", "-"],
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def rendered(values: Mapping[str, Any] | None = None) -> list[Object]:
    """Every object of a release named `r` in the namespace `ns`."""
    return list(_rendered(json.dumps(values or {})))


@cache
def _rendered(values: str) -> tuple[Object, ...]:
    done = helm("template", "r", "--namespace", "ns", values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The name and the pod template of whatever makes pods."""
    for one in objects:
        if one["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield one["metadata"]["name"], one["spec"]["template"]


def check(one: Object) -> None:
    """Hold an object against the schema of its kind; what the schema doesn't name is refused."""
    schema = custom_kinds().get(f"{one['apiVersion']}/{one['kind']}")
    if schema is None:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    else:
        jsonschema.validate(one, schema)


@cache
def custom_kinds() -> dict[str, Any]:
    """The schemas of KEDA's and the Prometheus operator's kinds, made strict."""
    text = Path(__file__).with_name("crds.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    del found["about"]
    for schema in found.values():
        schema["properties"]["metadata"] = {}  # Kubernetes' own, and the operators' say nothing
        _make_strict(schema)
    return found


def _make_strict(schema: Any) -> None:
    if isinstance(schema, list):
        for one in schema:
            _make_strict(one)
    elif isinstance(schema, dict):
        named = isinstance(schema.get("properties"), dict)
        kept = schema.get("x-kubernetes-preserve-unknown-fields")
        if named and schema.get("type") == "object" and not kept:
            schema.setdefault("additionalProperties", False)
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and "(?i)" in pattern:  # Go has it anywhere
            schema["pattern"] = "(?i)" + pattern.replace("(?i)", "")
        for one in schema.values():
            _make_strict(one)
