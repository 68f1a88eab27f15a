"""The page of a landscape: the walks in 3-D, to play and to scrub.

It is one HTML file that needs nothing beside itself and fetches nothing, as the page of a comparison.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from lit_lossopt.comparison.report.figure_spec import style
from lit_lossopt.comparison.report.page import TEMPLATES as COMMON
from lit_lossopt.comparison.report.page import environment, policy, script_json
from lit_lossopt.comparison.report.page_data import packed, style_data
from lit_lossopt.core.files import whole_file
from lit_lossopt.core.numbers import per_cent, significant
from lit_lossopt.core.version import __version__
from lit_lossopt.landscape.heights import Heights, heights_of
from lit_lossopt.landscape.scene import Scene, Walk
from lit_lossopt.landscape.words import HEADS, row_of, scene_words

_OWN = files("lit_lossopt.landscape") / "templates"


def write_page(scene: Scene, path: Path) -> None:
    """Write the page of a scene, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    text = page(scene)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def page(scene: Scene) -> str:
    """Return the text of the page."""
    from plotly.offline import get_plotlyjs

    heights = heights_of(scene)
    styles = [style(place) for place in range(max(1, len(scene.walks)))]
    texts = (get_plotlyjs(), _template("marks.js"), _template("landscape.js"))
    scripts = [Markup(text) for text in texts]  # noqa: S704  # our own files
    css = Markup(_template("page.css") + _template("landscape.css"))  # noqa: S704  # our own files
    return (
        environment(_template)
        .get_template("landscape.html")
        .render(
            scene=scene,
            words=scene_words(scene),
            explained=per_cent(scene.explained) if scene.walks else "",
            start=significant(float(scene.walks[0].losses[0])) if scene.walks else "",
            last=int(max((walk.steps[-1] for walk in scene.walks), default=0)),
            cut=significant(heights.high) if heights.cuts else "",
            heads=HEADS,
            rows=[(place, walk, row_of(walk)) for place, walk in enumerate(scene.walks)],
            styles=styles,
            css=css,
            scripts=scripts,
            policy=policy(scripts),
            data=script_json(_data(scene, heights) | {"styles": style_data(styles)}),
            version=__version__,
        )
    )


def _data(scene: Scene, heights: Heights) -> dict[str, Any]:
    return {
        "x": packed(scene.x),
        "y": packed(scene.y),
        "losses": packed(_masked(scene.losses).ravel()),
        "log": heights.logarithmic,
        "low": heights.low,
        "high": heights.high,
        "levels": list(heights.levels),
        "labels": list(scene.labels),
        "lossName": scene.loss_name,
        "walks": [_walk(place, walk) for place, walk in enumerate(scene.walks)],
    }


def _walk(place: int, walk: Walk) -> dict[str, Any]:
    columns = ("steps", "x", "y", "losses", "on_plane", "distances", "logged_steps", "logged")
    return {"name": walk.name, "look": place, **{name: packed(getattr(walk, name)) for name in columns}}


def _masked(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(losses), losses, np.nan)


def _template(name: str) -> str:
    own = _OWN / name
    return (own if own.is_file() else COMMON / name).read_text(encoding="utf-8")
