"""The configuration of haproxy before gateways: least connections, their own readiness, nothing lost in a drain."""

from __future__ import annotations

from .plan import Backend, Made, Plan, headed, quoted, trust

__all__ = ["make"]

_GLOBAL = """
global
  log stderr format raw daemon notice

defaults
  mode http
  log global
  option dontlognull
  option http-server-close
  # A gateway that is gone, dies before it answers, or closes its door to drain: another one is asked at once.
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response 503
  timeout connect 2s
  timeout http-request 5s
  timeout client 30s
  timeout client-fin 5s
  timeout server 30s
  # From the upgrade on: gateways send a tick each 30 s, so only a link that is dead is silent for so long.
  timeout tunnel 10m
"""

_FRONTEND = """
frontend openclaw
  bind {bind}
  # The Host of the client goes on to the gateway, which takes its own names only (gateway.names), and so does its
  # Origin, which the gateway refuses: pages of a browser are not served.
  # By the address of the client gateways count wrong tokens, where they trust this balancer (gateway.trustedProxies).
  http-request set-header X-Forwarded-For %[src]
  default_backend gateways
"""

_BACKEND = """
backend gateways
  balance leastconn
  # Readiness turns 503 before a gateway drains: it gets nothing new, and keeps the connections that it has until
  # its runs have ended. So there is no `on-marked-down shutdown-sessions` here.
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  http-check expect status 200
  default-server check inter 200ms fall 1 rise 1
"""


def make(plan: Plan) -> Made:
    """``haproxy.cfg``, whole. Certificates (PEM, with the key in one file) are named, not held."""
    bind = plan.listen
    if plan.tls_cert is not None:
        bind += f" ssl crt {quoted(plan.tls_cert)} ssl-min-ver TLSv1.2 alpn http/1.1"
    backends = plan.backends()
    lines = [
        headed("haproxy", "haproxy -c -f haproxy.cfg"), _GLOBAL, _FRONTEND.format(bind=bind), _BACKEND,
        *(_server(backend) for backend in backends),
    ]  # fmt: skip
    scheme = "wss" if plan.tls_cert else "ws"
    what = "1 gateway" if len(backends) == 1 else f"{len(backends)} gateways"
    listening = plan.bound[1]
    return Made(
        {"haproxy.cfg": "".join(lines)},
        f"check it with haproxy -c -f haproxy.cfg, run it, and dial {scheme}://HOST:{listening} for {what}"
        + trust(plan.serving),
    )


def _server(backend: Backend) -> str:
    line = f"  server {backend.name} {backend.address}"
    if backend.weight != 1:
        line += f" weight {backend.weight}"
    if backend.tls:
        line += f" ssl verify required ca-file @system-ca sni str({backend.host}) verifyhost {backend.host}"
    return line + "\n"
