"""A review by reading: what Python's own parser sees in a program and in its tests, without running either."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .handed import Handed, syntax

__all__ = ["Reading", "read"]

MOST_FUNCTIONS = 20  # that are looked at
LONGEST_FUNCTION = 40  # lines; a longer one does more than one thing

_SNAKE = re.compile(r"_*[a-z][a-z0-9_]*\Z")
_NOT_TYPED = {"self", "cls"}
_DANGEROUS = {"eval", "exec"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Reading:
    """What is ``wrong``, the worst first, and what was ``seen`` to be right; each a sentence without its full stop."""

    wrong: tuple[str, ...]
    seen: tuple[str, ...]


def read(handed: Handed) -> Reading:
    """The review of a program, of its tests and of what pytest said. It never raises, whatever the code is."""
    tree = syntax(handed.code)
    if isinstance(tree, SyntaxError):
        where = f" in line {tree.lineno}" if tree.lineno else ""
        return Reading((f"the code is no Python{where}: {tree.msg}",), ())
    functions = [one for one in _functions(tree) if not one.name.startswith("_")][:MOST_FUNCTIONS]
    wrong, seen = _run(handed)
    wrong += _dangers(tree)
    for found in (_covered(tree, functions, handed.tests), _written(functions)):
        wrong += found.wrong
        seen += found.seen
    return Reading(tuple(dict.fromkeys(wrong)), tuple(seen))


def _run(handed: Handed) -> tuple[list[str], list[str]]:
    """What is known of the tests' run."""
    outcome = handed.outcome
    if outcome is None:
        return ["nobody shows what pytest said, so nothing is known to work"], []
    if outcome.passed:
        return [], [f"pytest said: {outcome.counts}"]
    names = ", ".join(f"`{failure.name}`" for failure in outcome.failures)
    return [f"pytest said: {outcome.counts}{f'; look at {names}' if names else ''}"], []


def _dangers(tree: ast.Module) -> list[str]:
    """What hides errors, or runs where it should not."""
    wrong = []
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=None):
                wrong.append(f"line {node.lineno} catches everything, a stop by the user included; name the error")
            case ast.ExceptHandler(body=[ast.Pass()]):
                wrong.append(f"line {node.lineno} swallows an error; let it rise, or say what it means")
            case ast.Call(func=ast.Name(id=name)) if name in _DANGEROUS:
                wrong.append(f"line {node.lineno} runs text as code by `{name}`")
            case ast.FunctionDef() | ast.AsyncFunctionDef() if _shared_default(node):
                wrong.append(f"a default of `{node.name}` is shared by all its calls; take None")
    wrong += [
        f"line {node.lineno} runs when the module is imported"
        for node in tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    return wrong


def _shared_default(function: Function) -> bool:
    defaults = (*function.args.defaults, *filter(None, function.args.kw_defaults))
    return any(isinstance(default, ast.List | ast.Dict | ast.Set) for default in defaults)


# -- the tests -----------------------------------------------------------------------------------


def _covered(tree: ast.Module, functions: Sequence[Function], tests: str) -> Reading:
    """What the tests touch of the program."""
    parsed = syntax(tests)
    cases = [] if isinstance(parsed, SyntaxError) else [f for f in _functions(parsed) if f.name.startswith("test")]
    if isinstance(parsed, SyntaxError) or not cases:
        return Reading(("there are no tests",), ())
    calls = [node for node in ast.walk(parsed) if isinstance(node, ast.Call)]
    called = {_name(call.func) for call in calls}
    missed = [one.name for one in functions if one.name not in called]
    wrong = [f"no test calls `{name}`" for name in missed]
    checks = sum(isinstance(node, ast.Assert) for node in ast.walk(parsed)) + len(list(_expected(calls)))
    idle = [case.name for case in cases if not _checks(case)]
    wrong += [f"`{name}` checks nothing" for name in idle]
    touched = [one.name for one in functions if one.name in called]
    ours = [call for call in calls if _name(call.func) in touched]
    raised, expected = set(_raised(tree)), set(_expected(calls))
    wrong += [f"no test expects the `{name}` that it raises" for name in sorted(raised - expected)]
    edge = any(_is_empty(node) for node in _inputs(parsed, ours))
    wrong += ["no test passes in anything empty, or 0"] if touched and not edge else []
    what = f"{_count(len(cases), 'test')} with {_count(checks, 'check')} call {_listed(touched)}"
    seen = [f"{what}{', also with something empty, or 0' if edge else ''}"] if touched else []
    seen += [f"the `{name}` that it raises is expected by a test" for name in sorted(raised & expected)]
    return Reading(tuple(wrong), tuple(seen))


def _inputs(tree: ast.Module, calls: Sequence[ast.Call]) -> Iterator[ast.AST]:
    """What the calls are given, and what tests are parametrized with."""
    for call in calls:
        for given in (*call.args, *(word.value for word in call.keywords)):
            yield from ast.walk(given)
    for case in _functions(tree):
        for decorator in case.decorator_list:
            yield from ast.walk(decorator)


def _is_empty(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return value is not False and not value
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return True
    return False


def _checks(case: Function) -> bool:
    return any(isinstance(node, ast.Assert | ast.With | ast.AsyncWith) for node in ast.walk(case))


def _raised(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            name = _name(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            if name[:1].isupper():
                yield name


def _expected(calls: Sequence[ast.Call]) -> Iterator[str]:
    """The errors that tests wait for, by pytest.raises."""
    for call in calls:
        if _name(call.func) in ("raises", "assertRaises") and call.args:
            kinds = call.args[0].elts if isinstance(call.args[0], ast.Tuple) else call.args[:1]
            yield from map(_name, kinds)


# -- how it is written ---------------------------------------------------------------------------


def _written(functions: Sequence[Function]) -> Reading:
    """Docstrings, types and names of what a user calls."""
    wrong, good = [], []
    for one in functions:
        arguments = [*one.args.posonlyargs, *one.args.args, *one.args.kwonlyargs]
        untyped = [a.arg for a in arguments if a.annotation is None and a.arg not in _NOT_TYPED]
        mine = [] if ast.get_docstring(one) else [f"`{one.name}` has no docstring"]
        mine += [f"`{name}` of `{one.name}` has no type" for name in untyped]
        mine += [] if one.returns is not None else [f"`{one.name}` does not say what type it gives"]
        mine += [] if _SNAKE.match(one.name) else [f"`{one.name}` is not in snake_case"]
        mine += [f"`{a.arg}` of `{one.name}` hides Python's own" for a in arguments if hasattr(builtins, a.arg)]
        lines = (one.end_lineno or one.lineno) - one.lineno + 1
        mine += [f"`{one.name}` has {lines} lines; make two of it"] if lines > LONGEST_FUNCTION else []
        wrong += mine
        good += [] if mine else [one.name]
    seen = [f"{_listed(good)} {'has' if len(good) == 1 else 'have'} a docstring, and types throughout"] if good else []
    return Reading(tuple(wrong), tuple(seen))


def _functions(tree: ast.Module) -> Iterator[Function]:
    """Those of a module and of its classes, in order."""
    for node in tree.body:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                yield one


def _name(node: ast.AST) -> str:
    """The last part of a dotted name; "" for any other expression."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _listed(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
