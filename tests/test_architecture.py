"""The shape of the package: floors, cycles, seams, exports, sizes and a test beside each module."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest
from typing_extensions import TypeIs

import openclaw_nb

ROOT = Path(openclaw_nb.__file__).parent
TESTS = Path(__file__).parent
LONGEST = 400

FLOORS = {
    "approval_words": 0, "config": 0, "dialogue": 0, "door": 0, "errors": 0, "events": 0, "health": 0, "logs": 0,
    "markup": 0, "openclaw_config": 0, "options": 0, "outputs": 0, "private_files": 0, "prompts": 0, "protocol": 0,
    "reasoning": 0, "redaction": 0, "remarkdown": 0, "render": 0, "seams": 0, "secret": 0, "side_by_side": 0,
    "tables": 0, "tokens": 0, "version": 0, "waits": 0, "wording": 0,
    "approvals": 1, "client": 1, "identity": 1, "ledger": 1, "models": 1, "run": 1, "spending": 1, "stability": 1,
    "terminal": 1, "tools": 1,
    "answers": 2, "corrections": 2, "engine": 2, "judge": 2, "metrics": 2, "remote": 2, "sessions": 2, "sharing": 2,
    "snapshots": 2,
    "agent": 3, "allowance": 3, "cluster": 3, "deploy": 3, "distributed": 3, "front": 3, "gateway": 3, "node": 3,
    "outlook": 3, "pool": 3,
    "__main__": 4, "cli": 4, "configured": 4, "doctor": 4, "runtime": 4,
    "cells": 5, "commands": 5, "controls": 5, "magics": 5, "namespace": 5, "nested": 5, "notebook": 5, "waiting": 5,
    "widgets": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Module:
    """One module: its name without the package's, its file, its syntax tree."""

    name: str
    path: Path
    tree: ast.Module


def _floor(name: str) -> int:
    """The floor of a module; the package itself, which names all of them, stands above."""
    return FLOORS[name.partition(".")[0]] if name else max(FLOORS.values()) + 1


def _load(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))


MODULES = {m.name: m for m in map(_load, sorted(ROOT.rglob("*.py"))) if m.name}
every_module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())


