"""The page of a comparison.

It is one HTML file that needs nothing beside itself and fetches nothing.

Verdict, tables and captions are plain HTML; the figures are drawn by the page's script from data in the page. What the
page may load or run is fixed by its content security policy: its own scripts, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from lit_lossopt.comparison.comparison import Comparison, Trial
from lit_lossopt.comparison.listing import listing
from lit_lossopt.comparison.record.text import ELEMENT, MOST_PLAIN, PACKED, PLAIN, packed
from lit_lossopt.comparison.report import tables
from lit_lossopt.comparison.report.figure_spec import Figure, style
from lit_lossopt.comparison.report.figures import figures, looks
from lit_lossopt.comparison.report.page_data import (
    MOST_ARMS,
    MOST_POINTS,
    figure_data,
    style_data,
    thinned,
    with_first_arms,
)
from lit_lossopt.comparison.report.race_table import race_table
from lit_lossopt.comparison.report.units import unit
from lit_lossopt.core.files import whole_file
from lit_lossopt.core.numbers import significant
from lit_lossopt.core.terminal_text import printable
from lit_lossopt.core.version import __version__

TEMPLATES = files("lit_lossopt.comparison.report") / "templates"
SCRIPTS = ("marks.js", "figures.js", "page.js")


def write_page(comparison: Comparison, words: Sequence[str], path: Path, record: Any = None) -> None:
    """Write the page of a comparison, whole or not at all.

    Args:
        comparison: what is shown.
        words: the verdict, a sentence each; the first stands large at the top.
        path: the file; its folder is made.
        record: the same as plain values, for programs that read the page. None: the page holds none.

    Raises:
        OSError: it cannot be written.
    """
    text = page(comparison, words, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def page(comparison: Comparison, words: Sequence[str], record: Any = None) -> str:
    """Return the text of the page; see ``write_page``."""
    from plotly.offline import get_plotlyjs

    look = looks(comparison)
    listed = listing(comparison)
    styles = [style(place) for place in range(max(look.values(), default=0) + 1)]
    arms = [arm.name for arm in comparison.arms]
    drawn = [with_first_arms(figure, arms) for figure in figures(comparison)]
    shown = [thinned(figure, MOST_POINTS if figure.many_points else MOST_POINTS // 2) for figure in drawn]
    scripts = [Markup(text) for text in (get_plotlyjs(), *map(_template, SCRIPTS))]  # noqa: S704  # our own files
    return (
        environment(_template)
        .get_template("page.html")
        .render(
            comparison=comparison,
            words=list(words),
            shown=unit(comparison.metric),
            significant=significant,
            css=Markup(_template("page.css")),  # noqa: S704  # our own file
            scripts=scripts,
            policy=policy(scripts),
            page_data=script_json({"styles": style_data(styles), "most": 8}),
            **_record_context(record),
            styles=styles,
            look=look,
            figures=[_figure_context(figure, look) for figure in shown],
            arms=tables.arm_table(comparison),
            chips=arms[:MOST_ARMS],
            contrasts=[
                ("The race: every pair, by the number of seeds that decided it", race_table(comparison, look)),
                ("Final value", tables.contrast_table(listed.finals, comparison, look)),
                ("Steps to the target", tables.contrast_table(listed.speeds, comparison, look)),
                (
                    tables.oscillation_caption(comparison),
                    tables.contrast_table(listed.oscillations, comparison, look),
                ),
            ],
            version=__version__,
            **_runs_context(comparison),
        )
    )


def environment(template: Callable[[str], str]) -> Environment:
    """Return what renders a page.

    Values are escaped, and control characters in them are spelled out.

    Args:
        template: name → text of a template.
    """
    made = Environment(
        loader=FunctionLoader(template),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made


def _shown(value: object) -> object:
    """Return what stands in the page for a value.

    Names in a store may hold control characters.
    """
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def breakable(name: str) -> Markup:
    """Return a name, escaped, that may be broken behind ``_``."""
    return Markup(str(escape(printable(name))).replace("_", "_<wbr>"))  # noqa: S704  # escaped here


def _printable_in(value: object) -> object:
    """Return data with control characters spelled out.

    The data are those of a script. Every text in them changes.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_printable_in(key): _printable_in(one) for key, one in value.items()}
    return [_printable_in(one) for one in value] if isinstance(value, list | tuple) else value


def script_json(value: object) -> Markup:
    """Return JSON that may stand in a script element.

    Nothing in it can end the element or begin a comment.
    """
    return as_script(_printable_in(value))


def as_script(value: object) -> Markup:
    """Return JSON that may stand in a script element, with every text as it is.

    Only programs read it, so control characters do no harm.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # escaped just above


def _figure_context(figure: Figure, look: Mapping[str, int]) -> dict[str, Any]:
    plain = [panel for panel in figure.panels if not (panel.rows or panel.heat)]
    cut = any(panel.y_range for panel in plain)
    return {
        "key": figure.key,
        "title": figure.title,
        "conclusion": figure.conclusion,
        "reading": figure.reading,
        "panels": figure.panels,
        "data": script_json(figure_data(figure, look)),
        "switches": bool(plain),
        "raw": any(panel.raws for panel in plain),
        "cut": cut,
        "x_log": any(panel.x_log for panel in plain),
        "y_log": any(panel.y_log for panel in plain),
        "axes": max((panel.axes for panel in plain), key=len, default=()),
        "marks": [mark.text for panel in figure.panels[:1] for mark in panel.marks] if figure.lists_marks else [],
        "middle_name": figure.middle_name,
        "raw_name": figure.raw_name,
    }


def _record_context(record: Any) -> dict[str, str]:
    """Return the JSON of a comparison as it stands in the page. It is packed if it is large."""
    text = as_script(record) if record else Markup("")
    large = len(text) > MOST_PLAIN
    return {
        "record": Markup(packed(str(text))) if large else text,  # noqa: S704  # base64
        "record_element": ELEMENT,
        "record_type": PACKED if large else PLAIN,
    }


def _runs_context(comparison: Comparison) -> dict[str, Any]:
    trials = [trial for arm in comparison.arms for trial in arm.trials]
    shared = _shared_parameters(trials)
    runs = [
        (
            place,
            arm,
            [
                {
                    "trial": trial,
                    "link": run_link(comparison.runs_address, trial),
                    "cells": tables.run_cells(trial, comparison),
                    "own": {key: value for key, value in sorted(trial.run.params.items()) if key not in shared},
                }
                for trial in arm.trials
            ],
        )
        for place, arm in enumerate(comparison.arms)
    ]
    return {"runs": runs, "shared": shared, "trials": len(trials), "run_heads": tables.run_heads(comparison)}


def _shared_parameters(trials: Sequence[Trial]) -> dict[str, str]:
    """Return the parameters that are the same in every run."""
    if len(trials) < 2:
        return {}
    first = trials[0].run.params
    return {
        key: value
        for key, value in sorted(first.items())
        if all(trial.run.params.get(key) == value for trial in trials[1:])
    }


def run_link(address: str, trial: Trial) -> str:
    """Return the address of a run's page in MLflow.

    The result is empty where there is none, or where it is no web address.
    """
    if not address.startswith(("http://", "https://")):
        return ""
    return address.format(experiment_id=trial.run.experiment_id, run_id=trial.run.run_id)


def policy(scripts: Sequence[str]) -> str:
    """Return the policy of what the page may do.

    It may run these scripts, style itself and show pictures that it holds.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    sources = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
