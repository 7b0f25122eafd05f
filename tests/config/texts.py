"""Configurations as people write them, and as nobody should."""

from __future__ import annotations

__all__ = ["DOCUMENT", "RIGHT", "WRONG"]

DOCUMENT = """\
# OpenClaw Cluster Config
cluster:
  maxThreads: 10
  adaptiveReasoning: true
  streaming: true
  tokenInterval: 50
  snapshotInterval: 5000

monitoring:
  metricsPath: '/metrics'
  prometheusEnabled: true
  alertThresholds:
    latencyP99: 500ms
    errorRate: 1%
    threadPoolUtilization: 90%
"""
"""As the document has it, section 5.3."""

RIGHT = [
    "", "# nothing\n", "---\n", "null\n", "{}", "cluster:\nmonitoring:\nclusters:\ngateway:\n", DOCUMENT,
    "\ufeff" + DOCUMENT,
    DOCUMENT.replace("\n", "\r\n"), '{"cluster": {"maxThreads": 4, "tokenInterval": "30ms"}, "gateway": {"port": 0}}',
    "--- # begins\ncluster: {maxThreads: 1000, timeout: 1h}\n...\n",
    "cluster:\n  timeout: 0.5\n  tokenInterval: 0\n  snapshotInterval: 1.5s\n  streaming: FALSE\n",
    "monitoring: {alertThresholds: {latencyP99: null, errorRate: ~, threadPoolUtilization: 0.5}, host: '::1', port: 0}",
    "clusters:\n  a: {endpoints: [ws://127.0.0.1:1], token: env:A, fallback: [b/c]}\n  b/c: {endpoints: [wss://b]}\n",
    "clusters:\n  'a': {endpoints: [{url: 'ws://[::1]:1', weight: 100}], token: {file: ~/t}, limits: {budget: 0.5}}\n",
    "clusters: {a: {endpoints: [wss://a], token: {keyring: s/u}, limits: , model: offline, connections: 64}}",
    "gateway: {host: 0.0.0.0, insecure: true, redis: 'redis://r:1/0', redisPassword: env:P, names: [a.example]}",
    "gateway: {trustedProxies: [10.0.0.1, 10.1.0.0/16, 'fd00::/8']}",
    "gateway: {host: '::', tlsCert: c.pem, tlsKey: k.pem, store: s.db, workers: 10, ports: many, drain: 0, grace: 5s}",
    "gateway:\n  redis: rediss://r\n  token:\n    file: /run/secrets/token\n",
]  # fmt: skip

