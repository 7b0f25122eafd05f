"""The programs known by heart: each stands its own tests, and these find what is wrong with it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw_nb.models.coding import known_tests
from openclaw_nb.models.handed import Handed, outcome_of
from openclaw_nb.models.programs import PROGRAMS, Program, find_program
from openclaw_nb.models.question import Question
from openclaw_nb.models.reviewing import read

BROKEN = {
    "slugify": [
        ("NFKD", "NFC"),
        (".lower()", ""),
        ('"-".join', '"_".join'),
        ("a-z0-9", "a-z"),
        ('[a-z0-9]+"', '[a-z0-9]"'),
    ],
    "fizzbuzz": [
        ("n % 3", "n % 4"),
        ("n % 5", "n % 6"),
        ("last + 1", "last"),
        ("last < 0", "last < -1"),
        ("or str(n)", ""),
    ],
    "to_roman": [
        ("4: ", "5: "),
        ("3999:", "4000:"),
        ("1 <=", "0 <="),
        ("letters * count", "letters"),
        ('900: "CM", ', ""),
    ],
    "moving_average": [
        ("window < 1", "window < 0"),
        ("/ window", "/ 2"),
        ("+ 1)", "+ 0)"),
        ("range(len", "range(1, len"),
        ("start + window", "window"),
    ],
    "parse_duration": [
        ("* 24", "* 20"),
        ("* 60 +", "* 6 +"),
        (".strip()", ""),
        ("not any(match.groups())", "False"),
        ("fullmatch", "match"),
    ],
    "fibonacci": [
        ("0, 1", "1, 1"),
        ("count < 0", "count < -1"),
        ("range(count)", "range(count + 1)"),
        ("current + following", "current + 1"),
    ],
}

every_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.function)


def the_tests(program: Program) -> str:
    return known_tests(Question(f"implement {program.name}"), Handed(), program.function)


def pytest_says(folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, env=environment).stdout


def test_all_stand_their_tests(tmp_path: Path) -> None:
    for program in PROGRAMS:
        (tmp_path / f"{program.function}.py").write_text(program.code, encoding="utf-8")
        (tmp_path / f"test_{program.function}.py").write_text(the_tests(program), encoding="utf-8")
    said = pytest_says(tmp_path)
    outcome = outcome_of(said)
    assert outcome is not None, said
    assert outcome.passed, said
    assert outcome.failures == ()


def test_their_tests_find_every_error(tmp_path: Path) -> None:
    """One test file per broken program, in one run of pytest: each has to fail."""
    names = set()
    for program in PROGRAMS:
        for at, (right, wrong) in enumerate(BROKEN[program.function]):
            assert right in program.code, (program.function, right)
            name = f"{program.function}_{at}"
            names.add(f"test_{name}.py")
            (tmp_path / f"{name}.py").write_text(program.code.replace(right, wrong), encoding="utf-8")
            text = known_tests(Question(f"implement {program.name}"), Handed(), name)
            (tmp_path / f"test_{name}.py").write_text(text, encoding="utf-8")
    said = pytest_says(tmp_path)
    failed = {line.split("::")[0].split()[-1] for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))}
    assert failed == names, said


@every_program
def test_the_review_finds_nothing_wrong(program: Program) -> None:
    counts = outcome_of("4 passed in 0.1s")
    reading = read(Handed(program.code, "coder", the_tests(program), "tester", counts))
    assert reading.wrong == ()
    assert len(reading.seen) >= 3


@every_program
def test_is_found_by_its_name(program: Program) -> None:
    for task in (f"implement {program.name}", f"Write a function for {program.name.upper()}, with tests."):
        assert find_program(task) is program
    defined = [node.name for node in ast.parse(program.code).body if isinstance(node, ast.FunctionDef)]
    assert defined == [program.function]


@pytest.mark.parametrize(
    ("task", "function"),
    [
        ("implement a rolling mean", "moving_average"),
        ("parse durations like 2h", "parse_duration"),
        ("fizz buzz", "fizzbuzz"),
        ("implement fibonacci, then slugify", "fibonacci"),
        ("implement slugs", "slugify"),
        ("a roman holiday", "to_roman"),
        ("implement feature X", None),
        ("the average slugger", None),
        ("", None),
    ],
)
def test_which_program(task: str, function: str | None) -> None:
    program = find_program(task)
    assert (program.function if program else None) == function
