"""How a conversation becomes a question."""

from __future__ import annotations

import PIL.Image

from openclaw_nb.models.base import Message
from openclaw_nb.models.question import Question
from openclaw_nb.prompts import Data, Prompt, fill, with_part
from openclaw_nb.prompts.images import image_of


def said(*texts: str) -> list[Message]:
    return [Message(role="assistant" if at % 2 else "user", content=text) for at, text in enumerate(texts)]


def test_data_is_taken_out_of_the_words() -> None:
    question = Question.of(said(str(fill("what is {x}?", {"x": [1, 2]}))))
    assert question.text == "what is `x`?"
    assert [data.body for data in question.data] == ["[1, 2]"]


def test_an_image_without_a_block_is_data_too() -> None:
    prompt = fill("what is {x}?", {"x": PIL.Image.new("L", (4, 3))})
    image = image_of("image2", PIL.Image.new("L", (5, 6)))
    assert image is not None
    question = Question.of([{"role": "user", "content": str(prompt), "images": [*prompt.images, image]}])
    assert question.data == (Data("x", "Image", "4x3", "(image 1)"), Data("image2", "image", "5x6", "(image 2)"))


def test_history_is_what_came_before() -> None:
    question = Question.of(said(str(fill("first {x}", {"x": "secret"})), "answer", "second"))
    assert question.text == "second"
    assert question.asked == ["first `x`"]
    assert len(question.history) == 2


def test_no_messages_is_an_empty_question() -> None:
    assert Question.of([]) == Question("")


def test_sentences() -> None:
    assert Question("What is 3.5 + 1? Thanks!\nBye; now").sentences == ["What is 3.5 + 1?", "Thanks!", "Bye;", "now"]
    assert Question("explain\n```python\ncount to 5\n```\nplease").sentences == ["explain", "please"]
    assert Question("a\n```\nnever closed").sentences == ["a"]
    assert len(Question("x\n" * 10_000).sentences) == 8


def test_an_agents_part_may_come_with_the_message() -> None:
    """Where its gateway can be told of it only there."""
    data = Data("coder", "answer", "3", "abc")
    before: Message = {"role": "user", "content": with_part("You test.", "What is 1+1?")}
    message: Message = {"role": "user", "content": str(Prompt(with_part("You test.", "What is 2+2?"), (data,)))}
    question = Question.of([before, message])
    assert (question.instructions, question.text, question.data) == ("You test.", "What is 2+2?", (data,))
    assert question.asked == ["What is 1+1?"]
    assert Question.of([message], instructions="You review.").instructions == "You review."
