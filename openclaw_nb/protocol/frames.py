"""Typed frames of the gateway protocol: encode, decode, limits, and the parameters of each method.

Requests are read strictly (unknown keys are refused, as the real gateway does), server frames leniently
(real ones carry keys their schema lacks). Text is JSON in UTF-8; a lone surrogate, which UTF-8 cannot hold,
travels as its JSON escape and arrives as it left.
"""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from ..errors import ProtocolError

__all__ = [
    "CAPABILITIES",
    "MAX_FRAME",
    "MAX_HELLO",
    "PROTOCOLS",
    "SCOPES",
    "TICK",
    "Attachment",
    "BadFrame",
    "ChatAbort",
    "ChatHistory",
    "ChatSend",
    "ConnectAuth",
    "ConnectClient",
    "ConnectParams",
    "Event",
    "OutputWish",
    "Pace",
    "Partial",
    "Request",
    "Response",
    "RunLevel",
    "RunResume",
    "decode_json",
    "decode_request",
    "decode_server_frame",
    "encode",
    "read_params",
]

PROTOCOLS = (3, 4)
"""Protocol versions spoken here, oldest first."""

MAX_FRAME = 26_214_400
"""Bytes of one message after authentication; a real gateway announces the same as policy.maxPayload."""

MAX_HELLO = 65_536
"""Bytes of one message before authentication."""

SCOPES = ("operator.read", "operator.write")
"""What a shared token grants; a client that asks for more gets these."""

TICK = 30.0
"""Seconds between the gateway's ticks, as a real one announces them."""

CAPABILITIES = ("nb.offset", "nb.resume", "nb.batch", "nb.model", "nb.session", "nb.level")
"""What our client and our gateway offer each other beyond OpenClaw: deltas with text offsets, `run.resume`,
a pace for batches, in `chat.send` a model by name, and how the run is to treat its session (see `ChatSend`), and
levels that are steps, of which `run.level` changes those to come, with an output that they are checked for."""


Name = Annotated[str, Meta(min_length=1, max_length=256)]
"""What answers and events repeat: without a limit each could be as big as the request."""

SessionKey = Annotated[str, Meta(max_length=1024)]
Count = Annotated[int, Meta(ge=0)]


class Request(msgspec.Struct, tag="req", tag_field="type"):
    """A call of the client; every one is answered by the Response of the same id."""

    id: Name
    method: Name
    params: dict[str, Any] = {}


class Response(msgspec.Struct, tag="res", tag_field="type", omit_defaults=True):
    """The answer to one Request: a payload, or an error ``{code, message, details?}``."""

    id: str
    ok: bool
    payload: Any = None
    error: dict[str, Any] | None = None


class Event(msgspec.Struct, tag="event", tag_field="type", omit_defaults=True):
    """Something the gateway tells unasked; ``seq`` counts them per connection (4) or globally (3)."""

    event: str
    payload: Any = None
    seq: int | None = None


class _Params(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of the methods' parameters: camelCase on the wire, nothing unknown."""


class ConnectClient(msgspec.Struct, rename="camel"):
    """What a client says of itself; the gateway tells it to others, so that nothing of it may be long."""

    id: Name
    version: Annotated[str, Meta(max_length=128)] = ""
    platform: Annotated[str, Meta(max_length=128)] = ""
    mode: Annotated[str, Meta(max_length=64)] = ""
    display_name: Annotated[str, Meta(max_length=256)] = ""
    device_family: Annotated[str, Meta(max_length=128)] = ""


class ConnectAuth(msgspec.Struct, rename="camel"):
    token: str | None = None

    def __repr__(self) -> str:
        return "ConnectAuth(token=***)"


class ConnectParams(_Params):
    min_protocol: int
    max_protocol: int
    client: ConnectClient
    role: str = "operator"
    scopes: list[str] = []
    caps: list[str] = []
    commands: list[str] | None = None
    permissions: dict[str, bool] | None = None
    path_env: str | None = None
    locale: str = ""
    user_agent: str = ""
    device: dict[str, Any] | None = None
    auth: ConnectAuth | None = None


class Pace(_Params):
    """How a client wants its deltas: at most ``size`` tokens, or ``delay`` seconds of waiting, to a frame."""

    size: Annotated[int, Meta(ge=1)] = 10
    delay: Annotated[float, Meta(ge=0, le=3600)] = 0.02


class Partial(_Params):
    """What a client has of an answer whose gateway has lost it: the text, and the tokens it was told for it."""

    text: str
    tokens: Count = 0


class Attachment(_Params):
    """A picture that goes with a message, ``content`` in base64, in the form that a real gateway shows to a model."""

    type: Literal["image"]
    mime_type: Name
    file_name: Name
    content: str


class OutputWish(_Params):
    """What the answer is to be: one JSON object of ``schema``, which is called ``name``."""

    name: Name
    schema: dict[str, Any]


class ChatSend(_Params):
    """A message. While its session is ``busy`` it waits, or works beside ("branch"); a new one begins from ``base``.

    ``budget`` is the limit in USD that the client keeps; ``retry`` asks a run anew that has failed or was stopped; one
    that is ``isolated`` leaves its session as it was unless it succeeds.
    """

    session_key: SessionKey
    message: str
    idempotency_key: Name
    thinking: str | None = None
    deliver: bool | None = None
    attachments: list[Attachment] = []
    timeout_ms: int | None = None
    model: str | None = None
    pace: Pace | None = None
    partial: Partial | None = None
    busy: Literal["wait", "branch"] = "wait"
    base: Name | None = None
    budget: Annotated[float, Meta(ge=0)] | None = None
    retry: bool = False
    isolated: bool = False
    output: OutputWish | None = None


class ChatAbort(_Params):
    session_key: SessionKey
    run_id: Name | None = None


class ChatHistory(_Params):
    session_key: SessionKey
    limit: Annotated[int, Meta(ge=1)] | None = None


class RunLevel(_Params):
    """Go on with a run at another level, from its next step on."""

    run_id: Name
    thinking: Name


class RunResume(_Params):
    """Go on with a run: ``offset`` code points of its answer, and of each step in ``steps``, are here already."""

    run_id: Name
    offset: Count = 0
    steps: dict[str, Count] = {}
    pace: Pace | None = None


class BadFrame(ProtocolError):
    """A message that is no valid request; ``id`` is the request's, or "invalid" where it has none."""

    def __init__(self, message: str, id: str = "invalid") -> None:
        super().__init__(message, code="INVALID_REQUEST")
        self.id = id


UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""What msgspec raises about what is not as it should be; UnicodeError too for a lone surrogate in a key or a tag."""

# A union, because only there msgspec insists on the tag.
_requests: msgspec.json.Decoder[Request | Event] = msgspec.json.Decoder(Request | Event)
_server_frames: msgspec.json.Decoder[Response | Event] = msgspec.json.Decoder(Response | Event)


def _plain(value: Any) -> str:
    """A Result is a str, and goes wherever one does."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} is no plain data")


