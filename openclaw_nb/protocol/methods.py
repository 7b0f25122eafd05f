"""The parameters of the methods that OpenClaw's own clients call beyond those of ours.

Keys that a real gateway takes and nothing here needs are in ``others``: they are let pass, and all else is refused.
Names and limits as in `@openclaw/gateway-protocol` 2026.9.1, and what the programs of 2026.3.1 and 2026.9.6 send.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from .frames import BadFrame, ChatAbort, ChatHistory, ChatSend, Name, Request, SessionKey, read_params

__all__ = [
    "AgentParams",
    "AgentWait",
    "AnyAttachment",
    "Asked",
    "Nothing",
    "SessionAt",
    "SessionsAt",
    "SessionsCreate",
    "SessionsList",
    "SessionsPatch",
    "SessionsReset",
    "SessionsSend",
    "TakenAbort",
    "TakenHistory",
    "TakenSend",
    "read_taken",
]

Milliseconds = Annotated[int, Meta(ge=0, le=2_592_000_000)]
Some = Annotated[int, Meta(ge=1, le=1000)]


class AnyAttachment(msgspec.Struct, rename="camel"):
    """Something that goes with a message, ``content`` in base64 or as a data: address."""

    type: str = ""
    mime_type: str = ""
    file_name: str = ""
    content: str = ""


class TakenSend(ChatSend, forbid_unknown_fields=False):
    """`chat.send` of any client."""

    others: ClassVar = frozenset({
        "agentId", "sessionId", "intent", "fastMode", "fastAutoOnSeconds", "queueMode", "originatingChannel",
        "originatingTo", "originatingAccountId", "originatingThreadId", "replyToId", "toolBindings",
        "systemInputProvenance", "systemProvenanceReceipt", "expectedLeafEntryId", "expectedSessionRoutingContract",
        "expectedPermissionMode", "expectedToolOverrides",
    })  # fmt: skip
    timeout_ms: Milliseconds | None = None
    suppress_command_interpretation: bool = False
    attachments: list[Any] = msgspec.field(default_factory=list)


class TakenAbort(ChatAbort, forbid_unknown_fields=False):
    """`chat.abort` of any client."""

    others: ClassVar = frozenset({"agentId", "preserveSideRuns"})


class TakenHistory(ChatHistory, forbid_unknown_fields=False):
    """`chat.history` of any client."""

    others: ClassVar = frozenset({
        "agentId", "cursor", "offset", "pendingBefore", "inputRunIds", "messageId", "sessionId", "maxChars",
    })  # fmt: skip


class _Taken(msgspec.Struct, rename="camel", kw_only=True):
    others: ClassVar = frozenset[str]()


class Nothing(_Taken):
    """Of methods that only tell something."""

    others: ClassVar = frozenset({
        "probe", "includeSensitive", "timeoutMs", "includeChannelSummary", "includeCliProjection", "agentId",
        "includeDetails", "includeProviderCapabilities", "preparedOnly", "refresh", "view", "scope", "includeArgs",
        "provider", "sessionKey", "key", "includeApprovals", "status", "limit",
    })  # fmt: skip


class AgentParams(_Taken):
    """`agent`: a message whose answer comes with the second reply; ``timeout`` in seconds."""

    others: ClassVar = frozenset({
        "provider", "to", "replyTo", "sessionId", "expectedExistingSessionId", "deliver", "channel", "replyChannel",
        "accountId", "replyAccountId", "threadId", "groupId", "groupChannel", "groupSpace", "bestEffortDeliver",
        "lane", "promptMode", "bootstrapContextMode", "bootstrapContextRunKind", "inputProvenance", "label",
    })  # fmt: skip
    message: Annotated[str, Meta(min_length=1)]
    idempotency_key: Name
    session_key: SessionKey | None = None
    agent_id: Name | None = None
    thinking: str | None = None
    model: Name | None = None
    timeout: Annotated[int, Meta(ge=0, le=2_592_000)] | None = None
    attachments: list[Any] = []


class AgentWait(_Taken):
    """`agent.wait`: for the end of a run."""

    run_id: Name
    timeout_ms: Milliseconds = 30_000


class SessionsList(_Taken):
    """`sessions.list`; ``active_minutes`` leaves out those that have been still for longer."""

    others: ClassVar = frozenset({
        "requireLastInteraction", "sortBy", "includeGlobal", "includeUnknown", "configuredAgentsOnly", "boardFace",
        "creatorId", "ownerId", "ownerFirst", "involvingMe", "involvingProfileId", "includePeople", "spawnedBy",
        "archived",
    })  # fmt: skip
    limit: Some | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
    active_minutes: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    include_derived_titles: bool = False
    include_last_message: bool = False
    label: str | None = None
    agent_id: str | None = None
    search: str | None = None


class SessionAt(_Taken):
    """Which session, for methods that tell of one or end something in it."""

    others: ClassVar = frozenset({
        "agentId", "includeDerivedTitles", "includeLastMessage", "includeApprovals", "deleteTranscript",
        "expectedSessionId", "expectedLifecycleRevision", "expectedSessionUpdatedAt", "emitLifecycleHooks",
        "archivedOnly", "clearQueued", "shortId", "slugHint", "spawnedBy", "includeGlobal", "includeUnknown",
        "allowMissing", "limit",
    })  # fmt: skip
    key: SessionKey | None = None
    session_id: str | None = None
    label: str | None = None
    run_id: Name | None = None


class SessionsAt(_Taken):
    """`sessions.preview`: the last of what was said in each."""

    keys: Annotated[list[SessionKey], Meta(max_length=64)]
    limit: Some = 12
    max_chars: Annotated[int, Meta(ge=20, le=2000)] = 240


class SessionsReset(_Taken):
    others: ClassVar = frozenset({"agentId"})
    key: SessionKey
    reason: Literal["new", "reset"] = "reset"


class SessionsPatch(_Taken):
    """`sessions.patch`: null takes a setting back, and what the request does not name is left as it is."""

    others: ClassVar = frozenset({"agentId", "expectedSessionId", "expectedLifecycleRevision"})
    key: SessionKey
    thinking_level: str | None = None
    model: Name | None = None
    label: Name | None = None
    verbose_level: Name | None = None
    reasoning_level: Name | None = None
    response_usage: Name | None = None


class SessionsCreate(_Taken):
    """`sessions.create`: with ``fork`` from what was said in its parent, with a message at work at once."""

    others: ClassVar = frozenset({
        "displayName", "category", "emitCommandHooks", "succeedsParent", "spawnDepth", "cwd",
    })  # fmt: skip
    key: SessionKey | None = None
    idempotency_key: Name | None = None
    agent_id: Name | None = None
    label: Name | None = None
    model: Name | None = None
    thinking_level: str | None = None
    parent_session_key: SessionKey | None = None
    fork: bool = False
    task: str | None = None
    message: str | None = None


class SessionsSend(_Taken):
    others: ClassVar = frozenset({"agentId"})
    key: SessionKey
    message: str
    thinking: str | None = None
    attachments: list[Any] = []
    timeout_ms: Milliseconds | None = None
    idempotency_key: Name | None = None


Asked = TypeVar("Asked", bound=msgspec.Struct)


def read_taken(request: Request, type: type[Asked]) -> Asked:
    """The request's parameters as ``type``; BadFrame names the first one that does not fit."""
    known = _names(type)
    for name in request.params:
        if name not in known:
            raise BadFrame(f"invalid {request.method} params: at root: unexpected property '{name[:64]}'", request.id)
    params: Asked = read_params(request, type)  # type: ignore[type-var]
    return params


@cache
def _names(type: Any) -> frozenset[str]:
    return frozenset(type.others).union(field.encode_name for field in msgspec.structs.fields(type))
