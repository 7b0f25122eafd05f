"""What the commonest exceptions of Python, pandas and NumPy usually mean; the notebook's last one, explained."""

from __future__ import annotations

import builtins
import difflib
import re
import sys
import traceback
from contextlib import suppress
from typing import Any, NamedTuple

from ..prompts import fence_for
from .question import Question

__all__ = ["Meaning", "answer", "explain"]

LONGEST_MESSAGE = 1_000  # characters
MOST_FRAMES = 200


class Meaning(NamedTuple):
    """What an exception usually means, and what to look at."""

    means: str
    look: str


#: By a part of the message, before the type: these say more than their type does.
_BY_MESSAGE: tuple[tuple[str, Meaning], ...] = (
    (r"truth value of (?:a|an) \w+.* is ambiguous", Meaning(
        "a whole table or array stands where Python needs one True or False",
        "use `&`, `|`, `~` with parentheses for `and`, `or`, `not`; or reduce with `.any()`, `.all()`, `.empty`")),
    (r"could not be broadcast|shapes? .* not aligned|mismatch in its core dimension", Meaning(
        "two arrays have shapes that do not fit together", "print both `.shape`s; `reshape`, transpose or index one")),
    (r"could not convert string to float|Unable to parse string|invalid literal for int", Meaning(
        "a text that is no number is to become one",
        "find the odd values with `pd.to_numeric(column, errors=\"coerce\").isna()`; look for separators and units")),
    (r"cannot convert float NaN to integer|Cannot convert non-finite", Meaning(
        "a missing value is to become an integer", "drop or fill it first, or use the nullable type `\"Int64\"`")),
    (r"unsupported operand type|can only concatenate", Meaning(
        "an operator stands between two types that do not go together", "look at `type(…)` of both sides")),
    (r"missing \d+ required .*argument", Meaning(
        "a function was called with too few arguments", "compare the call with its signature: `help(function)`")),
    (r"unexpected keyword argument", Meaning(
        "a function does not know one of the names it was given", "check its spelling, and the library's version")),
    (r"object is not callable", Meaning(
        "something that is no function is called with `(…)`",
        "look for a variable that covers a function's name, such as `list = …`, or a property called as a method")),
    (r"object is not subscriptable", Meaning(
        "`[…]` follows something that cannot be indexed, often None or a function", "look at what is left of the `[`")),
    (r"'NoneType' object", Meaning(
        "a value is None where an object was expected",
        "look at where it came from: a function without `return`, or a method that works in place")),
    (r"All arrays must be of the same length", Meaning(
        "the columns of a new table differ in length", "compare `len(…)` of each")),
)  # fmt: skip

#: By the name of the type; an exception that is not in it is looked up by its base classes.
_BY_TYPE: dict[str, Meaning] = {
    "KeyError": Meaning("there is no such key, or no column or index label of that name",
                        "compare with `.keys()` or `df.columns`: spelling, case, spaces at the ends"),
    "IndexError": Meaning("a position is beyond the end", "compare with `len(…)`; the first is 0, the last `len - 1`"),
    "NameError": Meaning("nothing of that name is defined here",
                         "check the spelling, and whether the cell that defines it has been run in this kernel"),
    "UnboundLocalError": Meaning("a function reads a variable before it gives it a value",
                                 "assigning it anywhere in the function makes it local: pass it in or assign it first"),
    "AttributeError": Meaning("the object has no attribute or method of that name",
                              "look at `type(…)` of the object; it may be another type than expected, often None"),
    "TypeError": Meaning("a value has a type that does not go with what is done to it",
                         "look at `type(…)` of what the line works on"),
    "JSONDecodeError": Meaning("the text is not JSON", "print its beginning: empty, HTML, or single quotes?"),
    "UnicodeDecodeError": Meaning("the bytes are in another encoding than the one they are read with",
                                  "give `encoding=\"…\"`, often `\"cp1252\"` or `\"latin-1\"` in place of UTF-8"),
    "UnicodeEncodeError": Meaning("the encoding has no such character", "write with `encoding=\"utf-8\"`"),
    "LinAlgError": Meaning("the matrix has no solution of that kind, often because it is singular",
                           "look for columns that repeat each other: `np.linalg.matrix_rank`, `np.linalg.cond`"),
    "AxisError": Meaning("the array has fewer axes than asked for", "look at `.ndim` and `.shape`"),
    "ValueError": Meaning("the type is right and the value is not", "print the value that the line works on"),
    "ModuleNotFoundError": Meaning("no such module is installed in this kernel's environment",
                                   "check the name; install it with `%pip install NAME`, then restart the kernel"),
    "ImportError": Meaning("the module is there and the name in it is not",
                           "check the name and the version, and whether a file of yours has the module's name"),
    "ZeroDivisionError": Meaning("a number is divided by zero", "look at where the divisor comes from; empty data?"),
    "FileNotFoundError": Meaning("there is no file at that path", "compare with `%pwd` and `%ls`: relative to what?"),
    "IsADirectoryError": Meaning("the path is a folder", "add the file's name"),
    "PermissionError": Meaning("the system does not allow it", "look at the file's owner and mode"),
    "IndentationError": Meaning("lines of one block do not begin in the same column", "look for tabs among spaces"),
    "SyntaxError": Meaning("Python cannot read the line", "look at and before the mark: brackets, quotes, colon"),
    "MemoryError": Meaning("there is not enough memory", "read in pieces (`chunksize=`), fewer columns"),
    "RecursionError": Meaning("a function calls itself without an end", "look at the case in which it should stop"),
    "StopIteration": Meaning("an iterator has no more items", "give `next(…, default)` a default"),
    "AssertionError": Meaning("an assumption that was written down does not hold", "print both sides of the `assert`"),
    "NotImplementedError": Meaning("this is not written for this case", "look for another method or a newer version"),
    "OverflowError": Meaning("a number is too large for its type", "use Python integers, logarithms, or a wider dtype"),
    "TimeoutError": Meaning("no answer came in time", "try again, or allow more time"),
    "ConnectionError": Meaning("the other side cannot be reached", "check the address, and whether it is running"),
    "KeyboardInterrupt": Meaning("you stopped it", "nothing is wrong; the state is as it was at that line"),
    "EmptyDataError": Meaning("the file is empty", "look at its size, and whether writing it was finished"),
    "ParserError": Meaning("a line has another number of fields than the first ones",
                           "look at that line; give `sep=`, `quotechar=` or `on_bad_lines=\"warn\"`"),
    "MergeError": Meaning("the tables cannot be merged this way", "compare the keys' names, dtypes and duplicates"),
    "OutOfBoundsDatetime": Meaning("a date does not fit the resolution of the dtype",
                                   "look for placeholders such as 9999-12-31; `errors=\"coerce\"` makes them missing"),
    "UndefinedVariableError": Meaning("`query` or `eval` names no column", "check the spelling; `@name` is a variable"),
    "IntCastingNaNError": Meaning("a missing value is to become an integer", "fill it first, or use `\"Int64\"`"),
    "OSError": Meaning("the system refused an operation on a file or device", "read the message's number and path"),
}  # fmt: skip

