"""ClusterConfig: what files say, all that can be wrong with one, and a schema that agrees."""

from __future__ import annotations

import json
import os
import re
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openclaw_nb import options
from openclaw_nb.config import AlertThresholds, Cluster, ClusterConfig, Endpoint, Limits, TokenReference, schema
from openclaw_nb.config import cluster as module
from openclaw_nb.config.document import Items, Reading, Scalar, Table, compose
from openclaw_nb.config.sections import keyed
from openclaw_nb.config.sections import settings as settings_of
from openclaw_nb.errors import ConfigError
from tests.config.texts import DOCUMENT, RIGHT, WRONG

HOME = Path(module.__file__).parent
EXAMPLE = (HOME / "example.yaml").read_text(encoding="utf-8")


@cache
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(schema())


def plain(node: Any) -> Any:
    """What an editor makes of a text: YAML's own values."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain(one) for one in node.nodes]
        case Table():
            return {key.text: plain(value) for key, value in node.entries}
    return None


def valid(text: str) -> bool:
    return bool(validator().is_valid(plain(compose(text, Reading("", Path())))))


# -- what is read ----------------------------------------------------------------------------------


def test_the_document() -> None:
    config = ClusterConfig.parse(DOCUMENT)
    assert (config.max_threads, config.max_per_task, config.timeout) == (10, 3, 30.0)
    assert (config.adaptive_reasoning, config.streaming) == (True, True)
    assert (config.token_interval, config.snapshot_interval) == (0.05, 5.0)
    assert (config.monitoring.metrics_path, config.monitoring.prometheus_enabled) == ("/metrics", True)
    assert config.monitoring.alert_thresholds == AlertThresholds(0.5, 0.01, 0.9)
    assert config.says("max_threads")
    assert not config.says("timeout")
    assert "monitoring.alertThresholds.latencyP99" in config.given


def test_other_values_are_taken_as_they_are() -> None:
    text = DOCUMENT.replace("10", "7").replace("true", "false").replace("50\n", "30ms\n").replace("5000", "2s")
    text = text.replace("500ms", "0.25s").replace("1%", "0.5%").replace("90%", "0.75")
    config = ClusterConfig.parse(text)
    assert (config.max_threads, config.adaptive_reasoning, config.streaming) == (7, False, False)
    assert (config.token_interval, config.snapshot_interval) == (0.03, 2.0)
    assert not config.monitoring.prometheus_enabled
    assert config.monitoring.alert_thresholds == AlertThresholds(0.25, 0.005, 0.75)


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right(text: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(text.encode())
    ClusterConfig.load(file)
    assert valid(text)


def test_a_pool_takes_what_a_file_may_say() -> None:
    pace = schema()["properties"]["cluster"]["properties"]
    assert {pace[name]["maximum"] for name in ("maxThreads", "maxPerTask")} == {options.MOST}


def test_nothing_is_the_defaults() -> None:
    assert ClusterConfig.parse("") == ClusterConfig()
    assert ClusterConfig.parse("cluster:\nclusters:\n").given == {"cluster", "clusters"}


def test_clusters() -> None:
    config = ClusterConfig.parse(EXAMPLE)
    assert config.cluster("production/cluster-a") == Cluster(
        "production/cluster-a",
        (Endpoint("wss://a1.example.org"), Endpoint("wss://a2.example.org", 2)),
        TokenReference("env:CLUSTER_A_TOKEN"),
        "least-busy",
        2,
        "openai-chat:gpt-5-mini",
        Limits(20, 3, 5.0),
        ("production/cluster-b",),
    )
    assert config.cluster("production/cluster-a").max_runs == 20
    with pytest.raises(ConfigError, match=r"agent://production/cluster-x; did you mean production/cluster-[ab]\?"):
        config.cluster("production/cluster-x")
    with pytest.raises(ConfigError, match=r"%openclaw config FILE, or OPENCLAW_NB_CONFIG, reads a file with some"):
        ClusterConfig().cluster("production/cluster-a")
    with pytest.raises(TypeError):
        config.clusters["x"] = Cluster("x")  # type: ignore[index]


def test_paths_begin_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c.yaml").write_text(
        "gateway: {store: s.db, tlsCert: ../c.pem, tlsKey: /k.pem, token: file:t}", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    served = ClusterConfig.load("inner/c.yaml").gateway
    assert served.store == tmp_path / "inner" / "s.db"
    assert served.tls_cert == tmp_path / "inner" / ".." / "c.pem"
    assert served.tls_key == Path("/k.pem")
    assert served.token == TokenReference(f"file:{tmp_path}/inner/t")
    assert ClusterConfig.parse("gateway: {store: s.db}").gateway.store == tmp_path / "s.db"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "c.yaml").write_text("gateway: {store: ~/s.db}", encoding="utf-8")
    assert ClusterConfig.load("~/c.yaml").gateway.store == tmp_path / "s.db"


# -- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "line", "column", "words"), WRONG, ids=lambda value: repr(value)[:60])
def test_what_is_wrong(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        ClusterConfig.parse(text, "c.yaml")
    said = str(refusal.value)
    assert said.startswith(f"c.yaml, line {line}, column {column}: ")
    assert words in said
    assert said.isprintable()
    assert len(said) < 300


def test_all_mistakes_are_found_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("cluster: {a: 1, maxThreads: x}\nclusters: {a: {token: 1}}\nb: &c 1\nd: *c\n", encoding="utf-8")
    _, mistakes = ClusterConfig.check(file)
    assert [re.sub(r".*c\.yaml, (.*?): .*", r"\1", one) for one in mistakes] == [
        "line 1, column 11", "line 1, column 29", "line 2, column 15", "line 2, column 23", "line 3, column 1",
        "line 3, column 4", "line 4, column 1", "line 4, column 4",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=re.escape(mistakes[0])):
        ClusterConfig.load(file)


def test_no_more_mistakes_are_told_than_somebody_reads() -> None:
    text = "cluster:\n" + "".join(f"  a{number}: 1\n" for number in range(1_000))
    _, mistakes = module._read(text, Reading("c.yaml", Path()))
    assert len(mistakes) == 50


@pytest.mark.parametrize("make", ["missing", "folder", "fifo", "device", "latin", "large", "surrogate", "nul", "long"])
def test_files_that_are_none(make: str, tmp_path: Path) -> None:
    file: str | Path = tmp_path / "c.yaml"
    match make:
        case "folder":
            os.mkdir(file)
        case "fifo":
            os.mkfifo(file)
        case "device":
            file = "/dev/zero"
        case "latin":
            Path(file).write_bytes("cluster: ä".encode("latin-1"))
        case "large":
            Path(file).write_bytes(b"#" * 1_000_000)
        case "surrogate":
            file = "\ud800"
        case "nul":
            file = "a\0b"
        case "long":
            file = "a" * 10_000
    with pytest.raises(ConfigError) as refusal:
        ClusterConfig.load(file)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 500


# -- whatever the text ------------------------------------------------------------------------------

KEYS = sorted({key for text in (EXAMPLE, DOCUMENT) for key in re.findall(r"(\w+):", text)})
_WORD = st.sampled_from([
    *KEYS, "null", "~", "true", "on", "-1", "0", "1", "010", "12:30", "1e3", "50", "500ms", "1%", "0.5", "5s", ".inf",
    "wss://a", "ws://127.0.0.1:1", "env:A", "a", "a/b", "redis://127.0.0.1", "[]", "{}", "!!x", "&a", "*a", "<<", "'",
    '"', "|", ">", "?", "- ", ": ", ", ", "[", "]", "{", "}", "\n", "\n  ", "\n    ", "\t", "#", "%", "@", "---", "...",
    "\ud800", "\0", "\ufeff", "\u2028", "ä", "＠",
])  # fmt: skip


@settings(max_examples=200)
@given(st.lists(_WORD | st.text(max_size=3), max_size=25).map("".join))
@example(EXAMPLE)
@example("%TAG ! tag:x:\n--- 1")
def test_nothing_else_is_raised_and_the_schema_agrees(text: str) -> None:
    _, mistakes = module._read(text, Reading("c.yaml", Path(), module._HOMES))
    assert all(re.fullmatch(r"c\.yaml, line \d+, column \d+: .+", one) and one.isprintable() for one in mistakes)
    assert mistakes or valid(text)
    with nullcontext() if not mistakes else pytest.raises(ConfigError):
        ClusterConfig.parse(text)


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats(0, 2, width=16)
    | st.sampled_from(["500ms", "0.5s", "1h", "1%", "120%", "a", "a/b", "wss://a", "agent://a", "/m", "env:A", "many"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2), max_leaves=4,
)  # fmt: skip


def _filled(section: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values for the settings of a section of the schema, which may be right."""
    for one in [section, *section.get("anyOf", [])]:
        if "properties" in one:
            inner = {key: _filled(value) | _VALUE for key, value in one["properties"].items()}
            return st.fixed_dictionaries({}, optional=inner)
        if "patternProperties" in one:
            (below,) = one["patternProperties"].values()
            return st.dictionaries(st.sampled_from(["a", "a/b", "a b"]), _filled(below), max_size=2)
        if one.get("type") == "array":
            return st.lists(_filled(one["items"]) | _VALUE, max_size=2)
    return _VALUE


