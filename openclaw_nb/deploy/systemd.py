"""A systemd unit that runs the gateways of one machine, with as few rights as they need."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..config import Serving
from ..errors import ConfigError
from .plan import STATE, Made, Plan, headed, leaving, redis_is_here, variables

__all__ = ["make"]

UNIT = "openclaw-gateway.service"
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={home}
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
{users}LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
"""


def make(plan: Plan) -> Made:
    """``openclaw-gateway.service``. The user openclaw, /etc/openclaw and the secrets are to be there before it."""
    serving = plan.serving
    low = 0 < serving.port < 1024
    service = [
        "Type=exec",
        "User=openclaw",
        "Group=openclaw",
        f"ExecStart={_word(plan.command)} serve --config {_word(plan.path)}",
    ]
    if serving.workers > 1:
        service.append("ExecReload=/bin/kill -HUP $MAINPID")
    if needed := variables(serving):
        service.append(f"# {'; '.join(f'{name}: {words}' for name, words in needed.items())}")
        service.append("EnvironmentFile=/etc/openclaw/gateway.env")
    service += [
        "Restart=on-failure",
        "RestartSec=1",
        # The supervisor tells its workers; who is left after the drain is killed.
        "KillMode=mixed",
        f"TimeoutStopSec={leaving(serving)}",
        "LimitNOFILE=65536",
        f"StateDirectory={PurePosixPath(STATE).name}",
        "StateDirectoryMode=0700",
        f"WorkingDirectory={STATE}",
        *(f"ReadWritePaths={_word(folder)}" for folder in _written(serving)),
        "CapabilityBoundingSet=" + ("CAP_NET_BIND_SERVICE" if low else ""),
        "AmbientCapabilities=" + ("CAP_NET_BIND_SERVICE" if low else ""),
    ]
    hardening = _HARDENING.format(home=_home(plan), users="" if low else "PrivateUsers=yes\n")
    after = " redis-server.service" if redis_is_here(serving) else ""
    text = (
        headed("systemd", f"systemd-analyze verify {UNIT}")
        + "\n[Unit]\nDescription=Gateways of openclaw-nb\nWants=network-online.target\n"
        + f"After=network-online.target{after}\nStartLimitIntervalSec=60\nStartLimitBurst=10\n"
        + "\n[Service]\n" + "\n".join(service) + "\n\n" + hardening
        + "\n[Install]\nWantedBy=multi-user.target\n"
    )  # fmt: skip
    secrets = "put the secrets into /etc/openclaw/gateway.env (mode 0600), " if needed else ""
    return Made(
        {UNIT: text},
        f"as root: useradd --system openclaw, {secrets}copy it to /etc/systemd/system, systemctl enable --now {UNIT}",
    )


def _written(serving: Serving) -> list[Path]:
    """Folders beside its own that a gateway writes in."""
    folders = [] if serving.store is None else [serving.store.parent]
    return [folder for folder in folders if not PurePosixPath(folder).is_relative_to(STATE)]


def _home(plan: Plan) -> str:
    """How much of the users' homes it sees: nothing, unless something of its own lies there."""
    serving = plan.serving
    kind, _, where = str(serving.token or "").partition(":")
    paths = [plan.path, serving.store, serving.tls_cert, serving.tls_key, Path(plan.command)]
    paths += [Path(where)] if kind == "file" else []
    homes = ("/home", "/root", "/run/user")
    inside = any(path is not None and path.is_relative_to(home) for path in paths for home in homes)
    return "read-only" if inside else "yes"


def _word(text: Path | str) -> str:
    """A word of a unit: its specifiers and quotes mean themselves."""
    word = str(text)
    if not word.isprintable() or set(word) & set("\"'\\$;"):
        raise ConfigError(f"{word!r} has characters that a path in a unit cannot have")
    word = word.replace("%", "%%")
    return f'"{word}"' if " " in word else word
