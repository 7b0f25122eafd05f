"""A few fixed texts of any length, so that newcomers and tests see how an answer streams."""

from __future__ import annotations

import re
from itertools import cycle, islice

from .question import Question

__all__ = ["count", "show_markdown", "write_words"]

MOST_NUMBERS = 10_000
MOST_WORDS = 20_000
DIGITS = 9  # a longer number is beyond every bound

_LOREM = """\
Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore
magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo
consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur.
Excepteur sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id est laborum."""
_PARAGRAPH = len(_LOREM.split())

_MARKDOWN = '''\
# A heading

A paragraph with *emphasis*, **strong words**, `code`, and a sum: 2 + 2 = 4.

## A list

1. load the data
2. look at it
   - shape
   - missing values
3. then ask

## A table

| column | dtype | missing | mean |
|:---|:---|---:|---:|
| date | datetime64 | 0 | |
| revenue | float64 | 9 | 1204.5 |

## Code

```python
def daily(sales):
    """Revenue by day."""
    return sales.set_index("date").resample("D").sum()
```

> A quotation: look at the data before you trust a summary of it.

---

The end of the demonstration.'''


def count(match: re.Match[str], question: Question) -> str:
    """The numbers from one to N, or between two numbers, up or down; bounded."""
    first, last = _number(match["first"] or "1"), _number(match["last"])
    step = 1 if last >= first else -1
    numbers = range(first, last + step, step)
    shown = ", ".join(map(str, numbers[:MOST_NUMBERS]))
    if len(numbers) > MOST_NUMBERS:
        shown += f".\n\nI stop here: I count {MOST_NUMBERS:,} numbers at most."
    return shown


def write_words(match: re.Match[str], question: Question) -> str:
    """That many words of placeholder text, in paragraphs; bounded."""
    wanted = min(_number(match["words"] or match["lorem"] or str(_PARAGRAPH)), MOST_WORDS)
    words = list(islice(cycle(_LOREM.split()), wanted))
    paragraphs = (" ".join(words[at : at + _PARAGRAPH]) for at in range(0, wanted, _PARAGRAPH))
    return "\n\n".join(paragraphs) or "No words, then."


def show_markdown(match: re.Match[str], question: Question) -> str:
    """Headings, lists, a table, code and a quotation."""
    return _MARKDOWN


def _number(text: str) -> int:
    digits = re.sub(r"[,_]", "", text)
    return int(digits[:DIGITS]) if len(digits) <= DIGITS else 10**DIGITS
