"""A part in a task: what an agent is told of itself, in its message where its gateway can be told it only there."""

from __future__ import annotations

__all__ = ["take_part", "with_part"]

PART = "Your part in this task:\n"
TASK = "\n\nThe task:\n"


def with_part(part: str, task: str) -> str:
    """The message for an agent that has this part, which is its instructions."""
    return f"{PART}{part}{TASK}{task}"


def take_part(message: str) -> tuple[str, str]:
    """The part and the task of a message that `with_part` made; "" and all of it for any other."""
    if not message.startswith(PART):
        return "", message
    part, found, task = message.removeprefix(PART).partition(TASK)
    return (part, task) if found else ("", message)
