"""The configuration of nginx before gateways, as what stands within its `http { … }`: for /etc/nginx/conf.d."""

from __future__ import annotations

from ..errors import ConfigError
from .plan import Backend, Made, Plan, headed, quoted, trust

__all__ = ["make"]

_UPSTREAM = """
upstream openclaw_gateways {{
  least_conn;
  zone openclaw_gateways 64k;
  # The open-source nginx asks no gateway for its health: it notices at the next client that one is gone, gives that
  # client to another, and asks the lost one again after fail_timeout. haproxy looks at /readyz five times a second.
{servers}}}
"""

_SERVER = """
server {{
  listen {listen};
  server_name {names};
{tls}
  location / {{
    proxy_pass {scheme}://openclaw_gateways;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    # The Host of the client goes on to the gateway, which takes its own names only (gateway.names), and so does its
    # Origin, which the gateway refuses: pages of a browser are not served.
    proxy_set_header Host $http_host;
    # By the address of the client gateways count wrong tokens, where they trust this balancer (gateway.trustedProxies).
    proxy_set_header X-Forwarded-For $remote_addr;
{upstream_tls}    proxy_buffering off;
    proxy_socket_keepalive on;
    proxy_connect_timeout 2s;
    # From the upgrade on: gateways send a tick each 30 s, so only a link that is dead is silent for so long.
    proxy_read_timeout 10m;
    proxy_send_timeout 10m;
    # A gateway that is gone, or closes its door to drain, has not taken the request: another one gets it at once.
    proxy_next_upstream error timeout http_503;
    proxy_next_upstream_timeout 5s;
  }}
}}
"""

_UPSTREAM_TLS = """\
    proxy_ssl_server_name on;
    proxy_ssl_name {name};
    proxy_ssl_verify on;
    proxy_ssl_verify_depth 3;
    proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
"""


def make(plan: Plan) -> Made:
    """``openclaw.conf``. ConfigError where its gateways differ in what nginx can only say of all: TLS, and its name."""
    host, port = plan.bound
    backends = plan.backends()
    secure = {backend.tls for backend in backends}
    hosts = {backend.host for backend in backends}
    if len(secure) > 1 or (True in secure and len(hosts) > 1):
        raise ConfigError("nginx takes its gateways alike: none with TLS, or all by one name; haproxy takes any")
    names = " ".join(plan.serving.names) or "_"
    tls = ""
    if plan.tls_cert is not None:
        key = quoted(plan.tls_key or plan.tls_cert)
        tls = f"  ssl_certificate {quoted(plan.tls_cert)};\n  ssl_certificate_key {key};\n"
        tls += "  ssl_protocols TLSv1.2 TLSv1.3;\n"
    text = (
        headed("nginx", "nginx -t", "It stands within http { … }, as /etc/nginx/conf.d/openclaw.conf does.")
        + _UPSTREAM.format(servers="".join(_line(backend) for backend in backends))
        + _SERVER.format(
            listen=f"{'' if host == '*' else f'{host}:'}{port}{' ssl' if tls else ''}", names=names, tls=tls,
            scheme="https" if True in secure else "http",
            upstream_tls=_UPSTREAM_TLS.format(name=next(iter(hosts))) if True in secure else "",
        )
    )  # fmt: skip
    scheme = "wss" if tls else "ws"
    return Made(
        {"openclaw.conf": text},
        f"copy it to /etc/nginx/conf.d, check it with nginx -t, reload nginx, and dial {scheme}://HOST:{port}"
        + trust(plan.serving),
    )


def _line(backend: Backend) -> str:
    weight = f" weight={backend.weight}" if backend.weight != 1 else ""
    return f"  server {backend.address}{weight} max_fails=1 fail_timeout=1s;\n"
