"""What is configured: where agents are and by which token, in an address or a file."""

from __future__ import annotations

from .cluster import AlertThresholds, Cluster, ClusterConfig, Endpoint, Limits, Monitoring, Serving, schema
from .references import TokenReference
from .uri import LONGEST, AgentURI, known_token

__all__ = [
    "LONGEST",
    "AgentURI",
    "AlertThresholds",
    "Cluster",
    "ClusterConfig",
    "Endpoint",
    "Limits",
    "Monitoring",
    "Serving",
    "TokenReference",
    "known_token",
    "schema",
]
