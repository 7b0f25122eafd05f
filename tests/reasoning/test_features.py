"""What is counted in a task's text: what it asks for, in five languages, and none of what is only pasted or polite."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.prompts import fill
from openclaw_nb.reasoning.features import GROUPS, HIGHEST, KINDS, NAMES, describe, extract

texts = st.text(st.characters(), max_size=400) | st.lists(
    st.sampled_from(
        [*"$\\{}()[]\"'`\n\t ?!.,。「“„«|", "```", "[asy]", "$x^2$", "12", "prove", "證明", "\ud800", "\u202e"]
    )
).map("".join)

SUM = (
    "Lena has to build 12 shelves and to write a letter to each of her 3 customers. She plans to fix 4 of the shelves"
    " and to sell them for $30 each. How much does she get?"
)


def test_three_groups_of_names() -> None:
    """The document's three, and no name is in two of them."""
    assert list(GROUPS) == ["task_complexity", "query_length", "domain"]
    assert len(set(NAMES)) == len(NAMES) == sum(map(len, GROUPS.values()))
    assert set(NAMES) >= KINDS


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_told(name: str) -> None:
    told = describe(name, 50)
    assert told == told.strip() != ""
    assert "{" not in told


@given(texts)
def test_any_text_has_features(text: str) -> None:
    features = extract(text)
    assert set(features) <= set(NAMES)
    assert all(type(count) is int and 1 <= count <= HIGHEST for count in features.values())


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\ud800\udfff", "مرحبا بالعالم", "\u202eevorp", "\0" * 1_000, "a" * 1_000_000, "證明" * 500_000],
    ids=["empty", "blank", "surrogates", "RTL", "turned", "zeros", "1 MB", "1 MB of Chinese"],
)
def test_odd_texts(text: str) -> None:
    assert set(extract(text)) <= set(NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Prove that there are infinitely many primes.", {"proof": 1, "abstract maths": 1}),
        ("Please derive the gradient.", {"derivation": 1}),
        ("Compare the two, explain why one is better.", {"comparison": 1, "explanation": 1, "why": 1}),
        ("Design a scheduler that must run without root.", {"design": 1, "system": 1, "constraints": 2}),
        ("Debug this script.", {"debugging": 1, "about programming": 1}),
        ("Who wrote Faust?", {"fact": 1, "questions": 1, "words": 3}),
        ("hello there", {"small talk": 1}),
        ("What is 12 * 7?", {"arithmetic": 1, "numbers": 2}),
        ("How many miles are 5 km?", {"conversion": 1, "quantity": 1}),
        ("how do you say bread in polish", {"translation": 1}),
        ("What does the word entropy mean?", {"definition": 1}),
        ("If it rains, unless it is cold, stop; otherwise go.", {"conditions": 3}),
        ("Think hard, step by step.", {"depth": 2}),
        ("Answer briefly.", {"brevity": 1}),
        ("Find $\\frac{\\sqrt{a + b}}{c}$.", {"formulas": 1, "notation": 2, "nesting": 1, "letters": 3}),
        ("Plan a trip:\n- flights\n- hotels\n- a budget", {"planning": 2, "items": 3}),
        ("Write a Rust compiler", {"system": 1, "writing": 1}),
    ],
)  # fmt: skip
def test_what_is_counted(text: str, expected: dict[str, int]) -> None:
    features = extract(text)
    assert {name: features.get(name, 0) for name in expected} == expected


@pytest.mark.parametrize(
    ("ask", "texts"),
    [
        ("proof", ["Prove it.", "Beweise es.", "Demuestra esto.", "Démontre ceci.", "證明它", "证明它"]),
        ("why", ["Why?", "Warum?", "¿Por qué?", "Pourquoi ?", "為什麼？", "为什么？"]),
        (
            "comparison",
            ["Compare it.", "Vergleiche sie.", "Compara los dos.", "Comparez-les.", "比較它們", "比较它们"],
        ),
        ("design", ["Design one.", "Entwirf eins.", "Diseña uno.", "Conçois-en un.", "設計一個", "设计一个"]),
        ("translation", ["Translate it.", "Übersetze es.", "Traduce esto.", "Traduis ceci.", "翻譯它", "翻译它"]),
        ("fact", ["Who is it?", "Wer ist es?", "¿Quién es?", "Qui est-ce ?", "誰？", "谁？"]),
    ],
)
def test_languages(ask: str, texts: list[str]) -> None:
    assert [text for text in texts if not extract(text).get(ask)] == []


@pytest.mark.parametrize(
    "text",
    ["Who proved Fermat's last theorem?", "What does the word proof mean?", "Prove that you are a person."],
)
def test_a_proof_that_is_only_mentioned(text: str) -> None:
    assert "proof" not in extract(text)


def test_verbs_in_a_sum_are_what_people_in_it_do() -> None:
    features = extract(SUM)
    assert features["story"]
    assert not {"design", "writing", "debugging", "planning", "request"} & features.keys()


@pytest.mark.parametrize(
    ("aside", "name"),
    [
        ('"Prove that the moon is made of cheese, and compare three kinds of it."', "quotation"),
        ("„Beweise, dass der Mond aus Käse besteht, und vergleiche drei Sorten.“", "quotation"),
        ("```python\nfor x in proofs:\n    prove(x)  # why? compare 3 of 4\n```", "code"),
        ("[asy]\ndraw((0,0)--(cos(13),sin(36)), linewidth(1));\n[/asy]", "figure"),
    ],
)
def test_what_is_pasted_is_set_aside(aside: str, name: str) -> None:
    assert extract(f"Shorten this: {aside}") == extract("Shorten this: ") | {name: 1}


@pytest.mark.parametrize("value", ["Prove that P is not NP, or else compare 12 of them. " * 300, list(range(500)), {}])
def test_values_of_the_notebook_are_set_aside(value: Any) -> None:
    """What `fill` puts after a question counts as so many values, whatever stands in it."""
    filled = str(fill("Describe {one} and {two}.", {"one": [value], "two": [value, value]}))
    assert extract(filled) == extract("Describe `one` and `two`.") | {"data": 2}


@pytest.mark.parametrize("text", ["Compare the two plans.", "Who wrote Faust?", SUM])
@pytest.mark.parametrize("polite", ["{} Thank you!", "Hello! {}", "Please: {} Thanks a lot in advance!", "{} Merci !"])
def test_politeness_is_set_aside(text: str, polite: str) -> None:
    features, plain = extract(polite.format(text)), extract(text)
    assert features == plain


@pytest.mark.parametrize("text", ["Compare the two plans, and prove it.", "who wrote faust?", SUM, "Vergleiche beide."])
def test_case_and_spaces_say_nothing(text: str) -> None:
    plain = extract(text)
    assert extract(text.upper()) == extract(text.lower()) == plain
    assert extract(f"  \n{text.replace(' ', '   ')}\t\n\n") == plain


def test_of_a_long_text_its_beginning_and_its_end_are_looked_at() -> None:
    features = extract("Prove this. " + "The sea was calm and the sky was blue. " * 5_000 + "Compare both proofs.")
    assert features["proof"] == features["comparison"] == 1
    assert features["words"] < 400


def test_one_is_told_as_one() -> None:
    told = {count: describe("relations", count) for count in (1, 2)}
    assert told == {1: "", 2: "2 relations between quantities"}
    assert describe("words", 12) == ""
    assert describe("words", 60) == "60 words"