_encoder = msgspec.json.Encoder(enc_hook=_plain)

P = TypeVar("P", bound=_Params)


def encode(frame: Any) -> bytes:
    """JSON bytes of a frame or of plain data, exact for every Python string."""
    try:
        return _encoder.encode(frame)
    except UnicodeEncodeError:
        return _encode_surrogates(msgspec.to_builtins(frame, enc_hook=_plain))


def _encode_surrogates(data: Any) -> bytes:
    try:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:  # what is no number is null here too
        return _encode_surrogates(json.loads(json.dumps(data), parse_constant=lambda _: None))


def decode_json(raw: bytes) -> Any:
    """Plain data of JSON bytes as `encode` writes them; ProtocolError for anything else."""
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE as error:
        return _decode_surrogates(raw, error)


def _decode_surrogates(raw: bytes, first: Exception) -> Any:
    """A second look, at the one thing that msgspec refuses and JSON allows: an escaped lone surrogate."""
    if b"\\ud" in raw or b"\\uD" in raw:
        try:
            return json.loads(raw, parse_constant=_refuse_constant, parse_float=_read_float)
        except (ValueError, RecursionError):
            pass
    reason = "nested too deeply" if isinstance(first, RecursionError) else str(first)
    raise ProtocolError(f"not valid JSON: {reason}", code="INVALID_REQUEST") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _read_float(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("number out of range")
    return number


@contextmanager
def _no_collector() -> Iterator[None]:
    """The collector looks through millions of new values again and again: seconds for 25 MiB."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def decode_request(raw: bytes) -> Request:
    """The request in one message; BadFrame says what is wrong with it, under its own id where it has one."""
    if len(raw) > MAX_HELLO and gc.isenabled():
        with _no_collector():
            return decode_request(raw)
    try:
        frame = _requests.decode(raw)
    except UNREADABLE:
        frame = _second_look(raw)
    if isinstance(frame, Request):
        return frame
    raise BadFrame("invalid request frame: a client sends requests only")


def _second_look(raw: bytes) -> Request | Event:
    """What is wrong with a message, or the request in it after all, where it holds a lone surrogate."""
    try:
        data = decode_json(raw)
    except ProtocolError as error:
        raise BadFrame(f"invalid request frame: {error}", _find_id(raw)) from None
    try:
        frame: Request | Event = msgspec.convert(data, Request | Event)
        return frame
    except UNREADABLE as error:
        raise BadFrame(f"invalid request frame: {error}", _id_of(data)) from None


def _id_of(data: Any) -> str:
    """The id of a request that is wrong elsewhere."""
    try:
        return msgspec.convert(data["id"], Name)
    except (*UNREADABLE, LookupError, TypeError):
        return "invalid"


_QUOTED = re.compile(r" '.*'(?= - at)", re.DOTALL)
"""What a gateway wrote, where msgspec repeats it: as long as it likes, and our token may be in it."""

_ID = re.compile(rb'\s*\{[^{}\[\]]{0,1024}?"id"\s*:\s*("(?:[^"\\]|\\.){1,256}")')


def _find_id(raw: bytes) -> str:
    """The id of a request that cannot be read as a whole, if it stands before whatever is nested in it."""
    try:
        found = _ID.match(raw)
        return str(json.loads(found[1])) if found else "invalid"
    except ValueError:
        return "invalid"


def decode_server_frame(raw: bytes) -> Response | Event:
    """What a gateway sent; ProtocolError if it is neither a response nor an event."""
    if len(raw) > MAX_HELLO and gc.isenabled():
        with _no_collector():
            return decode_server_frame(raw)
    try:
        return _server_frames.decode(raw)
    except UNREADABLE:
        data = decode_json(raw)
    try:
        frame: Response | Event = msgspec.convert(data, Response | Event)
        return frame
    except UNREADABLE as error:
        raise ProtocolError(f"invalid server frame: {_QUOTED.sub('', str(error))}") from None


def read_params(request: Request, type: type[P]) -> P:
    """The request's parameters as ``type``; BadFrame names the first one that does not fit."""
    try:
        return msgspec.convert(request.params, type)
    except UNREADABLE as error:
        raise BadFrame(f"invalid {request.method} params: {error}", request.id) from None
