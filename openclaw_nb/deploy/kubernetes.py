"""Manifests for Kubernetes: gateways as pods of the strictest profile, found, scaled and replaced without a loss."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ..errors import ConfigError
from .container import USER
from .plan import FOLDER, STATE, Made, Plan, dumped, headed, in_container, leaving, variables

__all__ = ["make"]

NAME = "openclaw-gateway"

LEAVING = 5.0
"""Seconds at least that a pod goes on serving after it is told to end: so long others know its address."""

MOST = 10
"""Pods that are scaled up to, unless there are more from the beginning."""

BUSY = 200
"""Runs at work in a pod, above which another one is added."""

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_LABELS = {"app.kubernetes.io/name": NAME}


def make(plan: Plan) -> Made:
    """``openclaw-gateway.yaml``. ConfigError where a secret is to come from a file, or for no name of a namespace."""
    if not _NAMESPACE.fullmatch(plan.namespace):
        raise ConfigError(f"{plan.namespace!r} is no name of a namespace: lower-case letters, digits and dashes")
    # Not a sleep before the signal: it says that it is not ready, and serves, while balancers stop to send it clients.
    serving = replace(plan.serving, grace=max(plan.serving.grace, LEAVING))
    plan = replace(plan, config=replace(plan.config, gateway=serving))
    objects = [_config(plan), _workload(plan), _service(plan), _budget(plan), _scaler(plan)]
    text = headed("kubernetes", "kubectl apply --dry-run=server -f openclaw-gateway.yaml", *_secrets(plan))
    text += "".join(f"---\n{dumped(one)}" for one in objects)
    return Made(
        {"openclaw-gateway.yaml": text},
        f"make the Secret {NAME} as the file says, push {plan.image}, and kubectl apply -f openclaw-gateway.yaml",
    )


def _secrets(plan: Plan) -> list[str]:
    """How the secrets are made that the manifests name."""
    wanted = variables(plan.serving, only=True)
    literals = " ".join(f'--from-literal={name}="${name}"' for name in wanted)
    lines = [f"First: kubectl -n {plan.namespace} create secret generic {NAME} {literals}"]
    if plan.serving.tls_cert is not None:
        lines.append(f"and: kubectl -n {plan.namespace} create secret tls {NAME}-tls --cert=CHAIN --key=KEY")
    return lines


def _meta(plan: Plan) -> dict[str, Any]:
    return {"name": NAME, "namespace": plan.namespace, "labels": _LABELS}


def _config(plan: Plan) -> dict[str, Any]:
    names = (NAME, f"{NAME}.{plan.namespace}", f"{NAME}.{plan.namespace}.svc")
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(plan),
        "data": {"gateway.yaml": in_container(plan, names)},
    }  # fmt: skip


def _workload(plan: Plan) -> dict[str, Any]:
    """A Deployment; a StatefulSet where sessions are kept in a file, each pod having a volume of its own for it."""
    kept = plan.serving.store is not None
    spec: dict[str, Any] = {
        "replicas": plan.serving.workers,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS, "annotations": _scraped(plan)}, "spec": _pod(plan)},
    }
    if kept:
        spec |= {
            "serviceName": NAME,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "state"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        }
    else:
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    kind = "StatefulSet" if kept else "Deployment"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _meta(plan), "spec": spec}


def _scraped(plan: Plan) -> dict[str, str]:
    watched = plan.config.monitoring
    if not watched.prometheus_enabled:
        return {}
    return {
        "prometheus.io/scrape": "true", "prometheus.io/port": str(watched.port or 9090),
        "prometheus.io/path": watched.metrics_path,
    }  # fmt: skip


def _pod(plan: Plan) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "config", "configMap": {"name": NAME}}]
    if plan.serving.store is None:
        volumes.append({"name": "state", "emptyDir": {"sizeLimit": "64Mi"}})
    if plan.serving.tls_cert is not None:
        volumes.append({"name": "tls", "secret": {"secretName": f"{NAME}-tls", "defaultMode": 0o440}})
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": leaving(plan.serving),
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": _LABELS},
        }],
        "containers": [_container(plan)],
        "volumes": volumes,
    }  # fmt: skip


def _container(plan: Plan) -> dict[str, Any]:
    serving = plan.serving
    mounts = [
        {"name": "config", "mountPath": f"{FOLDER}/gateway.yaml", "subPath": "gateway.yaml", "readOnly": True},
        {"name": "state", "mountPath": STATE},
    ]
    if serving.tls_cert is not None:
        mounts.append({"name": "tls", "mountPath": f"{FOLDER}/tls", "readOnly": True})
    return {
        "name": "gateway",
        "image": plan.image,
        "args": ["serve", "--config", f"{FOLDER}/gateway.yaml"],
        "env": [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": NAME, "key": name}}}
            for name in variables(serving, only=True)
        ],
        "ports": [
            {"name": "gateway", "containerPort": serving.port or 18_789},
            {"name": "metrics", "containerPort": plan.config.monitoring.port or 9090},
        ],
        "startupProbe": _probe(plan, "/healthz", periodSeconds=1, failureThreshold=60),
        "livenessProbe": _probe(plan, "/healthz", periodSeconds=10, timeoutSeconds=5, failureThreshold=3),
        "readinessProbe": _probe(plan, "/readyz", periodSeconds=1, timeoutSeconds=1, failureThreshold=1),
        "resources": {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }  # fmt: skip


def _probe(plan: Plan, path: str, **times: int) -> dict[str, Any]:
    scheme = "HTTPS" if plan.serving.tls_cert is not None else "HTTP"
    return {"httpGet": {"path": path, "port": "gateway", "scheme": scheme}, **times}


def _service(plan: Plan) -> dict[str, Any]:
    ports = [
        {"name": "gateway", "port": plan.serving.port or 18_789, "targetPort": "gateway"},
        {"name": "metrics", "port": plan.config.monitoring.port or 9090, "targetPort": "metrics"},
    ]
    spec = {"selector": _LABELS, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(plan), "spec": spec}


def _budget(plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": _meta(plan),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _LABELS}},
    }  # fmt: skip


def _scaler(plan: Plan) -> dict[str, Any]:
    """By the processor, which every cluster measures, and by runs at work where an adapter tells of metrics."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    runs = {"metric": {"name": "openclaw_runs_active"}, "target": {"type": "AverageValue", "averageValue": str(BUSY)}}
    target = {"apiVersion": "apps/v1", "kind": _workload(plan)["kind"], "name": NAME}
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": _meta(plan),
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": plan.serving.workers, "maxReplicas": max(MOST, plan.serving.workers),
            "metrics": [{"type": "Resource", "resource": cpu}, {"type": "Pods", "pods": runs}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }  # fmt: skip
