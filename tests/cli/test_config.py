"""openclaw-nb config: right files in short, wrong ones in full, the schema and the example."""

from __future__ import annotations

import json
from pathlib import Path

from openclaw_nb.config import schema
from tests.cli.processes import run
from tests.config.texts import DOCUMENT


def test_check(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(DOCUMENT + "clusters: {production/cluster-a: {endpoints: [wss://a, wss://b]}}\n", encoding="utf-8")
    right = run("config", "check", str(file))
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout == (
        f"{file} is right: 5 settings of the notebook; monitoring; agent://production/cluster-a (2 endpoints)\n"
    )
    file.write_text("cluster: {maxThread: 1, tokenInterval: s3cret s3cret}\ntoken: s3cret", encoding="utf-8")
    wrong = run("config", "check", "c.yaml", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    lines = wrong.stderr.splitlines()
    assert lines[0] == "c.yaml, line 1, column 11: cluster has no setting 'maxThread'; did you mean maxThreads?"
    assert [line.partition(": ")[0] for line in lines[1:]] == ["c.yaml, line 1, column 40", "c.yaml, line 2, column 1"]
    missing = run("config", "check", str(tmp_path / "none.yaml"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == f"openclaw-nb: {tmp_path}/none.yaml cannot be read: No such file or directory\n"


def test_schema_and_example(tmp_path: Path) -> None:
    assert json.loads(run("config", "schema").stdout) == schema()
    file = tmp_path / "example.yaml"
    file.write_text(run("config", "example").stdout, encoding="utf-8")
    checked = run("config", "check", str(file))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith("a gateway at 127.0.0.1:18789\n")


def test_what_is_wrong_with_the_file_of_the_environment_is_said(tmp_path: Path) -> None:
    asked = run("ask", "--model", "offline:0", "what is 6*7?", env={"OPENCLAW_NB_CONFIG": str(tmp_path / "none.yaml")})
    assert (asked.returncode, asked.stdout) == (0, "`6*7` = **42**\n")
    assert (
        asked.stderr == f"[{tmp_path}/none.yaml cannot be read: No such file or directory; so nothing is configured]\n"
    )
