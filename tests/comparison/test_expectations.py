"""How a sentence of ``--expect`` is read, and which arms it names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.comparison.expectations import (
    BETTER,
    EQUIVALENT,
    FASTER,
    RELATIONS,
    STEADIER,
    read_expectation,
    with_arms,
)
from lit_lossopt.core.errors import UserError

FORMS: dict[str, tuple[str, str, str]] = {
    "adam better than sgd": ("adam", BETTER, "sgd"),
    "adam faster than sgd": ("adam", FASTER, "sgd"),
    "adam steadier than sgd": ("adam", STEADIER, "sgd"),
    "adam equivalent to sgd": ("adam", EQUIVALENT, "sgd"),
    "adam equivalent sgd": ("adam", EQUIVALENT, "sgd"),
    "Adam is Faster Than SGD": ("Adam", FASTER, "SGD"),
    "adam IS EQUIVALENT TO sgd": ("adam", EQUIVALENT, "sgd"),
    "  adam   is  better \t than   sgd  ": ("adam", BETTER, "sgd"),
    "Adam lr=0.1 faster than SGD momentum=0.9": ("Adam lr=0.1", FASTER, "SGD momentum=0.9"),
    "this is it is better than that is it": ("this is it", BETTER, "that is it"),
    "Адам better than μ": ("Адам", BETTER, "μ"),
}


@pytest.mark.parametrize("text", FORMS)
def test_a_sentence_is_read_in_its_parts(text: str) -> None:
    found = read_expectation(text)
    assert (found.first, found.relation, found.second) == FORMS[text]
    assert found.text == text.strip()


NAMES = st.text("abcXYZ=.0123 ", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)
SPACES = st.sampled_from([" ", "  ", "\t"])


@given(NAMES, st.sampled_from(RELATIONS), NAMES, st.booleans(), st.booleans(), SPACES)
def test_every_way_to_type_it_is_read_alike(
    first: str, relation: str, second: str, told: bool, loud: bool, space: str
) -> None:
    words = relation.replace(" ", space)
    typed = f"{first}{space}{'is ' * told}{words.upper() if loud else words}{space}{second}"
    found = read_expectation(typed)
    assert (found.first, found.relation, found.second) == (first, relation, second)


@pytest.mark.parametrize(
    "text",
    [
        "adam is not faster than sgd", "adam much faster than sgd", "adam equivalent to",
        "adam equivalent to sgd by 0.01", "adam slower than sgd", "adam faster than sgd and adam better than sgd",
        "", " ", "adam", "adam sgd", "adam beats sgd", "adam better sgd", "adam better then sgd", "adam faster",
        "adam faster than", "better than sgd", " equivalent to sgd", "adamfaster than sgd", "adam faster thansgd",
        "adam fasterthan sgd", "adam equal to sgd",
    ],
)  # fmt: skip
def test_another_form_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        read_expectation(text)


ARMS = ("Adam lr=0.001", "SGD lr=0.1", "SGD lr=0.01", "label smoothing", "no label smoothing", "Big", "big", "ASGD a=1",
        "RMSprop lr=0.2", "RMSprop lr=0.2 centered")  # fmt: skip
NAMED: dict[str, str] = {
    "Adam lr=0.001": "Adam lr=0.001", "adam LR=0.001": "Adam lr=0.001", "adam": "Adam lr=0.001",
    "SGD lr=0.1": "SGD lr=0.1", "sgd  lr=0.01": "SGD lr=0.01", "lr=0.1": "SGD lr=0.1", "lr=0.01 sgd": "SGD lr=0.01",
    "label smoothing": "label smoothing", "Label  Smoothing": "label smoothing", "no smoothing": "no label smoothing",
    "no": "no label smoothing", "Big": "Big", "big": "big", "asgd": "ASGD a=1", "rmsprop": "RMSprop lr=0.2",
    "rmsprop LR=0.2": "RMSprop lr=0.2", "centered": "RMSprop lr=0.2 centered",
    "adam.": "Adam lr=0.001",
}  # fmt: skip


@pytest.mark.parametrize("typed", NAMED)
def test_an_arm_is_named_in_short(typed: str) -> None:
    other = "ASGD a=1" if NAMED[typed] != "ASGD a=1" else "Big"
    for text in (f"{typed} better than {other}", f"{other} better than {typed}"):
        (found,) = with_arms([read_expectation(text)], ARMS)
        assert {found.first, found.second} == {NAMED[typed], other}
        assert (found.first == other) is text.startswith(other)
        assert found.text == text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("sgd", "'sgd' may mean SGD lr=0.1 and SGD lr=0.01; write the whole name of one"),
        ("smoothing", "'smoothing' may mean label smoothing and no label smoothing; write the whole name of one"),
        ("BIG", "'BIG' may mean Big and big; write the whole name of one"),
        ("adan", "no arm 'adan'"), ("lr=0.5", "no arm 'lr=0.5'"), ("sg", "no arm 'sg'"),
        ("labl smoothing", "no arm 'labl smoothing' (did you mean 'label smoothing'?); there are: Adam lr=0.001, SGD"),
        ("asgd", "both arms are ASGD a=1; name two different ones"),
    ],
)  # fmt: skip
def test_a_name_that_means_no_arm_or_several_is_refused_in_one_line(typed: str, said: str) -> None:
    text = f"ASGD a=1 faster than {typed}"
    with pytest.raises(UserError) as error:
        with_arms([read_expectation(text)], ARMS)
    assert str(error.value).startswith(f"--expect {text!r}: {said}")
    assert "\n" not in str(error.value)


@given(st.lists(NAMES, min_size=2, max_size=6, unique_by=str.casefold), st.data())
def test_the_whole_name_always_means_its_arm(arms: list[str], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(arms))[:2]
    (found,) = with_arms([read_expectation(f"{first.swapcase()} better than {second}")], arms)
    assert (found.first, found.second) == (first, second)
