"""What was measured, as a table, a recommendation in words, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from lit_lossopt.config.words import without_flags
from lit_lossopt.core.machine import cores, processor, versions
from lit_lossopt.core.numbers import bracketed, counted, significant
from lit_lossopt.core.program import typed
from lit_lossopt.core.terminal_text import fitted
from lit_lossopt.training.speed.candidates import Candidate
from lit_lossopt.training.speed.measure import Measured
from lit_lossopt.training.speed.processes import Together
from lit_lossopt.training.speed.ratios import FEWEST, RULE, Speed, fastest

PACKAGES = ("torch", "lightning")
_HEADS = ("setting", "steps/s", "ratio [range]", "CPU s")
_MARK = " *"
# Load of a minute below which no other program can have taken part of a core for long.
_QUIET = 0.5
# Columns of a usual terminal.
_WIDTH = 80
_CHANGES = "* changes the arithmetic; compare accuracy with paired seeds first"
NO_UNITS = "bf16 is not measured: this processor has no units for it, so that training would be slower."


@dataclass(frozen=True)
class Findings:
    """Everything that a command found.

    Attributes:
        words: of the settings, as typed.
        training: what was trained, in words.
        measured: the candidates.
        has_units: whether the device multiplies bfloat16 numbers by itself.
        together: several trainings at once; None: not measured.
        why_not: why several trainings were not measured. Empty where they were.
        load: of the machine in the minute before, in cores.
    """

    words: tuple[str, ...]
    training: str
    measured: Measured
    has_units: bool
    together: Together | None
    why_not: str
    load: float

    @property
    def recommended(self) -> Candidate | None:
        """The fastest safe candidate, if one is faster by the rule."""
        safe = {one.name: one for one in self.measured.candidates if one.is_safe}
        name = fastest({name: one for name, one in self.measured.found.items() if name in safe})
        return safe[name] if name else None

    @property
    def command(self) -> str:
        """The training under the recommended settings, as a person types it; empty without any."""
        chosen = self.recommended
        if chosen is None:
            return ""
        keys = [word.removeprefix("--").partition("=")[0] for word in chosen.words]
        return typed(["fit", *without_flags(self.words, keys), *chosen.words])


def machine_line() -> str:
    """Return the processor, the cores that may be used, and versions."""
    found = ", ".join(f"{name} {version}" for name, version in versions(PACKAGES).items())
    return f"{processor()}, {counted(cores(), 'core')}, {found}"


def lines(findings: Findings) -> Iterator[str]:
    """Yield what a person reads behind the first line."""
    yield findings.training
    yield ""
    yield from table(findings.measured.candidates, findings.measured.found)
    yield ""
    yield from (fitted(line, _WIDTH) for line in _words(findings))


def _words(findings: Findings) -> Iterator[str]:
    measured = findings.measured
    given = measured.found[measured.given.name]
    yield (
        f"{counted(given.repetitions, 'repetition').capitalize()} of {counted(measured.steps, 'step')}. Ratio: steps a "
        "second beside the settings as given, the median of repetitions and their range. CPU s: processor seconds of a "
        "step."
    )
    if any(not one.is_safe for one in measured.candidates):
        yield _CHANGES
    if not findings.has_units:
        yield NO_UNITS
    if findings.load > _QUIET:
        yield f"Other programs kept {findings.load:.1f} cores busy before this. Measure again when they have ended."
    yield ""
    yield from _advice(findings, given)
    yield from _sweeps(findings)


def table(candidates: Sequence[Candidate], found: dict[str, Speed]) -> list[str]:
    """Return the lines of the table."""
    rows = [_HEADS, *(_row(one, found[one.name]) for one in candidates if one.name in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return [_aligned(row, widths) for row in rows]


def _row(candidate: Candidate, one: Speed) -> tuple[str, ...]:
    name = candidate.name + ("" if candidate.is_safe else _MARK)
    ratio = f"{one.ratio:.2f}{bracketed(one.low, one.high, _two_digits)}" if candidate.words else "1"
    return name, significant(one.rate), ratio, significant(one.processor)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    name, rate, ratio, processor_seconds = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"{name} {rate.strip():>{widths[1]}} {ratio} {processor_seconds.strip():>{widths[3]}}"


def _advice(findings: Findings, given: Speed) -> Iterator[str]:
    chosen = findings.recommended
    if chosen is not None:
        yield f"Recommended: {chosen.name}"
        yield findings.command
    elif given.repetitions < FEWEST:
        yield _few(given)
    else:
        yield "No safe setting is faster beyond doubt. The settings as given are the fastest."
    yield RULE
    yield ""


def _few(one: Speed) -> str:
    return f"{counted(one.repetitions, 'repetition').capitalize()} cannot tell which is faster. Give more --seconds."


def _sweeps(findings: Findings) -> Iterator[str]:
    together = findings.together
    if together is None:
        yield f"For sweeps: not measured, {findings.why_not}"
        return
    found, count = together.found, together.count
    yield (
        f"For sweeps: {count} trainings at once, with one thread each, make together {found.ratio:.2f}"
        f"{bracketed(found.low, found.high, _two_digits)} times the steps of one training with {count} threads."
    )
    if found.is_faster:
        yield f"Recommended for sweeps: --workers {count} --threads 1"
    elif found.repetitions < FEWEST:
        yield _few(found)
    else:
        yield "That is not faster beyond doubt."


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


def as_json(findings: Findings) -> str:
    """Return everything that was measured."""
    measured, chosen, together = findings.measured, findings.recommended, findings.together
    found = measured.found
    content = {
        "machine": {"processor": processor(), "cores": cores(), **versions(PACKAGES), "bf16_units": findings.has_units},
        "settings": list(findings.words),
        "training": findings.training,
        "load_before": findings.load,
        "rule": RULE,
        "steps_of_a_block": measured.steps,
        "candidates": [_entry(one, found[one.name], measured) for one in measured.candidates if one.name in found],
        "recommended": list(chosen.words) if chosen else [],
        "command": findings.command,
        "several_at_once": _entry_of_several(together) if together else {"not_measured": findings.why_not},
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _entry(candidate: Candidate, one: Speed, measured: Measured) -> dict[str, object]:
    blocks = [asdict(blocks[candidate.name]) for blocks in measured.repetitions if candidate.name in blocks]
    return {
        "name": candidate.name,
        "words": list(candidate.words),
        "threads": candidate.threads,
        "changes_arithmetic": not candidate.is_safe,
        **asdict(one),
        "is_faster": one.is_faster,
        "blocks": blocks,
    }


def _entry_of_several(together: Together) -> dict[str, object]:
    blocks = [{name: asdict(block) for name, block in found.items()} for found in together.repetitions]
    found = together.found
    words = ["--workers", str(together.count), "--threads", "1"] if found.is_faster else []
    return {"count": together.count, **asdict(found), "is_faster": found.is_faster, "words": words, "blocks": blocks}
