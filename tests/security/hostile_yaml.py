"""Configurations as attackers write them, and secrets where none may stand."""

from __future__ import annotations

from tests.security.hostile import ADDRESSES, LOOPBACK_LIKE, METADATA

__all__ = ["CONFIGURATIONS", "TAGS"]

TAGS = [
    "!!python/object/apply:os.system ['touch /tmp/x']", "!!python/object/apply:os.system [touch /tmp/x]",
    "!!python/object/new:os.system [touch /tmp/x]", "!!python/object:subprocess.Popen {args: [touch, /tmp/x]}",
    "!!python/name:os.system", "!!python/module:webbrowser", "!!python/tuple [1]", "!!python/bytes aGk=",
    "!!python/object/apply:builtins.eval ['__import__(\"os\").system(\"touch /tmp/x\")']",
    "!!python/object/new:type {args: [z, !!python/tuple [], {extend: !!python/name:exec }], listitems: 'touch'}",
    "!<tag:yaml.org,2002:python/object/apply:os.system> [touch /tmp/x]", "!!binary aGk=", "!!set {a, b}",
    "!!timestamp 2026-01-01", "!!str x", "!!map {}", "!!js/function 'function(){}'", "!ruby/object:Gem::Installer {}",
    "!include /etc/passwd", "!ENV ${SECRET}", "!vault s3cret",
    "!!javax.script.ScriptEngineManager [!!java.net.URL [x]]",
    "! x", "!s3cret x",
]  # fmt: skip
"""Values that make a reader run or fetch something, or make of a text something else."""

_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _cluster(endpoint: str) -> str:
    """A cluster at an address, quoted so that YAML has nothing against it."""
    quoted = endpoint.replace("\\", "\\\\").replace('"', '\\"')
    return f'clusters: {{a: {{endpoints: ["{quoted}"]}}}}'


