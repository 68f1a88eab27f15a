from __future__ import annotations

import random
from pathlib import Path

import pytest

from lit_lossopt.config_yaml import first_not_finite, load_config, load_strict, load_value
from lit_lossopt.errors import UserError

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
    "many values": (b"a: [" + b"1, " * 20_000 + b"1]", "more than"),
    "binary": (bytes(range(256)), "not a text file"),
    "NUL": (b"a: \x00", "not a text file"),
    "large": (b"# " + b"x" * 2_000_000, "no config"),
    "a list": (b"- a\n- b\n", "a config is a mapping"),
    "a number": (b"3", "a config is a mapping"),
    "bad indentation": (b"a:\n  b: 1\n c: 2\n", "line 3: not valid YAML"),
    "unclosed": (b"a: [1, 2", "not valid YAML"),
    "python object": (b"a: !!python/object/apply:os.system ['true']", "not valid YAML"),
    "a list as key": (b"[1, 2]: 3", "a key must be a word, not a sequence"),
    "a number as key": (b"a: {1: 2}", "a key must be a word, not 1"),
    "a truth value as key": (b"true: 2", "a key must be a word, not true"),
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
        ("e3", "e3"), ("1e", "1e"), ("", None),
    ],
)  # fmt: skip
def test_values_are_read_as_yaml_1_2(text: str, value: object) -> None:
    assert load_strict(text, "x") == value
    assert type(load_strict(text, "x")) is type(value)


def test_moderate_aliases_and_merge_keys_are_allowed() -> None:
    assert load_strict("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a", "x") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1},
    }


@pytest.mark.parametrize("text", ["a: b: c", "[1, 2", "@x", "%", "'", "C:\\data: x:"])
def test_a_flag_that_is_no_yaml_is_text(text: str) -> None:
    assert load_value(text, "--x") == text


def test_not_finite_numbers_are_found_where_they_stand() -> None:
    assert first_not_finite({"a": [1.0, {"lr": float("inf")}]}) == ("a.1.lr", float("inf"))
    assert first_not_finite({"a": [1.0, "nan", True]}) is None


def test_garbage_never_raises_anything_but_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    source = random.Random(0)
    alphabet = b"ab:-[]{}&*!|>%@`'\"#,? \n\t<.0\x85\xe2\x80\xa8\xff\x00"
    for _ in range(3000):
        path.write_bytes(bytes(source.choice(alphabet) for _ in range(source.randrange(40))))
        try:
            load_config(path, "x.yaml")
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017  # whether it raises depends on the bytes
