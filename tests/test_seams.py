"""The seams bind late: importing them imports nothing above, calling them reaches what is there now."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from openclaw_nb import seams


def test_importing_imports_nothing_above() -> None:
    code = "import sys, openclaw_nb.seams; print(sorted(m for m in sys.modules if m.startswith('openclaw_nb.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['openclaw_nb.seams', 'openclaw_nb.version']"


def test_looks_the_name_up_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    higher = ModuleType("higher")
    monkeypatch.setitem(sys.modules, "higher", higher)
    call = seams._late("higher:answer")
    with pytest.raises(AttributeError, match="answer"):
        call()
    higher.__dict__["answer"] = lambda *args, **kwargs: (args, kwargs)
    assert call(1, two=2) == ((1,), {"two": 2})
