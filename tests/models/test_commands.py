"""What the offline model says about the package's own commands and about itself."""

from __future__ import annotations

import re

import pytest

from openclaw_nb import commands, options
from openclaw_nb.models.commands import HOW_TO, OPTIONS, SUBCOMMANDS
from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer


def ask(text: str) -> str:
    return answer(Question(text)).text


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option(name: str) -> None:
    usage, meaning = OPTIONS[name]
    assert ask(f"what does --{name} do?") == f"`{usage}`: {meaning}."


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand(name: str) -> None:
    usage, meaning = SUBCOMMANDS[name]
    assert ask(f"What is `%openclaw {name}`?") == f"`%openclaw {usage}`: {meaning}."


def test_the_tables_name_what_there_is() -> None:
    assert {f"--{name}" for name in OPTIONS} == set(options.OPTIONS)
    assert set(SUBCOMMANDS) == set(commands.COMMANDS)


def test_an_option_that_is_not_there() -> None:
    assert ask("what does --turbo do?") == "`%%openclaw` has no option `--turbo`."


def test_all_of_them() -> None:
    text = ask("what commands are there?")
    assert all(f"`%openclaw {name}" in text for name in SUBCOMMANDS)
    assert "`--level auto\\|1-4`" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("how do I stop?", "**Stop**"),
        ("How can I cancel a run?", "interrupt the kernel"),
        ("how do I use a variable?", "in braces"),
        ("how to put a dataframe into the prompt", "in braces"),
        ("how do I save the answer?", "--into VAR"),
        ("how do I run it in the background?", "--bg"),
        ("how do I start a new session", "--session S"),
        ("how do I go back to an earlier snapshot?", "%openclaw restore NAME"),
        ("how do I use several agents?", "--agents coder,tester,reviewer"),
        ("how can I have agents in a pipeline", "--mode pipeline"),
        ("how can I think deeper", "--level"),
        ("how do I set a budget?", "--budget USD"),
        ("how do I use another model?", "%openclaw model openai-chat:NAME"),
        ("how do I connect?", "%openclaw connect ws://"),
        ("how do I connect a cluster of gateways?", "%openclaw config FILE"),
        ("how do I read a configuration file?", "openclaw-nb config check FILE"),
    ],
)
def test_how_to(text: str, words: str) -> None:
    assert words in ask(text)


@pytest.mark.parametrize(
    "text", ["how do I merge two dataframes?", "how do I find clusters in it?", "how do I stop pandas truncating?"]
)
def test_questions_about_other_things(text: str) -> None:
    assert "I cannot answer this" in ask(text)


@pytest.mark.parametrize(
    "text", ["who are you?", "Hello!", "help", "are you ChatGPT?", "what can you do", "which model are you"]
)
def test_it_says_what_it_is(text: str) -> None:
    assert "I am not a language model" in ask(text)


def test_texts_name_only_commands_that_exist() -> None:

    texts = [text for _, text in HOW_TO] + [ask("who are you?"), ask("write a poem")]
    for text in texts:
        assert set(re.findall(r"%openclaw ([a-z]+)", text)) <= set(SUBCOMMANDS)
        assert set(re.findall(r"--([a-z]+)", text)) <= set(OPTIONS)
