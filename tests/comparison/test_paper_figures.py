from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from benchmarks.sample_comparison import all_diverged, comparison, with_name
from lit_lossopt.comparison.report.figure_spec import DASHES, MARKERS, style
from lit_lossopt.comparison.report.figures import figures, looks
from lit_lossopt.comparison.report.paper_figures import draw, write_figure, write_figures
from lit_lossopt.comparison.report.units import count, unit
from lit_lossopt.core.numbers import named, significant
from lit_lossopt.core.numbers import probability_alone as probability


@pytest.mark.slow
def test_every_figure_is_written_in_every_format_with_its_caption(tmp_path: Path) -> None:
    made = comparison(arms=3, seeds=3, steps=60)
    written = write_figures(made, tmp_path / "paper")
    keys = [figure.key for figure in figures(made)]
    assert [path.name for path in written] == [f"{key}.{end}" for key in keys for end in ("png", "svg")] + [
        "captions.txt"
    ]
    for key in keys:
        with Image.open(tmp_path / "paper" / f"{key}.png") as image:
            shades = np.asarray(image.convert("RGB"), dtype=np.int64)
        assert shades.shape[1] == 1440
        # Something is drawn, and in colour.
        assert ((shades.max(axis=2) - shades.min(axis=2)) > 60).sum() > 300
        ET.parse(tmp_path / "paper" / f"{key}.svg")  # noqa: S314  # our own file
    captions = (tmp_path / "paper" / "captions.txt").read_text(encoding="utf-8")
    assert all(f"{key}: " in captions for key in keys)


def test_the_lines_are_the_numbers_of_the_page() -> None:
    made = comparison(arms=2, seeds=3, steps=80)
    figure = next(one for one in figures(made) if one.key == "metric")
    axes = draw(figure, looks(made)).axes[0]
    drawn = {tuple(np.asarray(line.get_ydata(), dtype=np.float64)) for line in axes.get_lines()}
    for line, arm in zip(figure.panels[0].lines, made.arms, strict=True):
        np.testing.assert_allclose(line.y, 100 * np.median([one.curve.values for one in arm.trials], axis=0))
        assert tuple(line.y) in drawn


@pytest.mark.parametrize("name", ["<script>", "$x_{1}$", "_hidden", "a" * 90, "100 %", "\\frac"])
def test_any_name_can_be_drawn(name: str, tmp_path: Path) -> None:
    made = with_name(comparison(arms=2, seeds=2, steps=20), name)
    figure = next(one for one in figures(made) if one.key == "oscillation")
    (path,) = write_figure(figure, looks(made), tmp_path, ["svg"])
    texts = "".join(ET.parse(path).getroot().itertext())  # noqa: S314  # our own file
    # In the legend, and as a row of two panels.
    assert texts.count(name[:30]) == 4


@pytest.mark.parametrize("key", ["metric", "sensitivity", "budget"])
def test_an_axis_of_accuracies_ends_at_100_per_cent_and_trials_are_whole(key: str) -> None:
    made = comparison(arms=3, seeds=3, steps=60)
    figure = next(one for one in figures(made) if one.key == key)
    canvas = draw(figure, looks(made))
    canvas.draw_without_rendering()
    axes = canvas.axes[0]
    shown = [float(text) for label in axes.get_yticklabels() if (text := label.get_text())]
    assert shown
    assert max(shown) <= 100
    if key == "budget":
        assert all(float(place).is_integer() for place in axes.get_xticks())


def test_runs_that_all_diverged_can_be_drawn(tmp_path: Path) -> None:
    assert write_figures(all_diverged(comparison(arms=2, seeds=2, steps=60)), tmp_path, ["png"])


def test_curves_of_the_best_eight_arms_are_drawn_and_the_caption_says_so(tmp_path: Path) -> None:
    made = replace(comparison(arms=10, seeds=2, steps=20), sensitivity=(), budgets=())
    figure = next(one for one in figures(made) if one.key == "loss")
    assert len(draw(figure, looks(made)).axes[0].get_lines()) == 8 * (1 + 2)
    write_figures(made, tmp_path, [])
    assert "2 more are in the table" in (tmp_path / "captions.txt").read_text(encoding="utf-8").replace("\n", " ")


def test_the_first_arms_differ_in_colour_dash_and_marker_at_once() -> None:
    first = [style(place) for place in range(6)]
    for values in zip(*((one.colour, one.dark, one.dash, one.marker) for one in first), strict=True):
        assert len(set(values)) == 6
    assert len({(one.colour, one.dash, one.marker) for one in map(style, range(40))}) == 40
    assert (len(DASHES), len(MARKERS)) == (6, 8)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (unit("val/accuracy").text(0.9312), "93.1 %"),
        (unit("val/accuracy").change(-0.0042), "−0.42 points"),
        (unit("val/nll").text(0.0123456), "0.0123"),
        (unit("val/accuracy").text(float("nan")), "–"),
        (count(float("inf")), "never"),
        (count(1240.4), "1,240"),
        (significant(-1234.0), "−1,234"),
        (significant(1.8e-5), "1.8e-05"),
        (significant(3e17), "3.00e+17"),
        (probability(0.0004), "< 0.001"),
        (probability(0.0123), "0.012"),
        (probability(0.31), "0.31"),
        (named(["a", "b", "c"]), "a, b and c"),
        (named(list("abcdefgh")), "a, b, c, d, e, f and two more"),
        (named(["a"]), "a"),
    ],
)
def test_numbers_as_a_person_reads_them(found: str, expected: str) -> None:
    assert found == expected


def test_the_legend_lies_within_the_figure_however_long_its_names_are() -> None:
    for length in (4, 20, 38):
        made = with_name(comparison(arms=4, seeds=2, steps=20), "m" * length)
        canvas = draw(next(one for one in figures(made) if one.key == "metric"), looks(made))
        canvas.draw_without_rendering()
        box = canvas.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= canvas.bbox.width


def test_windows_of_learning_rates_are_rows_above_all_values() -> None:
    made = comparison(arms=3, seeds=2, steps=20)
    panel = next(one for one in figures(made) if one.key == "sensitivity").panels[0]
    heights = [mark.start[1] for mark in panel.marks if np.isfinite(mark.start[1])]
    assert len(heights) > 1
    assert heights == sorted(heights, reverse=True)
    np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0])
    assert min(heights) > max(float(np.nanmax(dots.y)) for dots in panel.dots)
