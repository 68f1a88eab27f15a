"""The JSON of comparisons, as a program that reads it has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import inf, nan
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from lit_lossopt.__main__ import main
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.record.build import record_of
from lit_lossopt.comparison.record.records import Request
from lit_lossopt.comparison.record.text import as_tree, schema
from lit_lossopt.comparison.report.verdict import answer

_UNKNOWN_OR_INFINITE = {None: nan, "infinity": inf, "-infinity": -inf}


def tree_of(found: Comparison) -> dict[str, Any]:
    """Return the JSON of a comparison, read again."""
    ids = [trial.run.run_id for arm in found.arms for trial in arm.trials]
    record = record_of(found, answer(found), (), Request((), tuple(ids), ""))
    return read_again(json.dumps(as_tree(record), allow_nan=False))


def compared_as_json(*words: str, file: str = "record.json", status: int = 0) -> dict[str, Any]:
    """Run ``lossopt compare``, and return the JSON that it wrote."""
    assert main(["compare", *words, "--json", file]) == status
    return read_again(Path(file).read_text(encoding="utf-8"))


def read_again(text: str) -> dict[str, Any]:
    """Return what strict readers find in a text: NaN and Infinity are no JSON, and no key stands twice."""
    found: dict[str, Any] = json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    return found


def number(value: Any) -> float:
    """Return a number from what stands for it in the JSON."""
    return value if isinstance(value, int | float) else _UNKNOWN_OR_INFINITE[value]


def fits(tree: Any) -> bool:
    """Return whether a tree fits the schema that the package brings."""
    return not misfits(tree)


def misfits(tree: Any) -> list[str]:
    """Return where a tree does not fit the schema, and why."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema()).iter_errors(tree)]


def objects_in(tree: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each record in a tree that fits, with the name that it has in the schema."""
    known = schema()["$defs"]
    yield from _objects(tree, {"$ref": "#/$defs/Record"}, known)


def _objects(tree: Any, rule: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(tree, dict | list):
        return
    name = str(rule.get("$ref", "")).rpartition("/")[2]
    if name:
        rule = known[name]
    if "anyOf" in rule:
        fitting = (one for one in rule["anyOf"] if Draft202012Validator({**one, "$defs": known}).is_valid(tree))
        yield from _objects(tree, next(fitting), known)
    elif isinstance(tree, dict):
        if "properties" in rule:
            yield name, tree
        for key, value in tree.items():
            inner = rule["properties"][key] if "properties" in rule else rule["additionalProperties"]
            yield from _objects(value, inner, known)
    else:
        for place, value in enumerate(tree):
            inner = rule["items"] if "items" in rule else rule["prefixItems"][place]
            yield from _objects(value, inner, known)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


def _refuse(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")