_UNKNOWN = Meaning("its library has a type of its own for this", "read its message, and the library's documentation")

_ERROR = r"\w+(?:Error|Interrupt|Iteration|Datetime)"
_PASTED = re.compile(rf"^\s*(?:[\w.]+\.)?({_ERROR})(?:: *(.*))?$", re.MULTILINE)


def answer(match: re.Match[str], question: Question) -> str | None:
    """The exception in the question if one is pasted there, else the notebook's last one."""
    if (pasted := _PASTED.search(question.text)) and _BY_TYPE.get(pasted[1]):
        return _explanation(pasted[1], [pasted[1]], (pasted[2] or "").strip())
    if (named := re.search(rf"\b({_ERROR})\b", match[0])) and named[1] in _BY_TYPE:
        return _explanation(named[1], [named[1]], "")
    if question.workspace is None:
        return "I see no notebook from here, so I do not know its last error. Paste the last line of the traceback."
    error = question.workspace.last_exception()
    return "No cell has failed in this kernel so far." if error is None else explain(error)


def explain(error: BaseException) -> str:
    """One exception as Markdown: what it says, where, what it usually means, what to look at."""
    try:
        message = str(error)[:LONGEST_MESSAGE]
    except Exception:
        message = ""
    names = [kind.__name__ for kind in type(error).__mro__]
    text = _explanation(names[0], names, message, _place(error))
    if hint := _nearest(error):
        text += f"\n\nDid you mean `{hint}`?"
    cause = error.__cause__
    if cause is not None and type(cause) is not type(error):
        meaning = _meaning([kind.__name__ for kind in type(cause).__mro__], "")
        text += f"\n\nBehind it is a `{type(cause).__name__}`: {meaning.means}."
    return text


def _explanation(name: str, names: list[str], message: str, place: str = "") -> str:
    fence = fence_for(message, place)
    title = f"**{name}**" + (f"\n\n{fence}text\n{message}\n{fence}" if message.strip() else "")
    where = f"\n\nIt was raised here, in your code:\n\n{fence}python\n{place}\n{fence}" if place else ""
    meaning = _meaning(names, message)
    return f"{title}{where}\n\nUsually: {meaning.means}.\n\nNext: {meaning.look}."


def _meaning(names: list[str], message: str) -> Meaning:
    for part, meaning in _BY_MESSAGE:
        if re.search(part, message):
            return meaning
    return next((_BY_TYPE[name] for name in names if name in _BY_TYPE), _UNKNOWN)


def _place(error: BaseException) -> str:
    """The user's own line: the innermost one that is in no installed package."""
    if isinstance(error, SyntaxError) and error.text:
        column = max(0, (error.offset or 1) - 1 - (len(error.text) - len(error.text.lstrip())))
        return f"{error.text.strip()}\n{' ' * min(column, 200)}^   line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    own = [frame for frame in frames if not _is_installed(frame.filename)] or list(frames)
    if not own or not own[-1].line:
        return ""
    inside = f", in {own[-1].name}" if own[-1].name != "<module>" else ""
    return f"{own[-1].line[:300]}  # line {own[-1].lineno}{inside}"


def _is_installed(filename: str) -> bool:
    path = filename.replace("\\", "/")
    return "site-packages/" in path or path.startswith((sys.base_prefix.replace("\\", "/") + "/lib", "<frozen"))


def _nearest(error: BaseException) -> str | None:
    """The name that was probably meant, from what the exception and its innermost frame hold."""
    with suppress(Exception):
        wanted: Any = getattr(error, "name", None)
        if not isinstance(wanted, str):
            return None
        names: list[str] = []
        if isinstance(error, AttributeError):
            names = dir(error.obj)
        elif isinstance(error, ModuleNotFoundError):
            names = sorted({name.partition(".")[0] for name in (*sys.stdlib_module_names, *sys.modules)})
        elif isinstance(error, NameError) and (trace := error.__traceback__):
            while trace.tb_next:
                trace = trace.tb_next
            names = [*trace.tb_frame.f_locals, *trace.tb_frame.f_globals, *dir(builtins)]
        near = difflib.get_close_matches(wanted, [name for name in names if not name.startswith("_")], 1, 0.7)
        return near[0] if near else None
    return None
