"""Sentences about failures: bounded, on one line, without secrets; and what is worth asking again."""

from __future__ import annotations

import pytest
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)

from openclaw_nb.models.failures import (
    ATTEMPTS,
    PATIENCE,
    Endpoint,
    is_loopback,
    pause,
    refuses_pictures,
    scrub,
    unfinished,
)

CUT = ModelAPIError("x", "Streamed response ended without a `finish_reason`")
"""What the library says of a stream of OpenAI's that ended before its answer did."""

HERE = Endpoint("openai-chat:x", "http://user:pw@127.0.0.1:8080/v1?key=secret", ("OPENAI_API_KEY",))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST", "localhost."])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", [None, "", "127.evil.com", "localhost.evil.com", "0.0.0.0", "10.0.0.1", "127.1", "::2", "2130706433"]
)
def test_no_loopback(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\r\n\tb\x1b[31m\u202e\u2028c", "a b [31m c"),
        ("see https://u:p@api.example.com/x?key=1 now", "see api.example.com now"),
        ("see https://[bad now", "see an address now"),
        ("Incorrect API key provided: sk-abcd****wxyz.", "Incorrect API key provided: …"),
        ("Bearer abc.def", "…"),
        ("AIzaSyA1234567890", "…"),
        ("my planted-value!", "my …!"),
        ("the sky-scraper task", "the sky-scraper task"),
        ("x" * 1000, "x" * 199 + "…"),
    ],
)
def test_scrub(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("SOME_SECRET", "planted-value")
    assert scrub(text) == said


def test_host_is_said_without_userinfo_or_query() -> None:
    assert HERE.host == "127.0.0.1:8080"
    assert HERE.local
    assert Endpoint("m", "https://[::1]:1/v1").host == "[::1]:1"
    assert Endpoint("m", "https://api.openai.com/v1/").host == "api.openai.com"
    for bad in ("", "nonsense", "http://[", "http://h:99999"):
        assert Endpoint("m", bad).host == "m"


@pytest.mark.parametrize(
    ("error", "begun", "said"),
    [
        (ModelHTTPError(400, "x", {"message": "too long"}), False, "answered 400 Bad Request: too long"),
        (ModelHTTPError(400, "x", {"error": {"message": "nested"}}), False, "answered 400 Bad Request: nested"),
        (ModelHTTPError(400, "x", {"error": "flat"}), False, "answered 400 Bad Request: flat"),
        (
            ModelHTTPError.for_category(ModelAuthenticationError, status_code=401, model_name="x", body="wrong: abc"),
            False,
            "answered 401 Unauthorized: it does not take the key in OPENAI_API_KEY",
        ),
        (ModelHTTPError(502, "x", "<html>proxy</html>"), False, "answered 502 Bad Gateway"),
        (ModelHTTPError(599, "x", [1]), False, "answered 599"),
        (ModelTimeoutError("x", "t", phase="connect"), False, "cannot be reached: time-out"),
        (ModelTimeoutError("x", "t", phase="read"), False, "fell silent before answering (time-out)"),
        (ModelConnectionError("x", "c", phase="read"), True, "broke the connection off in mid-answer"),
        (ModelConnectionError("x", "c", phase="read"), False, "broke the connection off before answering"),
        (UnexpectedModelBehavior("empty", "body: sk-abcdefgh"), False, "failed: empty"),
        (ModelAPIError("x", "odd"), False, "failed: odd"),
        (ZeroDivisionError("sum"), False, "failed: ZeroDivisionError: sum"),
    ],
)
def test_sentences(error: Exception, begun: bool, said: str) -> None:
    assert HERE.sentence(error, begun=begun) == f"127.0.0.1:8080 {said}"


@pytest.mark.parametrize(
    "error",
    [
        ModelHTTPError(429, "x"), ModelHTTPError(500, "x"), ModelHTTPError(529, "x"),
        ModelConnectionError("x", "c", phase="connect"), ModelConnectionError("x", "c", phase="read"),
        ModelTimeoutError("x", "t", phase="connect"), unfinished("x"), CUT,
    ],
)  # fmt: skip
def test_passing_failures_are_tried_a_few_times(error: Exception) -> None:
    waits = [pause(error, attempt, 0, local=False) for attempt in range(1, ATTEMPTS + 1)]
    assert waits[-1] is None
    assert all(wait is not None and 0 < wait <= 2.5 for wait in waits[:-1])
    assert pause(error, 1, PATIENCE, local=False) is None


@pytest.mark.parametrize(
    "error",
    [
        ModelHTTPError(400, "x"), ModelHTTPError(401, "x"), ModelHTTPError(404, "x"),
        ModelHTTPError.for_category(ModelQuotaExceededError, status_code=429, model_name="x"),
        ModelTimeoutError("x", "t", phase="read"), ModelConnectionError("x", "no such scheme"), ValueError("x"),
    ],
)  # fmt: skip
def test_lasting_failures_are_not(error: Exception) -> None:
    assert pause(error, 1, 0, local=False) is None


@pytest.mark.parametrize(
    ("error", "begun", "code"),
    [
        (ModelHTTPError(429, "x"), False, "MODEL_UNAVAILABLE"),
        (ModelHTTPError(503, "x"), True, "MODEL_UNAVAILABLE"),
        (ModelConnectionError("x", "c", phase="read"), True, "MODEL_UNAVAILABLE"),
        (ModelTimeoutError("x", "t", phase="read"), True, "MODEL_UNAVAILABLE"),
        (CUT, True, "MODEL_UNAVAILABLE"),
        (ModelTimeoutError("x", "t", phase="read"), False, "MODEL"),
        (ModelHTTPError(400, "x"), True, "MODEL"),
        (UnexpectedModelBehavior("empty"), True, "MODEL"),
        (ValueError("x"), True, "MODEL"),
    ],
)
def test_what_a_client_may_take_up_again(error: Exception, begun: bool, code: str) -> None:
    assert HERE.failure(error, begun=begun).code == code


@pytest.mark.parametrize(
    ("asked", "kept"), [(None, 0), (7.5, 7.5), (-1, 0), (float("nan"), 0), (float("inf"), 86_400), (0, 0)]
)
def test_how_long_it_is_to_be_left_alone(asked: float | None, kept: float) -> None:
    assert HERE.failure(ModelHTTPError(429, "x", retry_after=asked), begun=False).retry_after == kept


def test_retry_after_is_kept_to() -> None:
    def asked(seconds: float) -> float | None:
        return pause(ModelHTTPError(429, "x", retry_after=seconds), 1, 1.0, local=False)

    assert [asked(seconds) for seconds in (0, 7.5, 19, 19.5, float("inf"), float("nan"), -3)] == [
        0, 7.5, 19, None, None, None, 0,
    ]  # fmt: skip


def test_a_failure_that_stays_is_known_within_three_seconds() -> None:
    for _ in range(100):
        assert sum(pause(ModelHTTPError(500, "x"), n, 0, local=False) or 0 for n in range(1, ATTEMPTS)) < 2.7


def test_nobody_listening_here_is_known_within_seconds() -> None:
    refused = ModelConnectionError("x", "c", phase="connect")
    assert sum(pause(refused, attempt, 0, local=True) or 0 for attempt in range(1, ATTEMPTS)) < 1


@pytest.mark.parametrize(
    ("status", "message", "refused"),
    [
        (400, "Invalid content type. image_url is only supported by certain models.", True),
        (500, "image input is not supported - hint: you may need to provide the mmproj", True),
        (404, "No endpoints found that support image input", True),
        (400, "this model has no Vision", True),
        (400, "it is not multimodal", True),
        (422, "unknown variant `image_url`, expected `text` at line 1 column 123", True),
        (400, "At most 0 image(s) may be provided in one request.", True),
        (400, "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum", False),
        (400, "Could not process image", False),
        (400, "Unsupported image format", False),
        (400, "too long", False),
        (401, "wrong key for images", False),
        (429, "too many images a minute", False),
    ],
)
def test_what_refuses_pictures(status: int, message: str, refused: bool) -> None:
    assert refuses_pictures(ModelHTTPError(status, "x", {"error": {"message": message}})) is refused


def test_nothing_else_does() -> None:
    assert not refuses_pictures(ModelConnectionError("x", "no image", phase="read"))
