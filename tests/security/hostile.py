"""Addresses, hosts and headers as attackers write them."""

from __future__ import annotations

__all__ = ["ADDRESSES", "HEADS", "HOSTS", "LOOPBACK_LIKE", "METADATA", "TARGETS"]

LOOPBACK_LIKE = [
    "127.evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "evil.com.", "localhost.", "LOCALHOST.", "127.0.0.1.",
    "0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "127.0.0.01", "0",
    "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]",
    "[::1%25lo]", "[::1].evil.com", "evil.com[::1]", "[127.0.0.1]", "１２７.0.0.1", "①27.0.0.1", "127。0。0。1",
    "127．0．0．1", "localhost。evil.com", "ⓛocalhost", "ｌocalhost", "lоcalhost", "localhoſt", "loca\xadlhost",
    "loca\u200blhost", "localhost%00.evil.com", "localhost%2eevil.com", "localhost\\.evil.com",
    "localhost\t.evil.com", "127.0.0.1 .evil.com", "127.0.0.1@evil.com", "127.0.0.1%40evil.com", "127.0.0.1＠evil.com",
    "127.0.0.1:1@evil.com", "evil.com#127.0.0.1", "evil.com?127.0.0.1", "127.0.0.1＃.evil.com",
    "127.0.0.1:80:evil.com", "localhost:x", "evil.com\\@127.0.0.1",
]  # fmt: skip
"""Hosts that some reader takes for this machine, and that are another, or might be."""

METADATA = [
    "169.254.169.254", "[::ffff:a9fe:a9fe]", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
    "metadata.google.internal", "[fd00:ec2::254]", "100.100.100.200", "169.254.169.254.nip.io", "１６９.254.169.254",
]  # fmt: skip
"""Where clouds hand out credentials to whoever asks from inside."""

ADDRESSES = [
    *(f"agent://{host}/latest/meta-data/" for host in METADATA),
    *(f"ws://{host}/" for host in (*METADATA, *LOOPBACK_LIKE, "[fe80::1]", "evil.com")),
    *(f"wss://{host}/" for host in (*METADATA[:6], "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", METADATA[-1])),
    # secrets where none may stand
    "agent://user:s3cret@169.254.169.254/", "agent://s3cret@local", "agent://local:s3cret@evil.com",
    "agent://local;s3cret", "agent://local?token=s3cret", "agent://local#s3cret",
    "wss://user:s3cret/@evil.com", "wss://evil.com?a=b@c&s3cret",
    # out of the path, out of the line, out of the script
    "agent://local/../../../etc/passwd", "agent:///etc/passwd", "agent://local/..%2f..%2fetc%2fpasswd",
    "agent://./local", "agent://local\r\nHost: evil.com", "agent://local\0.evil.com", "agent://local\n", "\nagent://local",
    "${ENV:SECRET}", "{{7*7}}", "agent://local%0d%0a", "agent://\x1b]0;owned\x07", "agent://local\u2028", "agent://\u202elacol",
    "agent://local\u200b", "agent://lоcal", "agent://local＠evil.com", "agent://local／..／evil.com", "agent://`id`",
    "agent://$(touch /tmp/x)", "agent://%6c%6f%63%61%6c",
    # other schemes, and schemes in schemes
    "agent://http://169.254.169.254/", "agent:agent:agent://local", "agent://agent://local", "agent:http://evil.com/",
    "http://169.254.169.254/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL", "ftp://evil.com/",
    "//evil.com", "\\\\evil.com\\share", "ws+unix:///run/docker.sock", "unix:/run/docker.sock",
    "jar:ws://evil.com!/", "data:,x",
    # what takes long to read, or cannot be read
    "agent://" + "a" * 1_000_000, "agent://" + "[" * 1_000_000, "wss://" + "\ufdfa" * 1_000_000, "/" * 1_000_000,
    "wss://" + "%00" * 300_000, "wss://x:" + "9" * 1_000_000, "agent://" + "@" * 1_000_000, "wss://" + "a." * 500_000,
    "\u0301" * 1_000_000, "wss://" + "\ufdfa" * 2_000, "wss://" + "a." * 1_000, "wss://x:" + "9" * 2_000,
    "wss://" + "%25" * 600, "agent://local:99999999999999999999", "agent://[", "agent://]", "agent://[v1.x]", "://",
    "", " ", "\0", "\ud800", "agent://\ud800", "agent", "agent:", "agent:/local", "agent//local",
]  # fmt: skip
"""What AgentURI must refuse; ``s3cret`` stands where it must not be repeated."""

HOSTS = [
    "evil.com", "evil.com:{port}", "127.0.0.1.evil.com:{port}", "localhost.evil.com", "localhost.", "127.0.0.1.",
    "LOCALHOST.EVIL.COM", "evil.com:127.0.0.1", "127.0.0.1:{port}:80", "127.0.0.1:80@evil.com", "x@127.0.0.1:{port}",
    "127.0.0.1@evil.com", "127.0.0.1/", "127.0.0.1, evil.com", "127.0.0.1 evil.com", "127.0.0.1\tevil.com",
    "http://127.0.0.1", "//127.0.0.1", "127.0.0.1#evil.com", "127.0.0.1?evil.com", "127.0.0.1\\evil.com",
    "2130706433", "0x7f.1", "127.1", "0.0.0.0", "0", "[::]", "::1", "[::1", "[::1].evil.com", "[::ffff:127.0.0.1]",
    "[::1%25lo]", "127.0.0.1:x", "127.0.0.1:-1", ":{port}", "", " ", "*", "localhost․", "lоcalhost", "１２７.0.0.1",
    "rebind.evil.com", "127.0.0.2", "10.0.0.1:{port}",
]  # fmt: skip
"""Host headers that are not those of a gateway at loopback; ``{port}`` is its own."""

TARGETS = [
    "http://evil.com/", "ws://evil.com:{port}/", "//evil.com/", "http://127.0.0.1@evil.com/", "evil.com:80", "*",
]  # fmt: skip
"""Request targets that name a server of their own, or none."""

HEADS = [
    "", "Host: 127.0.0.1\r\nHost: evil.com\r\n", "Host: evil.com\r\nHost: 127.0.0.1\r\n",
    "Host: 127.0.0.1\r\nHOST: 127.0.0.1\r\n", "Host : 127.0.0.1\r\n", " Host: 127.0.0.1\r\n",
    "Host: evil.com\r\n 127.0.0.1\r\n", "X-Forwarded-Host: 127.0.0.1\r\n",
    "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1:{port}\r\n", "Host: 127.0.0.1\r\nOrigin:\r\n",
    "Host: 127.0.0.1\r\norigin: null\r\n",
]  # fmt: skip
"""Headers that leave in doubt where a request goes, or say that a page sends it."""
