"""Pages of HTML, in the dress of a comparison's."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from markupsafe import Markup

from lit_lossopt.comparison.report.page import TEMPLATES as COMMON
from lit_lossopt.comparison.report.page import environment, policy
from lit_lossopt.core.version import __version__

_OWN = files("lit_lossopt.keras_twin") / "templates"


def page_of(name: str, **values: Any) -> str:
    """Return the page of a template. It needs nothing beside itself, and runs no script.

    Args:
        name: of the template.
        **values: that it names.
    """
    css = Markup(_template("page.css") + _template("twin.css"))  # noqa: S704  # our own files
    text: str = (
        environment(_template).get_template(name).render(css=css, policy=policy([]), version=__version__, **values)
    )
    return text


def _template(name: str) -> str:
    own = _OWN / name
    return (own if own.is_file() else COMMON / name).read_text(encoding="utf-8")
