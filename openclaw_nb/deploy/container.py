"""A container file for one gateway: built in one stage, run in another, by nobody in particular."""

from __future__ import annotations

from ..version import __version__
from .plan import FOLDER, Made, Plan, headed, in_container, variables

__all__ = ["USER", "make"]

USER = 10_001
"""The id of the user in the container, as whom nothing outside of it runs."""

_FILE = """\
FROM python:3.13-slim AS build
# Wheels of openclaw_nb, from `pip wheel --no-deps --wheel-dir wheels .`; without any, pip takes what is published.
COPY wheels/ /wheels/
RUN python -m venv /opt/openclaw \\
 && /opt/openclaw/bin/pip install --no-cache-dir --disable-pip-version-check --find-links /wheels \\
    "openclaw_nb[redis]=={version}"

FROM python:3.13-slim
RUN groupadd --system --gid {user} openclaw \\
 && useradd --system --uid {user} --gid {user} --no-create-home --shell /usr/sbin/nologin openclaw \\
 && install --directory --owner={user} --group={user} --mode=0700 /var/lib/openclaw
COPY --from=build /opt/openclaw /opt/openclaw
COPY gateway.yaml {folder}/gateway.yaml
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 XDG_DATA_HOME=/var/lib/openclaw
USER {user}:{user}
WORKDIR /var/lib/openclaw
EXPOSE {port} {metrics}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \\
  CMD ["/opt/openclaw/bin/python", "-c", "{check}"]
ENTRYPOINT ["/opt/openclaw/bin/openclaw-nb"]
CMD ["serve", "--config", "{folder}/gateway.yaml"]
"""

_CHECK = "from urllib.request import urlopen; urlopen('http://127.0.0.1:{port}/healthz', timeout=2)"
_CHECK_TLS = (
    "import ssl; from urllib.request import urlopen; "
    "urlopen('https://127.0.0.1:{port}/healthz', timeout=2, context=ssl._create_unverified_context())"
)


def make(plan: Plan) -> Made:
    """``Containerfile`` and the ``gateway.yaml`` in it. ConfigError where a secret is to come from a file."""
    serving = plan.serving
    port = serving.port or 18_789
    text = headed("container", "hadolint Containerfile") + _FILE.format(
        version=__version__, user=USER, folder=FOLDER, port=port, metrics=plan.config.monitoring.port or 9090,
        check=(_CHECK_TLS if serving.tls_cert else _CHECK).format(port=port),
    )  # fmt: skip
    given = " ".join(f"--env {name}" for name in variables(serving, only=True))
    run = f"{given} --publish 127.0.0.1:{port}:{port} --stop-timeout {int(serving.grace + serving.drain) + 15}"
    return Made(
        {"Containerfile": text, "gateway.yaml": in_container(plan)},
        f"make a folder wheels beside it, podman build --tag {plan.image} . and podman run {run} {plan.image}",
    )