WRONG: list[tuple[str, int, int, str]] = [
    # where, and what is said
    ("cluster:\n  maxThread: 3", 2, 3, "cluster has no setting 'maxThread'; did you mean maxThreads?"),
    ("cluster:\n  max_threads: 3", 2, 3, "did you mean maxThreads?"),
    ("clutser: {}", 1, 1, "did you mean cluster?"),
    ("maxThreads: 3", 1, 1, "a configuration has no setting 'maxThreads'; it belongs to cluster"),
    ("cluster: {latencyP99: 1s}", 1, 11, "it belongs to alertThresholds"),
    ("cluster: {zzz: 1}", 1, 11, "there are maxThreads, maxPerTask"),
    ("cluster: 3", 1, 10, "one value stands where cluster has settings: maxThreads, maxPerTask"),
    ("cluster: [3]", 1, 10, "a list stands where cluster has settings"),
    ("cluster: {maxThreads: }", 1, 23, "maxThreads has no value: agents that work at once"),
    ("cluster: {maxThreads: null}", 1, 23, "maxThreads has no value"),
    ("cluster: {maxThreads: [1]}", 1, 23, "one value belongs here, a whole number from 1 to 1,000, and no list"),
    ("cluster: {maxThreads: 0}", 1, 23, "'0' is not a whole number from 1 to 1,000"),
    ("cluster: {maxThreads: 1001}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: -1}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: 1.0}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: 1_0}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: 010}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: 0x10}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: true}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: 1:30}", 1, 23, "is not a whole number"),
    ("cluster: {maxThreads: '10'}", 1, 23, "leave out the quotes"),
    ("cluster: {streaming: on}", 1, 22, "'on' is neither true nor false"),
    ("cluster: {streaming: yes}", 1, 22, "'yes' is neither true nor false"),
    ("cluster: {streaming: 1}", 1, 22, "is neither true nor false"),
    ("cluster: {streaming: 'true'}", 1, 22, "leave out the quotes"),
    ("cluster: {tokenInterval: 20s}", 1, 26, "is not a duration from 0 to 10s, such as 500ms, 0.5s or plain milli"),
    ("cluster: {tokenInterval: -1}", 1, 26, "is not a duration"),
    ("cluster: {timeout: 0}", 1, 20, "is not a duration from 1ms to 24h, such as 500ms, 0.5s or plain seconds"),
    ("cluster: {timeout: 5 parsecs}", 1, 20, "'5 parsecs' is not a duration"),
    ("cluster: {timeout: 1e3}", 1, 20, "is not a duration"),
    ("cluster: {timeout: .inf}", 1, 20, "is not a duration"),
    ("cluster: {timeout: 12:30}", 1, 20, "is not a duration"),
    ("monitoring: {alertThresholds: {latencyP99: 500}}", 1, 44, "such as 500ms or 0.5s"),
    ("monitoring: {alertThresholds: {errorRate: 1}}", 1, 43, "1 may be meant as a percentage; write 1%, or a number"),
    ("monitoring: {alertThresholds: {errorRate: 101%}}", 1, 43, "is not a share, such as 1% or 0.01"),
    ("monitoring: {alertThresholds: {errorRate: 0%}}", 1, 43, "is not a share"),
    ("monitoring: {alertThresholds: {errorRate: }}", 1, 43, "errorRate has no value"),
    ("monitoring: {metricsPath: metrics}", 1, 27, "'metrics' is not a path such as /metrics"),
    ("monitoring: {metricsPath: 5}", 1, 27, "text that looks like a number needs quotes"),
    ("monitoring: {port: 65536}", 1, 20, "from 0 to 65,535"),
    ("monitoring: {host: 12:30}", 1, 20, "the host is no IPv6 address; the port has a setting of its own"),
    ("monitoring: {host: 127.1}", 1, 20, "text that looks like a number needs quotes"),
    ("monitoring: {host: '127.1'}", 1, 20, "unusual spelling of a number"),
    ("clusters: [a]", 1, 11, "names belong here: a name such as production/cluster-a, each with settings"),
    ("clusters: {a: }", 1, 15, "a cluster needs endpoints: the addresses of its gateways"),
    ("clusters: {a: {}}", 1, 15, "a cluster needs endpoints"),
    ("clusters: {local: {}}", 1, 12, "'local' is not a name such as production/cluster-a"),
    ("clusters: {169.254.169.254: {}}", 1, 12, "is not a name such as"),
    ("clusters: {a: {endpoints: }}", 1, 27, "endpoints has no value: the addresses of its gateways"),
    ("clusters: {a: {endpoints: []}}", 1, 27, "a list of 1 to 256 endpoints belongs here"),
    ("clusters: {a: {endpoints: wss://a}}", 1, 27, "a list of 1 to 256 endpoints belongs here"),
    ("clusters: {a: {endpoints: [wss://a, wss://a]}}", 1, 37, "this endpoint is listed twice"),
    ("clusters: {a: {endpoints: [{weight: 1}]}}", 1, 28, "an endpoint needs url"),
    ("clusters: {a: {endpoints: [{url: wss://a, wieght: 1}]}}", 1, 43, "did you mean weight?"),
    ("clusters: {a: {endpoints: [agent://b]}}", 1, 28, "this is not the address of a gateway, wss://HOST or"),
    ("clusters: {a: {endpoints: [ws://10.0.0.1]}}", 1, 28, "would send the token in clear; use wss://10.0.0.1"),
    ("clusters: {a: {endpoints: [wss://a], balance: leastbusy}}", 1, 47, "did you mean least-busy?"),
    ("clusters: {a: {endpoints: [wss://a], fallback: [b]}, bb: {endpoints: [wss://b]}}", 1, 49, "did you mean bb?"),
    ("clusters: {a: {endpoints: [wss://a], fallback: [a]}}", 1, 49, "a cluster cannot take over from itself"),
    ("clusters: {a: {endpoints: [wss://a], limits: {maxLevel: 5}}}", 1, 57, "a whole number from 1 to 4"),
    ("clusters: {a: {endpoints: [wss://a], limits: {budget: 0}}}", 1, 55, "a number above 0, up to 1,000,000"),
    ("clusters: {a: {endpoints: [wss://a], model: 5}}", 1, 45, "text that looks like a number needs quotes"),
    ("gateway: {host: 0.0.0.0}", 1, 17, "beyond loopback a gateway needs tlsCert, or insecure: true"),
    ("gateway: {tlsKey: k}", 1, 19, "tlsKey needs tlsCert"),
    ("gateway: {redisPassword: env:P}", 1, 26, "redisPassword needs redis"),
    ("gateway: {redis: 'redis://r'}", 1, 18, "beyond loopback redis:// goes in clear; write rediss://"),
    ("gateway: {port: 65535, ports: many, workers: 2}", 1, 46, "from port 65535 on there are no 2 ports"),
    ("gateway: {store: 5}", 1, 18, "one that looks like a number needs quotes"),
    ("gateway: {store: ~nobody-here/x}", 1, 18, "a user who is not known here"),
    ("gateway: {trustedProxies: [10.0.0.1/8]}", 1, 28, "is no address of a balancer, nor a network such as"),
    ("gateway: {trustedProxies: [0.0.0.0/0]}", 1, 28, "0.0.0.0/0 is everybody"),
    ("gateway: {trustedProxies: [lb.example.org]}", 1, 28, "is not an address, or a network such as 10.0.0.0/24"),
    ("gateway: {names: []}", 1, 18, "a list of 1 to 64 names"),
    # what is no YAML, or more than a configuration needs of it
    ("a: b: c", 1, 5, "a value with a colon needs quotes"),
    ("cluster: [1, 2", 1, 10, "this bracket does not end"),
    ("cluster: {", 2, 1, "a bracket before it does not end"),
    ("cluster: 'x", 1, 10, "this quotation does not end"),
    ('cluster: "\\q"', 1, 11, "after a backslash something else must follow"),
    ("cluster:\n\tmaxThreads: 1", 2, 1, "a tab stands where spaces must"),
    ("cluster:\n  a: 1\nb", 3, 1, "neither a setting, KEY: VALUE, nor an item"),
    ("cluster:\n  a: 1\n c: 1", 3, 2, "indented unlike the settings before it"),
    ("- a\nb: 1", 2, 1, "indented unlike the items before it"),
    ("cluster: @x", 1, 10, "no value begins with this sign"),
    ("cluster: {}\ncluster: {}", 2, 1, "this name stands in line 1 already"),
    ("cluster: !!int 3", 1, 10, "tags (!…) are not taken"),
    ("cluster: !x!y 3", 1, 10, "tags (!…) are not taken"),
    ("cluster: &a {}", 1, 10, "anchors (&…) are not taken"),
    ("cluster: *a", 1, 10, "aliases (*…) are not taken"),
    ("? [a]\n: 1", 1, 3, "a list or mapping stands where the name of a setting must"),
    ("{}\n---\n{}", 2, 1, "a second document begins"),
    ("[[[[[[[[[]]]]]]]]]", 1, 9, "more than 8 deep"),
    ("cluster: \0", 1, 10, "the character 0x0000 may not stand"),
    ("cluster: \ud800", 1, 10, "the character 0xd800 may not stand"),
    ("%YAML 9", 1, 8, "it is no YAML"),
    ("- 1\n" * 5_001, 5_000, 3, "there are more than 5,000 values"),
    ("#" * 70_000, 1, 1, "it has more than 65,536 bytes"),
    ("'" + "ä" * 40_000 + "'", 1, 1, "it has more than 65,536 bytes"),
]
"""Each with the line and column of its one mistake, and words that are said of it."""