CONFIGURATIONS = [
    *(f"cluster: {tag}" for tag in TAGS),
    *(f"clusters: {{a: {{endpoints: [wss://a], token: {tag}}}}}" for tag in TAGS if "[" not in tag and "{" not in tag),
    *(f"%TAG ! tag:yaml.org,2002:python/object/apply:\n---\ncluster: !{name} [x]" for name in ("os.system", "s3cret")),
    # what grows, and what ends in itself
    _LAUGHS, _LAUGHS + "cluster: *i\n", "&a [*a]", "cluster: &a {maxThreads: *a}", "cluster: {<<: *a, maxThreads: 1}",
    "base: &b {maxThreads: 9}\ncluster: {<<: *b}", "&a a: &b b\n*a : *b", "cluster: *s3cret", "cluster: &s3cret {}",
    # what is long, deep or many, or hard to scan
    "[" * 60_000, "{" * 60_000, "[[" * 4 + "]]" * 5, "- " * 30_000, "? " * 30_000, "a: " * 20_000, "{a: " * 10_000,
    "".join(f"{' ' * depth}a:\n" for depth in range(300)), "'" + "a\n" * 30_000, '"' + "\\x41" * 15_000,
    "x" * 65_000, "x" * 2_000_000, "cluster:\n" + "".join(f"  a{number}: 1\n" for number in range(6_000)),
    "clusters:\n" + "".join(f"  a{number}: {{}}\n" for number in range(4_000)),
    "clusters: {a: {endpoints: [" + "wss://a," * 8_000 + "]}}", "&a " * 20_000, "!a " * 20_000, "#" * 70_000,
    "\n" * 60_000 + "x", "cluster: {" + "maxThreads: 1, " * 4_000 + "}", ":" * 60_000, "|\n" + " a\n" * 20_000,
    "cluster: {maxThreads: " + "9" * 5_000 + "}", "cluster: {timeout: " + "9" * 60_000 + "s}", "a: b\n" * 10_000,
    "cluster: {" + "A" * 60_000 + ": 1}", "clusters: {" + "a/" * 30_000 + ": {}}", "%" * 60_000, "--- x\n" * 9_000,
    "clusters: {a: {endpoints: [wss://a], fallback: [" + "b, " * 17 + "]}}", "\ufeff" * 20_000, "\u2028" * 20_000 + "x",
    # keys that mean something elsewhere
    "__class__: x", "cluster: {__init__: x}", "cluster: {constructor: {prototype: x}}", "cluster: {_fields: x}",
    "cluster: {max_threads: 5, maxthreads: 5}", "cluster: {maxThreads: 1, maxThreads: 1000}", "? {a: b}\n: c",
    "cluster: {\"maxThreads\\0\": 1}", "= : x", "null: x", "~: x", "true: x", "1: x", "'': x", "clusters: {'': {}}",
    # bytes that are no text
    "\0", "cluster: \x1b]0;owned\x07", "cluster: \ud800", "\ufffe", "cluster: \x7f", "clusters: {a\u202eb: {}}",
    "cluster: {maxThreads: ١}", "clusters: {ａ: {}}", "gateway: {host: ⓛocalhost}",
    # addresses
    *(_cluster(address) for address in ADDRESSES if len(address) < 3_000 and address.isprintable()),
    *(_cluster(f"ws://{host}") for host in (*METADATA, *LOOPBACK_LIKE) if host.isprintable()),
    *(f"gateway: {{redis: 'redis://{host}/0', insecure: true}}" for host in METADATA[:6]),
    *(f"gateway: {{host: '{host}', insecure: true}}" for host in ("127.1", "0x7f.1", "2130706433", "a b", "-a;b", "*")),
    *(f"clusters: {{'{host}': {{endpoints: [wss://a]}}}}" for host in (*METADATA, "../etc", "local", "a b", "@")),
    *(f"gateway: {{redis: '{url}'}}" for url in (
        "redis://:s3cret@127.0.0.1", "redis://u:s3cret@127.0.0.1/0", "redis://127.0.0.1?password=s3cret", "unix:///s",
        "redis://127.0.0.1/0#s3cret", "redis://127.0.0.1:s3cret", "http://127.0.0.1", "redis-socket:///s3cret",
    )),
    # paths that somebody would read or write
    "gateway: {token: {file: \"/etc/passwd\\0.txt\"}}", "gateway: {store: \"a\\nb\"}",
    "gateway: {tlsCert: [/etc/passwd]}",
    "monitoring: {metricsPath: ../../etc/passwd}", "monitoring: {metricsPath: '/m?x=s3cret'}",
    "monitoring: {metricsPath: \"/m\\r\\nX: s3cret\"}", "gateway: {model: \"a\\nb\"}", "gateway: {names: ['a\tb']}",
    # secrets where none may stand
    *(f"clusters: {{a: {{endpoints: [wss://a], token: {token}}}}}" for token in (
        "s3cret", "s3cret:s3cret", "'env:s3cret-s3cret'", "{s3cret: 1}", "[s3cret]", "{env: [s3cret]}", "12345678",
        "{value: s3cret}", "{token: s3cret}", "'Bearer s3cret'", "'file: '", "|\n  s3cret\n  s3cret",
        "'keyring:s3cret'", "{env: s3cret x}",
        "{env: A, file: s3cret}", "true", "https://user:s3cret@host/token",
    )),
    *(f"gateway: {{{key}: s3cret}}" for key in ("token", "password", "secret", "apiKey", "redisPassword", "auth")),
    "clusters: {a: {endpoints: [{url: 'wss://s3cret@a'}]}}", "clusters: {a: {endpoints: wss://a:s3cret}}",
    "clusters: {a: {endpoints: ['wss://a?token=s3cret']}}", "clusters: {a: {url: 'wss://u:s3cret@a'}}",
    "s3cret", "- s3cret", "'s3cret'", "OPENAI_API_KEY=s3cret", "{\"gateway\": \"s3cret\"}", "cluster: s3cret: s3cret",
    "-----BEGIN PRIVATE KEY-----\ns3cret\n", "token: 's3cret",
]  # fmt: skip
"""What is refused; ``s3cret`` stands where it must not be repeated."""
