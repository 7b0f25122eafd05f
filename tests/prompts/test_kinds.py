"""That a value is known by its library's types, and no library is imported for it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from openclaw_nb.prompts.kinds import is_a, scalar, shape_of


def test_by_module_and_name() -> None:
    assert is_a(pd.Series([1]), "pandas", "DataFrame", "Series")
    assert not is_a(pd.Series([1]), "pandas", "DataFrame")
    assert not is_a([1], "pandas", "no such name", "__version__")
    assert not is_a([1], "no.such.module", "list")


def test_nothing_is_imported() -> None:
    code = (
        "import sys; from openclaw_nb.prompts import fill; fill('{x} {y}', {'x': [1], 'y': 'text'}); "
        "print({'PIL', 'matplotlib', 'pandas', 'numpy', 'IPython'} & {name.partition('.')[0] for name in sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(("value", "number"), [(np.float64(1.5), 1.5), (np.int8(3), 3), (np.bool_(True), True)])
def test_a_numpy_scalar_is_its_number(value: object, number: object) -> None:
    assert scalar(value) == number
    assert type(scalar(value)) is type(number)


def test_what_is_no_number_stays() -> None:
    for value in (np.datetime64("2026-01-01"), "x", [1], None):
        assert scalar(value) is value


def test_shapes() -> None:
    assert shape_of(np.zeros((3, 4))) == "3x4"
    assert shape_of(pd.DataFrame({"a": [1, 2]})) == "2x1"
    assert shape_of([1]) == shape_of(type("Odd", (), {"shape": ("a", 1)})()) == ""