def _for_typing(node: ast.AST) -> TypeIs[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if _for_typing(node):
            for branch in node.orelse:
                yield from (branch, *_run_time_nodes(branch))
        else:
            yield node
            yield from _run_time_nodes(node)


def _targets(module: Module, node: ast.AST) -> Iterator[str]:
    """The modules of this package that one import statement reaches, "" being the package itself."""
    if isinstance(node, ast.Import):
        names = [a.name for a in node.names if a.name.partition(".")[0] == ROOT.name]
    elif isinstance(node, ast.ImportFrom):
        package = [ROOT.name, *module.name.split(".")]
        if module.path.name != "__init__.py":
            package.pop()
        base = package[: len(package) - node.level + 1] if node.level else []
        source = ".".join([*base, *([node.module] if node.module else [])])
        if source.partition(".")[0] != ROOT.name:
            return
        names = [f"{source}.{a.name}" for a in node.names]
    else:
        return
    for name in names:
        first, *inner = name.split(".")[1:] or [""]
        while inner and ".".join([first, *inner]) not in MODULES:
            inner.pop()
        yield ".".join([first, *inner]) if first in FLOORS else ""


@cache
def _imports(module: Module) -> frozenset[str]:
    return frozenset(t for node in _run_time_nodes(module.tree) for t in _targets(module, node)) - {module.name}


def _exports(module: Module) -> list[str] | None:
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def _defined(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.ImportFrom() | ast.Import():
                yield from (a.asname or a.name for a in node.names)


@every_module
def test_has_a_floor(module: Module) -> None:
    assert module.name.partition(".")[0] in FLOORS


@every_module
def test_imports_point_down(module: Module) -> None:
    assert not [t for t in _imports(module) if _floor(t) > _floor(module.name)]


def test_no_cycles() -> None:
    try:
        TopologicalSorter({m.name: _imports(m) - {""} for m in MODULES.values()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_seams() -> None:
    calls = [n for n in ast.walk(MODULES["seams"].tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "_late"]
    assert [ast.literal_eval(call.args[0]) for call in calls] == [
        "openclaw_nb.runtime:configured",
        "openclaw_nb.runtime:local_runtime",
        "openclaw_nb.widgets.stream:show_run",
        "openclaw_nb.widgets.lanes:show_pool",
        "openclaw_nb.node.node:attend",
    ]
    assert _exports(MODULES["seams"]) == ["attend", "configured", "local_runtime", "show_pool", "show_run"]


@every_module
def test_no_hidden_seam(module: Module) -> None:
    """No other module names one of ours in a string, as something to be imported late."""
    strings = (n.value for n in ast.walk(module.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    named = {text for text in strings if text.partition(":")[0].removeprefix(f"{ROOT.name}.") in MODULES}
    assert not {text for text in named if text.startswith(f"{ROOT.name}.")} or module.name == "seams"


@every_module
def test_says_what_lives_there(module: Module) -> None:
    doc = ast.get_docstring(module.tree)
    assert doc, "no docstring"
    first = doc.partition("\n\n")[0]
    assert re.search(r"[.:]$", first.strip()), "the first paragraph is no sentence"


@every_module
def test_exports_are_sorted_and_true(module: Module) -> None:
    exports = _exports(module)
    if exports is None and module.path.name in {"__init__.py", "__main__.py"} and not _public(module):
        return
    assert exports is not None, "no __all__"
    assert exports == sorted(exports, key=_constants_classes_functions)
    assert not set(exports) - set(_defined(module)), "names that are not there"
    assert not _public(module) - set(exports), "public names left out"


def _constants_classes_functions(name: str) -> tuple[int, str]:
    """The order ruff's RUF022 gives a list of exports."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _public(module: Module) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {n.name for n in module.tree.body if isinstance(n, kinds) and not n.name.startswith("_")}


def _home(name: str) -> str:
    return openclaw_nb._HOMES.get(name, "")


@pytest.mark.parametrize("name", openclaw_nb.__all__)
def test_public_names_resolve(name: str) -> None:
    if _home(name) and _home(name) not in MODULES:
        pytest.skip(f"openclaw_nb.{_home(name)} is not written yet")
    value = getattr(openclaw_nb, name)
    assert value is getattr(import_module(f"openclaw_nb.{_home(name)}".rstrip(".")), name)


def test_public_names_agree() -> None:
    """The list, the table and what a type checker reads say the same."""
    tree = _load(ROOT / "__init__.py").tree
    typed = {
        f"{n.module}.{a.name}"
        for block in filter(_for_typing, tree.body)
        for n in ast.walk(block)
        if isinstance(n, ast.ImportFrom) and n.level
        for a in n.names
    }
    assert typed == {f"{home}.{name}" for name, home in openclaw_nb._HOMES.items()}
    here = {"__version__", "load_ipython_extension", "unload_ipython_extension"}
    assert openclaw_nb.__all__ == sorted({*openclaw_nb._HOMES, *here})
    assert set(openclaw_nb.__all__) <= set(dir(openclaw_nb))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = openclaw_nb.Nothing


def test_sizes(note: Callable[[str], None]) -> None:
    rooms = [m for m in MODULES.values() if m.path.name != "__init__.py"]
    lines = {m.name: len(m.path.read_text(encoding="utf-8").splitlines()) for m in rooms}
    longest = max(lines, key=lines.__getitem__)
    note(f"{len(lines)} modules, median {median(lines.values()):.0f} lines, longest {longest} with {lines[longest]}")
    assert lines[longest] <= LONGEST, f"openclaw_nb.{longest}"


@every_module
def test_has_a_test_file(module: Module) -> None:
    package, _, stem = module.name.rpartition(".")
    if module.path.name in {"__init__.py", "__main__.py"}:
        return
    # Where two modules share a name, the file must lie in the folder of its own package.
    folders = {package} if package and stem in MODULES else {package or "tests", "tests", "kernel", "browser"}
    assert [
        path
        for path in TESTS.rglob("test_*.py")
        if (path.name == f"test_{stem}.py" and path.parent.name in folders)
        or path.name == f"test_{module.name.replace('.', '_')}.py"
    ]