@settings(max_examples=200)
@given(_filled(schema()))
def test_what_is_read_is_valid_by_the_schema(data: Any) -> None:
    text = json.dumps(data)
    try:
        ClusterConfig.parse(text)
    except ConfigError:
        return
    assert valid(text)


@pytest.mark.parametrize(("text", "line", "column", "words"), WRONG, ids=lambda value: repr(value)[:60])
def test_what_the_schema_refuses_is_refused(text: str, line: int, column: int, words: str) -> None:
    """The other way round only where it can say so: not what is wrong between settings, or with a host."""
    reading = Reading("", Path())
    node = compose(text, reading)
    if "has no setting" in words:
        assert not reading.mistakes
        assert not validator().is_valid(plain(node))


# -- the schema, and the example -------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_table() -> None:
    """``openclaw-nb config schema > openclaw_nb/config/cluster.schema.json`` writes it anew."""
    assert json.loads((HOME / "cluster.schema.json").read_text(encoding="utf-8")) == schema()


def test_what_the_schema_says_is_the_default_is() -> None:
    def defaults(section: dict[str, Any]) -> dict[str, Any]:
        return {
            key: defaults(one) if "properties" in one else one["default"]
            for key, one in section["properties"].items()
            if "properties" in one or "default" in one
        }

    said = defaults({"properties": {key: one for key, one in schema()["properties"].items() if key != "clusters"}})
    assert said["cluster"]["tokenInterval"] == 50
    assert said["monitoring"]["alertThresholds"]["latencyP99"] == "500ms"
    read = ClusterConfig.parse(json.dumps(said))
    assert replace(read, given=frozenset()) == ClusterConfig()
    assert len(read.given) > 20


def test_the_example_says_every_setting_and_its_default() -> None:
    said = ClusterConfig.parse(EXAMPLE)
    assert said.monitoring == ClusterConfig().monitoring
    pace = [one.name for one in fields(ClusterConfig) if one.name not in ("monitoring", "clusters", "gateway", "given")]
    assert all(said.says(name) and getattr(said, name) == getattr(ClusterConfig(), name) for name in pace)
    written = set(re.findall(r"(\w+):", EXAMPLE))
    assert not {key for key in module._HOMES if key not in written}
    ClusterConfig.parse(re.sub(r"^  # (\w+:)", r"  \1", EXAMPLE, flags=re.MULTILINE))


def test_every_setting_is_explained() -> None:
    def look(made: Any) -> None:
        for name, one in settings_of(made).items():
            assert one.help, keyed(name)
            inner = getattr(one.kind, "kind", one.kind)
            if is_dataclass(found := getattr(inner, "made", None)):
                look(found)

    look(module._Whole)
