"""options: every option is read, and every mistake gets one sentence that says what would be right."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.options import LIMITS, OPTIONS, CellOptions, parse, read, title, whole
from openclaw_nb.pool import ThreadPool


def test_nothing_chosen() -> None:
    assert parse("") == CellOptions()


def test_all_of_them() -> None:
    line = "--level 3 --model m --to agent://local --session 'a b' --into x --budget 0.5 --timeout=2 --bg --plain"
    assert parse(line) == CellOptions(3, None, "m", "agent://local", "a b", "x", 0.5, 2.0, True, True)
    assert parse("--complexity complex_task") == CellOptions(complexity="complex_task")
    line = "--from before --busy branch --vars 'a, b,a'"
    assert parse(line) == CellOptions(base="before", busy="branch", vars=("a", "b"))
    assert parse("--as 'City | None'") == CellOptions(output="City | None")
    line = "--agents 'coder, tester,coder' --mode pipeline --pool 4"
    assert parse(line) == CellOptions(agents=("coder", "tester", "coder"), mode="pipeline", pool=4)


@pytest.mark.parametrize(("text", "level"), [("auto", "auto"), ("1", 1), ("deep", 3), ("'4 ultra'", 4)])
def test_levels(text: str, level: object) -> None:
    assert parse(f"--level {text}").level == level


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--levl 3", "did you mean --level?"),
        ("--nothing-like-it", "there is no option --nothing-like-it"),
        ("--level", "--level needs a value: --level auto|1-4"),
        ("--level --bg", "--level needs a value"),
        ("--level 5", "--level: level '5' is not one of 1, 2, 3, 4 or auto"),
        ("--bg=yes", "--bg takes no value"),
        ("--into 2x", "'2x' is no name for a variable"),
        ("--into class", "'class' is no name for a variable"),
        ("--timeout -1", "'-1' is not a number above 0"),
        ("--timeout nan", "is not a number above 0"),
        ("--budget inf", "is not a number above 0"),
        ("--to http://x", "is no address of an agent"),
        ("--to ws://1.2.3.4:5", "would send the token in clear"),
        ("--session ''", "1 to 100 printable characters"),
        ("--busy later", "--busy: 'later' is neither wait nor branch"),
        ("--vars a,,b", "'' is no name for a variable"),
        ("--vars a,_b", "--vars: '_b' is private by its underscore"),
        ("--from ' '", "1 to 100 printable characters"),
        ("--from", "--from needs a value: --from SNAPSHOT"),
        ("--agents coder,", "--agents: '' is no agent's name; write them without spaces, as in coder,tester,reviewer"),
        ("--agents a:b", "'a:b' is no agent's name"),
        ("--mode serial", "--mode: 'serial' is neither parallel nor pipeline"),
        ("--pool 0", "--pool: '0' is not a whole number from 1 to 1,000"),
        ("--pool ٣", "'٣' is not a whole number"),
        ("what is this", "'what' is no option; the prompt goes on the lines below"),
        ("--model 'open", "the line cannot be read: no closing quotation"),
    ],
)
def test_mistakes(line: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(line)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commands_take_options_among_other_words() -> None:
    assert read(["a", "--mb", "5", "b", "--days=2"], LIMITS) == ({"mb": 5.0, "days": 2.0}, ["a", "b"])
    with pytest.raises(ConfigError, match=r"there is no option --day; did you mean --days\?"):
        read(["--day", "3"], LIMITS)


def test_a_pool_takes_every_size_that_can_be_written() -> None:
    for size in ("1", "1000"):
        with ThreadPool(whole(size), whole(size)) as pool:
            assert pool.max_threads == int(size)
    for size in ("0", "1001", "1000000000", "-1", "1.0", ""):
        with pytest.raises(ConfigError, match="is not a whole number from 1 to 1,000"):
            whole(size)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "\u202e", "\ud800", "x" * 101])
def test_names_that_cannot_be_shown(name: str) -> None:
    with pytest.raises(ConfigError, match="a snapshot's name has 1 to 100 printable characters"):
        title(name, "snapshot")


def test_every_option_says_what_it_does() -> None:
    assert all(option.help and bool(option.value) == (option.read is not None) for option in OPTIONS.values())
