"""Any bytes and any JSON into whatever reads what strangers send, and a short run of the fuzzer."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.errors import AuthError, ConnectionLost, ProtocolError
from openclaw_nb.protocol.frames import BadFrame, Request, decode_request, encode, read_params
from tests.protocol.test_frames import joined, plain_data
from tests.spine import any_text
from tests.tools import fuzz
from tests.tools.fuzz import METHODS, TARGETS, one_input

SECONDS = 6.0  # `make fuzz SECONDS=n` for more


def test_a_short_run_of_the_fuzzer(figure: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]) -> None:
    count = fuzz.fuzz(SECONDS, seed=2026, least=600)
    assert "no failure" in capsys.readouterr().out
    assert count > 500
    figure("fuzzing", f"{count:,} inputs in {SECONDS:g} s over {len(TARGETS)} targets: none failed")


def test_a_failing_input_is_told_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(messages: list[bytes]) -> Iterator[str]:
        for raw in messages:
            assert b'"9' not in raw.replace(b":", b'"')
            yield str(len(raw))

    monkeypatch.setattr(fuzz, "TARGETS", (breaks,))
    said: list[str] = []
    with pytest.raises(AssertionError):
        fuzz.fuzz(60, seed=1, say=said.append)
    with pytest.raises(AssertionError):
        one_input(ast.literal_eval(said[-1].partition("\n")[2]))


@given(st.sampled_from(range(len(TARGETS))), st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes(target: int, messages: list[bytes]) -> None:
    one_input(bytes([target]) + fuzz.BETWEEN.join(messages))


# Values that a reader takes for something else: bool for int, a number no float holds, text no UTF-8 holds.
odd = (
    st.sampled_from([True, -1, 0, 2**53, 2**63, 10**400, 1e308, -0.5, "", "r", "\ud800", "x" * 300, {}, [], [[]]])
    | plain_data
)
methods = st.sampled_from(sorted(METHODS))
fields = sorted({name for type in METHODS.values() for name in type.__struct_encode_fields__})


@given(methods, st.dictionaries(st.sampled_from(fields) | any_text, odd, max_size=6))
def test_any_json_as_parameters(method: str, params: dict[str, Any]) -> None:
    request = decode_request(encode(Request("q", method, params)))
    assert request.params == joined(params)
    with suppress(BadFrame):
        read_params(request, METHODS[method])


keys = st.sampled_from([
    "runId", "state", "offset", "deltaText", "message", "length", "tokens", "stream", "data", "reason", "protocol",
    "features", "policy", "capabilities", "tickIntervalMs", "content", "text", "key", "title", "delta", "seconds",
    "code", "details", "retryAfterMs",
])  # fmt: skip
known = st.sampled_from(["r", "q", "final", "error", "aborted", "delta", "thinking", 3, 4, 0, 1, "AUTH_RATE_LIMITED"])
nested = st.recursive(odd | known, lambda inner: st.dictionaries(keys, inner, max_size=5), max_leaves=12)
payloads = st.fixed_dictionaries(
    {"runId": st.sampled_from(["r", "q"]), "stream": st.just("thinking")},
    optional={
        "state": odd | known, "offset": odd | st.integers(0, 3), "deltaText": odd | any_text, "length": odd,
        "tokens": odd, "message": nested, "data": nested,
    },
)  # fmt: skip
answers = st.fixed_dictionaries(
    {"type": st.just("res"), "id": st.sampled_from(["1", "2"]), "ok": st.booleans()},
    optional={"payload": nested, "error": st.dictionaries(keys, nested, max_size=3)},
)
events = st.fixed_dictionaries(
    {"type": st.just("event"), "event": st.sampled_from(["connect.challenge", "chat", "agent", "tick", "shutdown"])},
    optional={"payload": payloads | nested, "seq": odd},
)


@given(st.lists(answers | events, max_size=8))
def test_any_json_from_a_gateway(sent: list[dict[str, Any]]) -> None:
    challenge = {"type": "event", "event": "connect.challenge"}
    with suppress(AuthError, ConnectionLost, ProtocolError):
        list(fuzz.client([encode(frame) for frame in (challenge, *sent)]))
