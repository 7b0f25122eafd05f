"""What runs need of this machine: a store that can be written, room on its disk, descriptors, a fair environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..door import is_loopback
from ..errors import OpenClawError
from .finding import Finding, State
from .patient import Patient

__all__ = ["descriptors", "disk", "recovery", "store", "way"]

ROOM = 500e6
"""Bytes free on a disk below which it is worth a look; the store may grow to half of that."""

NO_ROOM = 1e6
"""Bytes below which the next snapshot may not fit."""

SPARE = 256
"""Descriptors that are to be left: connections, the store, the user's own files."""

MANY = 4_096
"""Descriptors of a gateway for many: each client is one."""


def store(patient: Patient) -> Iterator[Finding]:
    """Whether snapshots are kept, and how full their file is."""
    runtime = patient.runtime
    if runtime.trouble:
        yield Finding("snapshots", State.LOOK, runtime.trouble, remedy="%openclaw keep FOLDER names another place")
        return
    path = runtime.storage.path
    if path is None:
        words = "they are kept in memory, as was chosen, and end with this process"
        yield Finding("snapshots", State.OK, words)
        return
    size, most = _size(path), runtime.storage.retention.max_bytes
    measured, figures = f"{size / 1e6:.1f} of {most / 1e6:g} MB", {"bytes": float(size), "limit": most}
    if not os.access(path, os.W_OK):
        remedy = f"chmod u+w {path}, or %openclaw keep FOLDER"
        yield Finding("snapshots", State.BROKEN, "their file cannot be written", measured, remedy, figures)
    elif size > most:
        remedy = f"openclaw-nb snapshots gc, or %openclaw keep data --mb {2 * most / 1e6:g}"
        yield Finding("snapshots", State.LOOK, "their file is fuller than it may be", measured, remedy, figures)
    else:
        yield Finding("snapshots", State.OK, "they are kept", measured, figures=figures)


def _size(path: Path) -> int:
    """Bytes of a store, with its log."""
    total = 0
    for one in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            total += one.stat().st_size
    return total


def disk(patient: Patient) -> Iterator[Finding]:
    """Room where snapshots are kept."""
    path = patient.runtime.storage.path
    if path is None:
        return
    free = float(shutil.disk_usage(path.parent).free)
    measured, figures = f"{free / 1e9:,.1f} GB free", {"free": free}
    remedy = "make room there, or %openclaw keep FOLDER on another disk"
    if free < NO_ROOM:
        yield Finding("disk", State.BROKEN, "the disk that snapshots are on is full", measured, remedy, figures)
    elif free < ROOM:
        yield Finding("disk", State.LOOK, "little room is left where snapshots are", measured, remedy, figures)
    else:
        yield Finding("disk", State.OK, "there is room where snapshots are", measured, figures=figures)


def descriptors(patient: Patient) -> Iterator[Finding]:
    """Whether this process may open as many connections as it needs."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # Windows knows no such limit
        return
    limit = getrlimit(RLIMIT_NOFILE)[0]
    used = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    serves = any(one.startswith("gateway") for one in patient.config.given)
    need = MANY if serves else used + SPARE
    measured, figures = f"{used} of {limit:,} open", {"open": float(used), "limit": float(limit)}
    if 0 <= limit < need:
        remedy = f"ulimit -n {max(MANY, 65_536 if serves else 0)}, before it is started"
        what = "a gateway for many" if serves else "what comes"
        yield Finding("descriptors", State.LOOK, f"hardly enough for {what}", measured, remedy, figures)
    else:
        yield Finding("descriptors", State.OK, "enough can be opened", measured, figures=figures)


def way(patient: Patient) -> Iterator[Finding]:
    """A proxy on the way to a gateway elsewhere, which may hold text back."""
    try:
        url = patient.client.dialled[0]
    except OpenClawError:
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, "https")
    proxy = getproxies().get(scheme) or getproxies().get("all")
    if not proxy or proxy_bypass(host):
        yield Finding("way", State.OK, f"straight to {host}, {'with' if parts.scheme == 'wss' else 'without'} TLS")
        return
    words = f"through the proxy {urlsplit(proxy).hostname or 'of the environment'}, which may hold text back"
    yield Finding("way", State.LOOK, words, remedy=f"NO_PROXY={host} goes straight there, where that is possible")


def recovery(patient: Patient) -> Iterator[Finding]:
    """Errors and cuts of the last minute, and what they have led to."""
    try:
        stability = patient.client.stability
    except OpenClawError:
        return
    count, why = stability.errors, stability.why()
    figures = {"errors": float(count)}
    if why:
        words = f"unstable, so runs are asked for at level 1 in one piece ({why})" if stability.auto else why
        remedy = "%openclaw runs shows which; it ends by itself once runs go well, auto_degrade=False never begins it"
        yield Finding("recovery", State.LOOK, words, remedy=remedy, figures=figures)
    elif count:
        yield Finding("recovery", State.OK, "errors came, too few to change anything", f"{count}", figures=figures)
    else:
        yield Finding("recovery", State.OK, "no error and no cut in the last minute", figures=figures)
