"""Fact of the design's list, 32, for files: hostile configurations are refused at once, and nothing is asked or run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.security.hostile_yaml import CONFIGURATIONS

Figure = Callable[[str, str], None]

PROBE = """
import json, pathlib, socket, sys, time

import yaml, openclaw_nb.runtime  # what is imported later would open files
from openclaw_nb.config import ClusterConfig
from openclaw_nb.errors import ConfigError

ASKED = ("socket.", "urllib.", "http.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "exec",
         "compile", "import", "ctypes.", "webbrowser.", "os.remove", "os.mkdir", "os.listdir")
file = pathlib.Path("hostile.yaml")
asked = []


def watch(event, arguments):
    if event.startswith(ASKED) or (event == "open" and str(arguments[0]) != str(file)):
        asked.append(f"{event}{arguments}"[:200])


def ways(text):
    yield lambda: ClusterConfig.parse(text, str(file))
    yield lambda: ClusterConfig.load(file)


texts = json.load(sys.stdin)
file.write_text("gateway: {store: x, redis: 'redis://127.0.0.1', token: {env: A}}", encoding="utf-8-sig")
ClusterConfig.load(file)
yaml.CSafeLoader = yaml.SafeLoader if sys.argv[1] == "pure" else yaml.CSafeLoader
sys.addaudithook(watch)
found = []
for text in texts:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    slowest, sentences = 0.0, []
    for way in ways(text):
        took = []
        for _ in range(3):  # its own work takes what it takes at least: a busy processor adds to that
            began = time.thread_time()
            try:
                said = f"taken as {way()}"
            except ConfigError as error:
                said = str(error)
            took.append(time.thread_time() - began)
        sentences.append(said)
        slowest = max(slowest, min(took))
    found.append([slowest, sentences])
seen = list(asked)
socket.getaddrinfo("localhost", 1)  # this one must be seen
json.dump({"asked": seen, "watched": asked != seen, "found": found}, sys.stdout)
"""


def probe(folder: Path, parser: str) -> list[tuple[float, list[str]]]:
    """For each hostile text the slowest of its ways in CPU seconds, and what each way said; nobody was asked."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")}
    path = os.pathsep.join([str(Path(__file__).parents[2]), env.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROBE, parser], input=json.dumps(CONFIGURATIONS), capture_output=True, text=True,
        timeout=300, cwd=folder, env=env | {"PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["watched"], "the watch sees nothing at all"
    assert seen["asked"] == []
    return [(slowest, sentences) for slowest, sentences in seen["found"]]


def test_hostile_configurations_are_refused_without_asking_anybody(figure: Figure, tmp_path: Path) -> None:
    found = probe(tmp_path, "fast")
    for text, (_, sentences) in zip(CONFIGURATIONS, found, strict=True):
        for sentence in sentences:
            assert not sentence.startswith("taken as"), text[:200]
            assert sentence.startswith("hostile.yaml"), text[:200]
            assert sentence.isprintable()
            assert len(sentence) < 400
            assert "s3cret" not in sentence, text[:200]
    slowest, text = max((seconds, text) for text, (seconds, _) in zip(CONFIGURATIONS, found, strict=True))
    assert slowest < 0.1, text[:200]
    figure(
        "reliability 32 (configurations)",
        f"{len(CONFIGURATIONS)} hostile configurations, as text and as file: ConfigError each, the slowest after "
        f"{slowest * 1000:.1f} ms of CPU (asked: 100); run, fetched, opened besides the file: nothing",
    )
