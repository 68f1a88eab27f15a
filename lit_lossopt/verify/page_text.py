"""Whether the text of a page is the text that its JSON gives."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from html.parser import HTMLParser
from itertools import zip_longest

from lit_lossopt.comparison.record.text import ELEMENT
from lit_lossopt.verify.differences import Difference

_SCRIPTS = "figures and scripts"
_HEADINGS = ("h1", "h2", "h3", "caption")


class _Texts(HTMLParser):
    """Collects the texts of a page, each with the heading that it stands below."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._heading = self._tag = ""
        self._is_record = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note in which element what follows stands."""
        self._tag = tag
        self._is_record = tag == "script" and ("id", ELEMENT) in attrs
        # By these values a table is sorted.
        self.found += [(self._heading, f"{name}={value}") for name, value in attrs if name == "data-order"]

    def handle_endtag(self, tag: str) -> None:
        """Forget the element."""
        self._tag = ""
        self._is_record = False

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        text = " ".join(data.split())
        if not text or self._is_record or self._tag == "style":
            return
        self._heading = text if self._tag in _HEADINGS else self._heading
        self.found.append((_SCRIPTS if self._tag == "script" else self._heading, text))


def text_differences(page: str, again: str, *, scripts: bool = True) -> Iterator[Difference]:
    """Yield the texts of a page that are not those of the page made again.

    The data of its figures and its scripts count. The JSON in it is compared by itself.

    Args:
        page: as it was written.
        again: made from the same runs.
        scripts: whether scripts and the data of figures count, too.
    """
    recorded, found = _texts(page, scripts), _texts(again, scripts)
    matcher = SequenceMatcher(None, [text for _, text in recorded], [text for _, text in found], autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        heading = (recorded[start:end] or found[other_start:other_end])[0][0]
        then, now = (
            " ".join(text for _, text in part) or None for part in (recorded[start:end], found[other_start:other_end])
        )
        yield Difference(("text of the page", *([f"“{heading}”"] if heading else [])), then, now)


def _texts(page: str, scripts: bool) -> list[tuple[str, str]]:
    collector = _Texts()
    collector.feed(page)
    return [(heading, text) for heading, text in collector.found if scripts or heading != _SCRIPTS]


def first_difference(page: str, again: str) -> Difference:
    """Return the first place at which two pages differ, where their texts are the same.

    It is in what no reader sees, as an attribute, a style or a comment.
    """
    pairs = zip_longest(page.splitlines(), again.splitlines())
    number, (then, now) = next((number, pair) for number, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return Difference(("source of the page", f"line {number}"), then, now)
