from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sample_comparison import WORDS, all_diverged, comparison, never_reached, with_name, without_losses
from lit_lossopt.comparison.comparison import Comparison, LeftOut
from lit_lossopt.comparison.report.figures import FIGURES, figures
from lit_lossopt.comparison.report.page import page, run_link, script_json, write_page
from lit_lossopt.comparison.report.page_data import figure_data, packed, thinned
from lit_lossopt.comparison.report.tables import arm_table
from lit_lossopt.tracking.reading.runs import History

NASTY = "<script>alert(1)</script> & \"q\" 'a' {{ 7 * 7 }} $x_1$ ü"


class Reader(HTMLParser):
    """Collects what a browser would: texts, elements with their attributes, contents of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def usual() -> tuple[Comparison, Reader]:
    made = comparison(steps=120)
    return made, Reader(page(made, WORDS))


def test_the_verdict_stands_first_and_every_number_of_the_table_is_in_the_page(
    usual: tuple[Comparison, Reader],
) -> None:
    made, reader = usual
    assert reader.text.index(WORDS[0]) < reader.text.index("How sure the differences are")
    table = arm_table(made)
    assert [row.name for row in table.rows] == [arm.name for arm in made.arms]
    final = [head for head, _ in table.heads].index("final val/accuracy")
    for row, arm in zip(table.rows, made.arms, strict=True):
        assert row.cells[final].text == f"{100 * arm.final.value:.1f} %"
        assert row.cells[final].below == f"{100 * arm.final.low:.1f} to {100 * arm.final.high:.1f}"
        for cell in row.cells:
            assert cell.text in reader.text
            assert cell.below in reader.text
    assert "interrupted after 120 steps" in reader.text
    assert "Seed 9 was run by adam alone" in reader.text


def test_each_figure_says_what_to_conclude_from_it_and_has_a_text_for_those_who_cannot_see_it(
    usual: tuple[Comparison, Reader],
) -> None:
    made, reader = usual
    shown = figures(made)
    # That of a race is in test_race_page.
    assert len(shown) == len(FIGURES) - 1
    images = [attributes for tag, attributes in reader.elements if attributes.get("role") == "img"]
    assert len(images) == sum(len(figure.panels) for figure in shown)
    for figure in shown:
        assert len(figure.reading) > 80
        assert figure.conclusion
        assert figure.conclusion in reader.text
        assert figure.reading in reader.text


def test_the_page_needs_nothing_beside_itself_and_may_load_nothing(usual: tuple[Comparison, Reader]) -> None:
    made, reader = usual
    for tag, attributes in reader.elements:
        assert tag not in {"img", "link", "iframe", "object", "embed", "base", "form"}
        assert "src" not in attributes
        address = attributes.get("href") or "#"
        assert address.startswith("#") or (tag == "a" and address.startswith(made.runs_address[:22]))
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] or "" for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "unsafe" not in policy.partition("style-src")[0]


@pytest.mark.parametrize(
    "place", ["arm", "run", "parameter", "title", "words", "note", "left out", "criterion", "seed"]
)
def test_what_runs_are_called_is_text(place: str) -> None:
    made = comparison(arms=2, seeds=2, steps=20)
    words = list(WORDS)
    arm = made.arms[0]
    trial = arm.trials[0]
    run = trial.run
    if place == "arm":
        made = with_name(made, NASTY)
        arm, trial = made.arms[0], made.arms[0].trials[0]
    elif place == "run":
        run = replace(run, name=NASTY)
    elif place == "parameter":
        run = replace(run, params={**run.params, NASTY: NASTY})
    elif place == "criterion":
        run = replace(run, params={**run.params, "criterion": NASTY})
    elif place == "title":
        made = replace(made, title=NASTY)
    elif place == "note":
        made = replace(made, notes=(NASTY,))
    elif place == "left out":
        made = replace(made, left_out=(LeftOut("1" * 32, NASTY, NASTY),))
    elif place == "seed":
        trial = replace(trial, seed=NASTY)
    else:
        words.append(NASTY)
    trials = (replace(trial, run=run, arm=arm.name), *arm.trials[1:])
    plain = Reader(page(made, WORDS))
    reader = Reader(page(replace(made, arms=(replace(arm, trials=trials), *made.arms[1:])), words))
    assert NASTY in reader.text or " ".join(NASTY.split()) in reader.text
    tags = [sum(tag == wanted for tag, _ in reader.elements) for wanted in ("script", "html", "body")]
    assert tags == [sum(tag == wanted for tag, _ in plain.elements) for wanted in ("script", "html", "body")]
    assert not [text for text in reader.scripts if "alert(1)" in text and "<" in text]


def test_json_cannot_end_its_script_element() -> None:
    text = script_json(["</script><!--", "&", "\u2028"])
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == ["</script><!--", "&", "\u2028"]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda: comparison(arms=1, seeds=1, steps=30), {"sensitivity", "budget"}),
        (lambda: comparison(arms=1, seeds=1, steps=30, evaluations=1), {"target", "sensitivity", "budget"}),
        (lambda: without_losses(comparison(steps=30)), {"loss"}),
        (lambda: never_reached(comparison(steps=30)), {"target"}),
        (lambda: all_diverged(comparison(steps=60)), {"target", "oscillation"}),
        (lambda: replace(comparison(steps=30), sensitivity=(), budgets=()), {"sensitivity", "budget"}),
        (lambda: replace(comparison(steps=9), arms=(), finals=(), speeds=(), sensitivity=(), budgets=()), None),
    ],
    ids=["one run", "one evaluation", "no losses", "never reached", "all diverged", "no rates", "nothing"],
)
def test_a_page_of_little_shows_what_there_is(
    change: Callable[[], Comparison], missing: set[str] | None, tmp_path: Path
) -> None:
    made, every = change(), {figure.key for figure in figures(comparison(steps=30))}
    write_page(made, WORDS[:1], tmp_path / "page.html")
    reader = Reader((tmp_path / "page.html").read_text(encoding="utf-8"))
    drawn = {attributes["data-figure"] for tag, attributes in reader.elements if tag == "figure"}
    assert drawn == (set() if missing is None else every - missing)
    assert WORDS[0] in reader.text
    assert not re.search(r"\b(nan|inf|None)\b", reader.text)


def test_losses_of_different_criteria_are_never_in_one_plot() -> None:
    figure = next(one for one in figures(comparison(steps=40, criteria=3)) if one.key == "loss")
    assert [panel.title for panel in figure.panels] == ["CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss"]
    arms = [{line.arm for line in panel.lines} for panel in figure.panels]
    assert sum(len(names) for names in arms) == len(set.union(*arms)) == 5


def test_every_loss_is_in_the_page_as_it_was_logged() -> None:
    made = comparison(arms=2, seeds=2, steps=50)
    figure = next(one for one in figures(made) if one.key == "loss")
    data = figure_data(figure, {arm.name: place for place, arm in enumerate(made.arms)})
    logged = [trial.losses.values for arm in made.arms for trial in arm.trials]
    for raw, values in zip(data["panels"][0]["raws"], logged, strict=True):
        assert raw["even"] == (0.0, 1.0)
        stored = np.frombuffer(base64.b64decode(raw["y"]), dtype="<f4")
        np.testing.assert_array_equal(stored, values.astype("<f4"))


def test_what_does_not_fit_is_thinned_and_the_caption_says_so() -> None:
    made = comparison(arms=2, seeds=2, steps=4000)
    spiked = made.arms[0].trials[0]
    values = spiked.losses.values.copy()
    values[1234] = 77.0
    trial = replace(spiked, losses=History(spiked.losses.steps, values))
    arm = replace(made.arms[0], trials=(trial, *made.arms[0].trials[1:]))
    figure = next(one for one in figures(replace(made, arms=(arm, made.arms[1]))) if one.key == "loss")
    fewer = thinned(figure, most=2000)
    kept = sum(len(raw.values) for raw in fewer.panels[0].raws)
    assert 500 < kept <= 2000
    assert f"Of 16,000 logged values {kept:,} are in this page" in fewer.reading
    assert 77.0 in fewer.panels[0].raws[0].values
    assert thinned(figure, most=16_000) is figure


def test_numbers_are_packed_as_four_bytes_each() -> None:
    values = np.array([1.5, np.nan, np.inf, 1e300])
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed(values)), "<f4"), [1.5, np.nan, np.inf, np.inf])


def test_links_lead_to_runs_on_a_server_and_nowhere_else() -> None:
    trial = comparison(arms=1, seeds=1, steps=9).arms[0].trials[0]
    assert run_link("http://localhost:5000/#/e/{experiment_id}/runs/{run_id}", trial).endswith(trial.run.run_id)
    assert run_link("javascript:alert(1)//{run_id}", trial) == ""
    assert run_link("", trial) == ""


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "page.html"
    made = comparison(arms=1, seeds=1, steps=9)
    write_page(made, ["first"], path)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0o044 & ~_mask()
    monkeypatch.setattr(Path, "replace", _refuse)
    with pytest.raises(OSError, match="no space"):
        write_page(made, ["second"], path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_a_page_is_small_without_its_data() -> None:
    assert len(page(comparison(arms=1, seeds=1, steps=9), [])) < 5_500_000


def _refuse(*_: object) -> Path:
    raise OSError("no space")


def _mask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask
