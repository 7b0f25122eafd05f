"""`{fig}` and `--as` in real kernels: a figure goes to the model, a class is what the answer's value is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import INSTALLED, Kernel, environment
from .test_commands_completion import complete
from .test_commands_sessions import refused, say

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

BEGIN = """
import asyncio, dataclasses
import matplotlib.pyplot as plt
import PIL.Image
from pydantic import BaseModel
%load_ext openclaw_nb

class City(BaseModel):
    name: str
    population: int

@dataclasses.dataclass
class Part:
    area: float

class Plain:
    pass

last = 119

async def slow(prompt):
    for number in range(120):
        while number > last:
            await asyncio.sleep(0.01)
        yield f"{number} "
        await asyncio.sleep(0.01)

async def numbers(prompt):
    yield "0 1 2"

fig, axes = plt.subplots()
axes.plot([1, 3, 2])
plt.close(fig)
"""


@pytest.fixture(autouse=True)
def begun(kernel: Kernel) -> None:
    say(kernel, BEGIN)


def test_a_figure_goes_to_the_model_and_nowhere_else(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw\nDescribe {fig} and {axes}")
    size = kernel.run(
        "from openclaw_nb.prompts.images import image_of, seen\n"
        "print(*seen(image_of('fig', fig))[1:], sep=' × ', end='')"
    ).text
    said = reply.text.replace("**", "")
    assert f"`fig` is an image of {size} pixels (Figure). I cannot look at pictures." in said
    assert f"`axes` is an image of {size} pixels (Axes)." in said
    assert "iVBORw0KGgo" not in json.dumps([message["content"] for message in reply.messages])
    kept = kernel.run(
        "messages = get_ipython()._openclaw_nb.notebook.runtime.memory.head('main').state['messages']\n"
        "print([(image['name'], image['mime'], len(image['data']) > 1_000) for image in messages[0]['images']])"
    )
    assert kept.text == "[('fig', 'image/png', True), ('axes', 'image/png', True)]\n"


def test_too_many_images_are_refused_in_a_sentence(kernel: Kernel) -> None:
    kernel.run("x0 = x1 = x2 = x3 = x4 = x5 = x6 = x7 = x8 = PIL.Image.new('L', (2, 2))")
    cell = "%%openclaw\n" + " ".join(f"{{x{at}}}" for at in range(9))
    assert refused(kernel.run(cell)) == "a prompt holds 8 images, and x8 is one more"


def test_a_value_of_a_class_of_the_notebook(kernel: Kernel) -> None:
    kernel.run("data = {'name': 'Ulm', 'population': 126_000}")
    reply = kernel.run("%%openclaw --as City --into city\nWhich city is {data}?")
    assert reply.status == "ok", reply.content
    html = next(shown["text/html"] for shown in reply.displays() if "text/html" in shown)
    assert 'class="language-json"' in html
    assert kernel.run("print(repr(city.value), city.output, isinstance(city, str))").text == (
        "City(name='Ulm', population=126000) City True\n"
    )
    kernel.run("%%openclaw --as 'list[int]' --into numbers\nwhat is 6*7? what is 2+2?")
    assert kernel.run("print(numbers.value, numbers)").text == '[42, 4] {"result": [42, 4]}\n'


def test_an_answer_that_does_not_fit_ends_in_a_sentence(kernel: Kernel) -> None:
    words = refused(kernel.run("%%openclaw --as City --model numbers --into wrong\ngo"))
    assert words == "the answer does not fit City: it is no JSON: Extra data: line 1 column 3 (char 2)"
    assert kernel.run("print(wrong, wrong.value)").text == "0 1 2 None\n"


@pytest.mark.parametrize(
    ("type", "words"),
    [
        ("Citi", "there is no type Citi; did you mean City?"),
        ("fig", "fig is no type but Figure"),
        ("print()", "print() names no type; write City, list[City] or City | None"),
        ("Plain", "Plain cannot be asked for, JSON cannot hold it: "),
    ],
)
def test_what_is_no_type(kernel: Kernel, type: str, words: str) -> None:
    assert refused(kernel.run(f"%%openclaw --as {type}\ngo")).startswith(words)


def test_classes_are_offered(kernel: Kernel) -> None:
    assert complete(kernel, "%%openclaw --as ") == ["City", "Part"]
    assert complete(kernel, "%%openclaw --as Ci") == ["City"]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The folder of a kernel that was killed in mid-answer."""
    kernel = Kernel(INSTALLED, environment(tmp_path), tmp_path)
    say(kernel, BEGIN)
    say(kernel, "last = 60")
    say(kernel, "%%openclaw --model slow --bg --into asked\nlook at {fig}")
    say(kernel, "import time\nwhile ' 59 ' not in asked.text: time.sleep(0.02)")
    kernel.kill()
    return tmp_path


def test_restored_with_its_images(kernel: Kernel, killed: Path) -> None:
    again = Kernel(INSTALLED, environment(killed), killed)
    try:
        say(again, BEGIN)
        reply = say(again, "%openclaw restore")
        assert "119" in reply
        kept = again.run(
            "messages = get_ipython()._openclaw_nb.notebook.runtime.memory.head('main').state['messages']\n"
            "print(len(messages), [image['name'] for image in messages[0]['images']], messages[1]['content'][-4:])"
        )
        assert kept.text == "2 ['fig'] 119 \n"
    finally:
        again.close()
