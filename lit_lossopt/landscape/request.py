"""What was typed after ``lossopt landscape``. Nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag, parse_flags
from lit_lossopt.core.paths import given_path

COMMAND = "landscape"
PLANE, RANDOM, LINE = "plane", "random", "line"
POINTS, MOST_POINTS = 51, 401
# As many as there are looks that can be told apart.
MOST_RUNS = 8
PICTURES = (".png", ".svg", ".pdf")
FLAGS = (
    Flag("--html", "FILE", "the page: walks in 3-D, to play and scrub; works without a network (landscape.html)"),
    Flag("--picture", "FILE", "the map for a paper, as .png, .svg or .pdf (landscape.png)"),
    Flag("--csv", "FOLDER", "every number of the map and of the walks"),
    Flag("--points", "N", f"points along each axis ({POINTS}; along a line twice as many)", {"type": int}),
    Flag("--images", "N", "training images whose loss is drawn (those of the probe loss, 256)", {"type": int}),
    Flag("--random", "", "a random plane around one RUN", {"action": "store_true", "group": "kind"}),
    Flag("--line", "", "the straight line between two RUNs", {"action": "store_true", "group": "kind"}),
    Flag("--reach", "X", "half width of a random plane, in sizes of the weights (1)", {"type": float, "default": 1.0}),
    Flag("--seed", "N", "of the runs where none is named (the most runs), or of random directions (0)", {"type": int}),
    Flag("--experiment", "NAME", "whose runs to take where none is named (the newest)"),
    Flag("--config", "PLAN", "train what is missing of a plan first, with any flags of sweep", {"action": "append"}),
    Flag("--device", "NAME", "where the loss is computed, as cuda (cpu)", {"default": "cpu"}),
    Flag("--threads", "N", "CPU threads (1, which is fastest for small images)", {"type": int, "default": 1}),
    Flag("--allow-import", "PACKAGE", "whose networks and losses may be made", {"action": "append"}),
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A landscape that is asked for.

    Attributes:
        kind: ``plane`` through the paths of runs, ``random`` around one run, or ``line`` between two.
        runs: their ids or beginnings of them.
        page: where the page goes; empty: nowhere.
        picture: where the map goes.
        tables: the folder of the tables; empty: nowhere.
        points: along each axis.
        images: whose loss is drawn; 0: as many as the runs' probe loss has.
        reach: half width of a random plane.
        seed: of the runs, or of random directions. None: it was not typed.
        experiment: whose runs to take; empty: the newest.
        plan: the words for ``sweep``; empty: nothing is trained.
        device: where the loss is computed.
        threads: of the CPU.
        allowed: packages whose classes a config may name.
    """

    kind: str
    runs: tuple[str, ...]
    page: str
    picture: Path
    tables: str
    points: int
    images: int
    reach: float
    seed: int | None
    experiment: str
    plan: tuple[str, ...]
    device: str
    threads: int
    allowed: tuple[str, ...]


def parse(words: Sequence[str]) -> Request:
    """Return what was asked for.

    Raises:
        UserError: something else was typed, or values that cannot be.
    """
    with_plan = any(word.partition("=")[0] == "--config" for word in words)
    # With a plan there are no runs to name: a word without dashes is the value of a flag of sweep.
    given = parse_flags(COMMAND, words, FLAGS, *(() if with_plan else ("runs*",)), takes_rest=with_plan)
    kind = RANDOM if given.random else LINE if given.line else PLANE
    points = POINTS * (2 if kind == LINE else 1) if given.points is None else given.points
    request = Request(
        kind=kind,
        runs=() if with_plan else tuple(given.runs),
        page=given.html or ("" if kind == LINE or given.picture else "landscape.html"),
        picture=given_path(given.picture or "landscape.png"),
        tables=given.csv or "",
        points=points,
        images=0 if given.images is None else given.images,
        reach=given.reach,
        seed=given.seed,
        experiment=given.experiment or "",
        plan=tuple(word for name in given.config or () for word in ("--config", name))
        + (tuple(given.rest) if with_plan else ()),
        device=given.device,
        threads=given.threads,
        allowed=tuple(given.allow_import or ()),
    )
    _check(request, images=given.images)
    return request


def _check(request: Request, images: int | None) -> None:
    if not 3 <= request.points <= MOST_POINTS:
        raise UserError(f"{COMMAND} --points {request.points}: must be from 3 to {MOST_POINTS}")
    for flag, number in (("images", 1 if images is None else images), ("threads", request.threads)):
        if number < 1:
            raise UserError(f"{COMMAND} --{flag} {number}: must be at least 1")
    if not 0 < request.reach < float("inf"):
        raise UserError(f"{COMMAND} --reach {request.reach:g}: must be above 0")
    _check_runs(request)


def _check_runs(request: Request) -> None:
    if request.picture.suffix.lower() not in PICTURES:
        raise UserError(f"{COMMAND} --picture {request.picture}: must end in one of {', '.join(PICTURES)}")
    if request.page and given_path(request.page) == request.picture:
        raise UserError(f"{COMMAND} --html {request.page}: the picture has this name, too. Give one of them another")
    if request.kind == LINE and request.page:
        raise UserError(f"{COMMAND} --html: a line has a picture and no page; leave it out")
    _check_number(request)


def _check_number(request: Request) -> None:
    if request.kind == LINE and len(request.runs) != 2:
        raise UserError(f"{COMMAND} --line: name two runs, the ends of the line")
    if request.kind == RANDOM and len(request.runs) != 1:
        raise UserError(f"{COMMAND} --random: name one run, the middle of the plane")
    if request.plan and request.experiment:
        raise UserError(
            f"{COMMAND} --experiment {request.experiment}: a plan trains in an experiment of its own. Take "
            f"--tracking.experiment={request.experiment}"
        )
    if len(request.runs) > MOST_RUNS:
        raise UserError(f"{COMMAND}: {len(request.runs)} runs; at most {MOST_RUNS} can be told apart on one map")
