"""The container file: clean to hadolint, and its commands run, on this machine in a folder of their own."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw_nb.deploy import container
from openclaw_nb.version import __version__
from tests.cluster.daemons import free_port
from tests.cluster.workers import ready, soon
from tests.deploy.test_plan import plan

ROOT = Path(__file__).parents[2]


def _lines(text: str) -> dict[str, list[str]]:
    """The arguments of each instruction, lines that go on as one."""
    found: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n", "", text).splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest.strip())
    return found


def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed, so no container file was linted")
    for text in ("", "gateway: {port: 8443, tlsCert: a.pem, tlsKey: b.pem}"):
        path = tmp_path / "Containerfile"
        path.write_text(container.make(plan(text)).files["Containerfile"])
        linted = subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True)
        assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
        path.write_text("FROM python\nRUN cd /tmp && pip install x\n")
        assert subprocess.run([hadolint, str(path)], capture_output=True).returncode == 1


def test_nobody_in_particular_runs_it() -> None:
    lines = _lines(container.make(plan()).files["Containerfile"])
    assert lines["USER"] == ["10001:10001"]
    assert len(lines["FROM"]) == 2
    assert not [rest for rest in lines["ENV"] if "TOKEN" in rest]
    assert lines["STOPSIGNAL"] == ["SIGTERM"]


def test_its_commands_run(tmp_path: Path) -> None:
    """RUN, ENTRYPOINT with CMD, and HEALTHCHECK as they stand, but for /opt, /etc and /wheels in a folder, and an
    environment that has what the package needs already, so that nothing is downloaded."""
    port = free_port()
    made = container.make(plan(f"gateway: {{port: {port}}}\nmonitoring: {{prometheusEnabled: false}}"))
    lines = _lines(made.files["Containerfile"])

    def here(text: str) -> str:
        return re.sub(r"(?<![\w.])/(opt|etc|wheels)\b", rf"{tmp_path}/\1", text)

    for name in ("opt", "etc/openclaw", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/openclaw/gateway.yaml").write_text(made.files["gateway.yaml"])
    _wheel(tmp_path / "wheels")
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}
    # Its own pip would take seconds to be installed there.
    run = here(lines["RUN"][0]).replace("-m venv", "-m venv --without-pip")
    new = f"{tmp_path}/opt/openclaw/bin/python"
    run = run.replace(f"{tmp_path}/opt/openclaw/bin/pip", f"{sys.executable} -m pip --python {new}")
    built = subprocess.run(["/bin/sh", "-ec", run], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    _lend_packages(tmp_path / "opt/openclaw")

    command = [*json.loads(here(lines["ENTRYPOINT"][0])), *json.loads(here(lines["CMD"][0]))]
    variables = dict(pair.split("=") for pair in shlex.split(lines["ENV"][0])) | {"XDG_DATA_HOME": str(tmp_path)}
    health = json.loads(here(lines["HEALTHCHECK"][0].partition("CMD ")[2]))
    serving = subprocess.Popen(
        command, env=env | variables | {"OPENCLAW_GATEWAY_TOKEN": "a-token-of-a-test", "HOME": "/nonexistent"},
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        assert line.startswith(f"serving offline at ws://0.0.0.0:{port}; without TLS"), line
        soon(lambda: ready(port)[0] == 200, "readiness")
        assert subprocess.run(health, env=env).returncode == 0
    finally:
        serving.terminate()
        assert serving.wait(60) == 0
        serving.stdout.close()  # type: ignore[union-attr]
    assert subprocess.run(health, env=env, capture_output=True).returncode == 1


def _wheel(folder: Path) -> None:
    """A wheel of this package, which installs its command; its modules are those of this tree."""
    import zipfile

    info = f"openclaw_nb-{__version__}.dist-info"
    files = {
        "openclaw_nb.pth": f"{ROOT}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: openclaw_nb\nVersion: {__version__}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nopenclaw-nb = openclaw_nb.cli:main\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"openclaw_nb-{__version__}-py3-none-any.whl", "w") as archive:
        for name, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(name, text)


def _lend_packages(environment: Path) -> None:
    """Have the new environment see the packages of this one."""
    (there,) = environment.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (there / "lent.pth").write_text("".join(f"{path}\n" for path in here))
