from __future__ import annotations

import math
import random
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lit_lossopt.config.strict_yaml import dump_yaml, first_not_finite, load_config, load_strict, load_value
from lit_lossopt.core.errors import UserError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    "duplicate key": (b"a: 1\nb: 2\na: 3\n", r"line 3: key a stands twice \(first in line 1\)"),
    "nested duplicate key": (b"m:\n  lr: 1\n  lr: 2\n", "line 3: key m.lr stands twice"),
    "alias bomb": (BOMB.encode(), "unfold into more than"),
    "alias to itself": (b"a: &a [*a]\n", "refers to itself"),
    "3000 deep": (b"[" * 3000 + b"]" * 3000, "nested deeper than"),
    "3000 deep, unclosed": (b"{a: " * 3000, "nested deeper than"),
    "many values": (b"a: [" + b"1, " * 20_000 + b"1]", "at most 10,000 values"),
    "binary": (bytes(range(256)), "not a text file"),
    "NUL": (b"a: \x00", "not a text file"),
    "large": (b"# " + b"x" * 2_000_000, "at most 1,000,000 bytes, and this has 2,000,002"),
    "a list": (b"- a\n- b\n", "a config is a mapping"),
    "a number": (b"3", "a config is a mapping"),
    "bad indentation": (b"a:\n  b: 1\n c: 2\n", "line 3: not valid YAML"),
    "unclosed": (b"a: [1, 2", "not valid YAML"),
    "python object": (b"a: !!python/object/apply:os.system ['true']", "not valid YAML"),
    "a list as key": (b"[1, 2]: 3", "a key must be a word, not a sequence"),
    "a number as key": (b"a: {1.5: 2}", "a key must be a word, not 1.5"),
    "a truth value as key": (b"true: 2", "a key must be a word, not true"),
    "a whole number as key, and as text": (b"a: {1: 2, '1': 3}", "key a.1 stands twice"),
    "half a letter": (b'a: "\\ud800"', "not valid YAML"),
    "two documents": (b"a: 1\n---\nb: 2\n", "not valid YAML"),
}
REFUSED["3000 deep, block"] = (("\n".join(f"{' ' * i}a:" for i in range(900))).encode(), "nested deeper than")


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_config(path, "bad.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("bad.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1e5", 1e5), ("-2.5E+3", -2500.0), (".5", 0.5), ("5.", 5.0), ("12", 12), ("true", True),
        ("null", None), ("1_000", 1000), ("010", 10), ("0x1f", 31), ("1:30", "1:30"), ("no", "no"),
        ("on", "on"), ("sgd", "sgd"), ("[1e-3, a]", [0.001, "a"]), ("2026-01-01", "2026-01-01"),
        ("e3", "e3"), ("1e", "1e"), ("", None), ("~", None), ("off", "off"), ("0b11", "0b11"), ("0o17", 15), ("=", "="),
        ("inf", "inf"), (".inf", math.inf), ("'0.1'", "0.1"), ('"\\ud83d\\ude00"', "😀"),
        ("{0: 1, 3: 2}", {"0": 1, "3": 2}),
    ],
)  # fmt: skip
def test_values_are_read_as_yaml_1_2(text: str, value: object) -> None:
    assert load_strict(text, "x") == value
    assert type(load_strict(text, "x")) is type(value)


# What another set of rules would read as a number, a date or nothing, and what YAML means something by.
_PLAIN = [
    "1e-3",
    "1e3",
    "1:30",
    "0.1",
    "null",
    "~",
    "Null",
    "true",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "010",
    "0o10",
    "0x1f",
    "0b11",
    "1_000",
    ".inf",
    "-.inf",
    ".nan",
    "inf",
    "nan",
    "2026-01-01",
    "=",
    "<<",
    "+1",
    "-0",
    "1.",
    ".5",
    "1e",
    "a:b",
    "😀",
]
_ODD = [
    *_PLAIN,
    *[
        "-",
        "?",
        ":",
        "#",
        "%",
        "@",
        "`",
        "!",
        "&",
        "*",
        "|",
        ">",
        "'",
        '"',
        "{",
        "}",
        "[",
        "]",
        ",",
        "a:",
        "'x'",
        "...",
        "---",
        "\x7f",
        "\x00",
        "\ufeff",
    ],
]
_TEXTS = st.text(max_size=8) | st.sampled_from(
    [*_ODD, "", " ", "\n", "\r", "\x85", "\u2028", "a\n b", " a", "a: b", "a #b"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=8
)


@settings(max_examples=150, deadline=None)
@given(value=_VALUES, in_braces=st.booleans())
@example(value={"0": 1, "1e3": ["1e3", "no", "null", "0.1"]}, in_braces=False)
@example(value="\x85", in_braces=False)
def test_what_is_written_is_read_back_unchanged(value: Any, in_braces: bool) -> None:
    read = load_strict(dump_yaml(value, in_braces=in_braces), "x")
    # As text, so that 1, 1.0 and True, or 0.0 and -0.0, are told apart.
    assert repr(read) == repr(value)


def test_nothing_but_the_rules_decides_what_a_plain_word_is() -> None:
    plain = [word for word in _PLAIN if not isinstance(load_value(word, "x"), str | None)]
    assert plain == [
        "1e-3",
        "1e3",
        "0.1",
        "true",
        "010",
        "0o10",
        "0x1f",
        "1_000",
        ".inf",
        "-.inf",
        ".nan",
        "+1",
        "-0",
        "1.",
        ".5",
    ]
    assert all(dump_yaml([word]) == f"- '{word}'\n" for word in plain)


def test_members_of_enumerations_and_tuples_are_written_as_what_they_hold() -> None:
    assert dump_yaml({"interval": _Interval.step, "betas": (0.9, 0.999)}, in_braces=True) == (
        "{interval: step, betas: [0.9, 0.999]}"
    )


class _Interval(StrEnum):
    step = "step"


def test_moderate_aliases_and_merge_keys_are_allowed() -> None:
    assert load_strict("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a", "x") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1},
    }


@pytest.mark.parametrize("text", ["a: b: c", "[1, 2", "@x", "%", "'", "C:\\data: x:", "C:", "{a,b}"])
def test_a_flag_that_is_no_yaml_is_text(text: str) -> None:
    assert load_value(text, "--x") == text


@given(text=st.text("0123456789aefnoxlrtuINF_./+-", min_size=1, max_size=8))
@example(text="1_000")
@example(text="0x1f")
@example(text="1" * 5000)
@example(text="a---")
@settings(max_examples=500, deadline=None)
def test_a_single_word_is_read_as_the_whole_reader_would(text: str) -> None:
    def read(reader: Callable[[str, str], Any]) -> str:
        try:
            return repr(reader(text, "x"))
        except UserError as error:
            return str(error)

    assert read(load_value) == read(load_strict)


def test_not_finite_numbers_are_found_where_they_stand() -> None:
    assert first_not_finite({"a": [1.0, {"lr": float("inf")}]}) == ("a.1.lr", float("inf"))
    assert first_not_finite({"a": [1.0, "nan", True]}) is None


def test_garbage_never_raises_anything_but_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    source = random.Random(0)
    alphabet = b"ab:-[]{}&*!|>%@`'\"#,? \n\t<.0\x85\xe2\x80\xa8\xff\x00"
    for _ in range(1000):
        path.write_bytes(bytes(source.choice(alphabet) for _ in range(source.randrange(40))))
        try:
            load_config(path, "x.yaml")
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017  # whether it raises depends on the bytes
