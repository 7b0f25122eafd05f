"""The manifests, held against the schemas of Kubernetes, and what has to agree between them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from openclaw_nb.config import ClusterConfig
from openclaw_nb.deploy import kubernetes
from openclaw_nb.errors import ConfigError
from tests.deploy.test_plan import plan

FULL = (
    "gateway: {workers: 4, port: 7000, drain: 60s,"
    " redis: 'rediss://redis.example.org:6379/0', redisPassword: {env: PW},"
    " tlsCert: a.pem, tlsKey: b.pem, names: [gw.example.org]}"
)
VERSIONS = ("1.31", "1.35")
MISSING = "kubernetes-validate is not installed, so no manifest was held against a schema"


def _objects(text: str = "", **options: str) -> dict[str, Any]:
    made = kubernetes.make(plan(text, **options)).files["openclaw-gateway.yaml"]
    return {one["kind"]: one for one in yaml.safe_load_all(made)}


@pytest.mark.parametrize("text", ["", FULL, "gateway: {store: s.db}"], ids=["least", "full", "store"])
def test_kubernetes_takes_them(text: str) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: no schema was held"
    )
    for one in _objects(text).values():
        for version in VERSIONS:
            validate.validate(one, version, strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate(
            {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"prots": []}}, "1.35", strict=True
        )


@pytest.mark.parametrize("text", ["", FULL, "gateway: {store: s.db}"], ids=["least", "full", "store"])
def test_they_agree_with_each_other(text: str) -> None:
    objects = _objects(text, namespace="prod")
    workload = objects.get("Deployment") or objects["StatefulSet"]
    labels = {"app.kubernetes.io/name": "openclaw-gateway"}
    assert {one["metadata"]["namespace"] for one in objects.values()} == {"prod"}
    assert workload["spec"]["selector"]["matchLabels"] == labels == workload["spec"]["template"]["metadata"]["labels"]
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["kind"] == workload["kind"]
    pod = workload["spec"]["template"]["spec"]
    container = pod["containers"][0]
    config = ClusterConfig.parse(objects["ConfigMap"]["data"]["gateway.yaml"])
    assert (
        config.gateway.port == container["ports"][0]["containerPort"] == objects["Service"]["spec"]["ports"][0]["port"]
    )
    assert config.gateway.grace >= 5
    assert pod["terminationGracePeriodSeconds"] > config.gateway.grace + config.gateway.drain
    assert "openclaw-gateway.prod.svc" in config.gateway.names
    assert [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness")] == [
        "/healthz",
        "/readyz",
    ]
    scheme = "HTTPS" if config.gateway.tls_cert else "HTTP"
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "gateway", "scheme": scheme}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    claimed = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())}
    assert mounted == {volume["name"] for volume in pod["volumes"]} | claimed


def test_the_strictest_profile() -> None:
    """What https://kubernetes.io/docs/concepts/security/pod-security-standards/ calls restricted, and read-only."""
    pod = _objects()["Deployment"]["spec"]["template"]["spec"]
    assert (
        pod["securityContext"].items() >= {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}.items()
    )
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_secrets_are_referred_to() -> None:
    made = kubernetes.make(plan(FULL)).files["openclaw-gateway.yaml"]
    objects = _objects(FULL)
    assert "Secret" not in objects
    env = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [(one["name"], one["valueFrom"]["secretKeyRef"]) for one in env] == [
        (name, {"name": "openclaw-gateway", "key": name}) for name in ("PW", "OPENCLAW_GATEWAY_TOKEN")
    ]
    assert "# First: kubectl -n openclaw create secret generic openclaw-gateway --from-literal=PW=" in made
    assert "create secret tls openclaw-gateway-tls" in made
    with pytest.raises(ConfigError, match="is no name of a namespace"):
        kubernetes.make(plan(namespace="Not one"))
