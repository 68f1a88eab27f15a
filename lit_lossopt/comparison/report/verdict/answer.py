"""The whole answer, sentence by sentence.

It also says why nothing can be claimed, how runs ended, and what diagnostics found.
"""

from __future__ import annotations

from lit_lossopt.comparison.comparison import Comparison, Decision
from lit_lossopt.comparison.measures.diagnostics import ArmFinding, findings_of_arm
from lit_lossopt.comparison.race_rules import FINAL, USUAL_SEEDS
from lit_lossopt.comparison.report.verdict.convergence import final, speed
from lit_lossopt.comparison.report.verdict.equivalence import equivalent, told_apart
from lit_lossopt.comparison.report.verdict.oscillation import oscillation
from lit_lossopt.comparison.report.verdict.race import race_sentences
from lit_lossopt.comparison.report.verdict.rates import rates
from lit_lossopt.comparison.report.verdict.special_cases import special_cases
from lit_lossopt.comparison.statistics.judge import LEAST_PAIRS
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import counted, spelled

_MOST_ENDS = 6
_MOST_FINDINGS = 3


def answer(comparison: Comparison) -> tuple[str, ...]:
    """Return what was found, one sentence for each thing.

    What decides a race comes first. Otherwise the order is speed, final value, oscillation, equivalence, what
    tuning tells, how runs ended, and what diagnostics found.

    Only what the statistics claim is stated as a fact. Nothing is said about an order that is not claimed.
    """
    race = comparison.race
    by_final = race is not None and race.rules.question == FINAL
    return (
        *_unclaimable(comparison),
        *(final(comparison) if by_final else speed(comparison)),
        *(speed(comparison) if by_final else final(comparison)),
        *race_sentences(comparison),
        *told_apart(comparison),
        *oscillation(comparison),
        *equivalent(comparison),
        *special_cases(comparison),
        *rates(comparison),
        *_ends(comparison),
        *reasons(comparison),
    )


def _ends(comparison: Comparison) -> list[str]:
    said: list[list[str]] = []
    for arm in comparison.arms:
        runs = len(arm.trials)
        ended = {
            verdict: count
            for verdict in (Verdict.DIVERGED, Verdict.COLLAPSED)
            if (count := arm.verdicts.get(verdict, 0))
        }
        if runs == 1 and ended:
            said.append([f"The only run of {arm.name} {next(iter(ended))}."])
        elif ended:
            said.append([f"{count} of {runs} runs of {arm.name} {verdict}." for verdict, count in ended.items()])
    left = len(said) - _MOST_ENDS
    more = [f"Runs of {counted(left, 'more arm')} diverged or collapsed."] if left > 0 else []
    return [*(sentence for who in said[:_MOST_ENDS] for sentence in who), *more]


def reasons(comparison: Comparison) -> list[str]:
    """Say what diagnostics found in each arm, so that "slower" comes with its reason."""
    said: list[str] = []
    for arm in comparison.arms:
        most_frequent = findings_of_arm([trial.run for trial in arm.trials])[:_MOST_FINDINGS]
        runs = [f"{finding.sentence}{_in_runs(finding)}" for finding in most_frequent]
        said += [f"Diagnostics of {arm.name}: {'. Also: '.join(runs)}."] if runs else []
    left = len(said) - _MOST_ENDS
    more = [f"Diagnostics found something in {counted(left, 'more arm')}."] if left > 0 else []
    return [*said[:_MOST_ENDS], *more]


def _in_runs(finding: ArmFinding) -> str:
    return "" if finding.of == 1 else f" (in {finding.runs} of {finding.of} runs; the numbers are of one)"


def _unclaimable(comparison: Comparison) -> list[str]:
    """Say why nothing can be claimed, if nothing can."""
    if comparison.race:
        # It says by itself what is open.
        return []
    made = [*comparison.finals, *comparison.speeds]
    if len(comparison.arms) == 1 or any(contrast.test or contrast.decision is Decision.SAME for contrast in made):
        return []
    shared = max((contrast.difference.n for contrast in made), default=0)
    needed = f"At least {spelled(LEAST_PAIRS)} that arms share are needed, better {spelled(USUAL_SEEDS)}."
    if not shared:
        return [f"No claim can be made, since the arms share no seed. {needed}"]
    if shared < LEAST_PAIRS:
        return [f"No claim can be made with {counted(shared, 'seed')}. {needed}"]
    least = max((contrast.seeds_needed or 0 for contrast in made), default=0)
    many = f"{comparison.comparisons:,} comparisons with {counted(shared, 'seed')}"
    return [
        f"No claim can be made. Among {many} some pairs stand out because their seeds agree by chance.",
        f"At least {spelled(least)} seeds are needed, or fewer arms.",
    ]
