"""The protocol of a sweep over any engine.

It runs what is missing, extends, chooses, repeats, tests, and says what failed.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.given import holds_objects
from lit_lossopt.core.names import Exit, Verdict
from lit_lossopt.sweeps.plan.arms import Reach, arms, on_grids, searches
from lit_lossopt.sweeps.plan.file import GRID, Plan
from lit_lossopt.sweeps.plan.key import fingerprint
from lit_lossopt.sweeps.plan.points import Point
from lit_lossopt.sweeps.plan.trials import REPEAT, TEST, TUNING, check_plan, described_point, repeats, search_trials
from lit_lossopt.sweeps.progress import described
from lit_lossopt.sweeps.race import race
from lit_lossopt.sweeps.selection import edge, final, winner
from lit_lossopt.sweeps.testing import tests
from lit_lossopt.sweeps.time_limit import TimeLimit, limit_of
from lit_lossopt.sweeps.trial import ENDED, Engine, Outcome, Trial, Watch, with_trunks
from lit_lossopt.tracking.sweeps import SweepRuns
from lit_lossopt.tracking.trial_runs import TrialRun

# A trial whose process was killed is tried again twice, by one parent or several.
MOST_KILLS = 3
_NO_CHECKPOINTS = "--trainer.enable_checkpointing=false"
_GO_ON = "--resume=auto"


@dataclass
class Sweep:
    """A sweep under way.

    Args:
        plan: what is compared.
        runs: of this sweep in the store, begun.
        engine: what runs trials.
        watch: told what each worker does.
        say: prints a line.
        show: shows how a race stands, in the place of what it showed before.
        keep_checkpoints: of every trial; otherwise of repeats only.
    """

    plan: Plan
    runs: SweepRuns
    engine: Engine
    watch: Watch
    say: Callable[[str], None]
    keep_checkpoints: bool = False
    show: Callable[[str], None] = lambda _: None
    trials: dict[str, Trial] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    left: int = 0
    tested: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    limit: TimeLimit = field(default_factory=TimeLimit)
    _busy: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Run all that is missing.

        Return 0, or 1 where trials failed or time was up.

        Raises:
            Interrupted: Ctrl-C, SIGTERM, or a trial that was told to stop.
            UserError: the store does not answer.
        """
        self.limit = limit_of(self.plan.max_minutes, "the plan's")
        self._busy = self.runs.settle()
        reach = self._search()
        if self.plan.protocol != GRID and not self.left:
            self._repeat(reach)
        if not self.left:
            aside = self.runs.sort({key: (trial.arm, trial.phase) for key, trial in self.trials.items()})
            if aside:
                raced = "the race does not need them, or " if self.plan.race else ""
                why = f"{raced}they are not in the plan any more or repeat a trial"
                self.say(f"{aside} results were set aside, because {why}")
        return Exit.FAILED if self.failed or self.left else Exit.DONE

    def results(self) -> dict[str, TrialRun]:
        """Return the plan's ended trials as key → run."""
        return self.runs.ended(self.trials)

    def _search(self) -> Reach:
        """Run the search and return how far it went.

        It is extended where a best point lies at an edge.
        """
        reach = Reach()
        if self.plan.race and not searches(self.plan):
            # A race without a search begins with its first look.
            return reach
        self.run_missing(search_trials(self.plan))
        for _ in range(self.plan.extend):
            wider = reach if self.left else self._wider(reach)
            if wider == reach:
                break
            reach = wider
            # What was trained for branches alone may turn out to be a point of an arm.
            own = {key for key, trial in self.trials.items() if trial.phase != names.TRUNK}
            self.run_missing([trial for trial in search_trials(self.plan, reach) if trial.key not in own])
        for name, side in ({} if self.left else self._at_edge(reach)).items():
            end = "below" if side.below else "above"
            self.say(f"{name}: its best point still lies at the edge of the grid; widen learning_rates {end}")
        return reach

    def _wider(self, reach: Reach) -> Reach:
        """Return the reach with one more point at each end.

        It is for grids of which an arm has its best at an end.
        """
        sides = self._at_edge(reach)
        below, above = (max((getattr(side, end) for side in sides.values()), default=0) for end in ("below", "above"))
        if below or above:
            where = ", ".join(f"{name} ({'lower' if side.below else 'upper'})" for name, side in sides.items())
            self.say(f"the best point lies at an end of the grid: {where}; every arm gets one more point there")
        return Reach(reach.below + below, reach.above + above)

    def _at_edge(self, reach: Reach) -> dict[str, Reach]:
        """Return the arms whose best point lies at an end.

        With each comes that end of its grid.
        """
        if not on_grids(self.plan):
            return {}
        tried, results = tuple(self.trials.values()), self.results()
        found = {arm.name: edge(arm, reach, tried, results) for arm in arms(self.plan)}
        return {name: side for name, side in found.items() if side != Reach()}

    def _repeat(self, reach: Reach) -> None:
        winners = self._winners(reach)
        if self.plan.race:
            again = race(self, winners, self.plan.race)
        else:
            again = repeats(self.plan, winners)
            self.run_missing(again)
        if self.plan.test and not self.left:
            results = self.runs.ended([trial.key for trial in again])
            self.run_missing(tests(self.plan, again, results, self.untested(results)))

    def _winners(self, reach: Reach) -> dict[str, Point]:
        tried, results = tuple(self.trials.values()), self.results()
        found: dict[str, Point] = {}
        for arm in arms(self.plan):
            if not arm.search:
                found[arm.name] = {}
                continue
            best = winner(arm, reach, tried, results)
            if best is None:
                self.notes.append(f"{arm.name}: no point of the search came to a sound end; it is not repeated")
                self.say(self.notes[-1])
            else:
                found[arm.name] = best
                self.say(f"{arm.name}: {' '.join(described_point(best))} wins")
                failed = [trial for trial in tried if trial.arm == arm.name and trial.key in self.failed]
                points = dict.fromkeys(" ".join(described_point(trial.point)) for trial in failed)
                self.notes += [f"{arm.name} was chosen without {point}, which failed" for point in points]
        return found

    def untested(self, results: Mapping[str, TrialRun]) -> set[str]:
        """Return the keys of repeats that are still to be tested.

        The plan must want it. Diverged repeats are not tested.
        """
        metric = names.metric(names.TEST, "accuracy")
        over = {key for key, run in results.items() if run.verdict == Verdict.DIVERGED or metric in run.metrics}
        again = {key for key, trial in self.trials.items() if trial.phase == REPEAT}
        return again - over - self.tested if self.plan.test else set()

    def run_missing(self, trials: Sequence[Trial]) -> None:
        """Run those of the trials that are not in the store.

        Those from which others begin come first.
        """
        whole = [self._known(trial) for trial in with_trunks(trials)]
        self.trials |= {trial.key: trial for trial in whole if trial.phase != TEST}
        for depth in sorted({trial.depth for trial in whole}):
            if not self.left:
                self._run_stage([trial for trial in whole if trial.depth == depth])

    def _known(self, trial: Trial) -> Trial:
        """Return a trial as it was asked for before, but rather as an arm's than as a trunk."""
        before = self.trials.get(trial.key, trial)
        return trial if before.phase == names.TRUNK else before

    def _run_stage(self, trials: Sequence[Trial]) -> None:
        ended, kills = self.runs.standing(self.trials)
        needed = self._states_needed(ended)
        kept = {key: self.runs.states_kept(key, needed[key]) for key in needed.keys() & ended.keys()}
        # A state that others need, and that is gone, is trained again.
        again = {key for key, steps in kept.items() if _comes_to(ended[key], needed[key] - steps)}
        ended = {key: run for key, run in ended.items() if key not in again}
        trials = [trial for trial in trials if not self._lacks_trunk(trial, ended, kept)]
        for trial in trials:
            if kills.get(trial.key, 0) >= MOST_KILLS and trial.key not in ended:
                self.given_up.add(trial.key)
                self.failed[trial.key] = (
                    f"{described(trial)}: its process was killed {kills[trial.key]} times; delete these runs in MLflow "
                    "to try it again"
                )
        missing = [trial for trial in trials if trial.key not in ended and trial.key not in self.failed]
        elsewhere = sum(trial.key in self._busy for trial in missing)
        if elsewhere:
            self.left += elsewhere
            self.say(f"{elsewhere} trials are still trained by other processes, and are not started again")
            missing = [trial for trial in missing if trial.key not in self._busy]
        if not trials:
            return
        phases = Counter(trial.phase for trial in trials)
        begun = " that begin from others" if trials[0].trunk else ""
        shown = f"{' and '.join(f'{count} {phase}' for phase, count in phases.items())} trials{begun}"
        done = sum(trial.key in ended for trial in trials)
        others = f"{done} are done, {len(missing)} to run" if done else f"{len(missing)} to run"
        self.say(f"{shown} to run" if len(missing) == len(trials) else f"{shown}: {others}")
        counted = [dataclasses.replace(trial, kills=kills.get(trial.key, 0)) for trial in missing]
        before = self.left
        try:
            wanted = self._states_needed({})
            placed = [self._placed(one, wanted.get(one.key, ()), begun=one.key in kills) for one in counted]
            self._run(placed)
        except KeyboardInterrupt:
            # What was ended because a person wanted it was not killed.
            self.runs.settle(stopped=True)
            raise
        self._busy = self.runs.settle(stopped=self.left > before)

    def _states_needed(self, ended: Mapping[str, TrialRun]) -> dict[str, set[int | None]]:
        """Return key of a trial → the steps behind which others begin that have not ended. None stands for the end."""
        needed: dict[str, set[int | None]] = {}
        for trial in self.trials.values():
            if trial.trunk and trial.key not in ended:
                needed.setdefault(trial.trunk.key, set()).add(trial.start_step)
        return needed

    def _lacks_trunk(
        self, trial: Trial, ended: Mapping[str, TrialRun], kept: Mapping[str, Collection[int | None]]
    ) -> bool:
        """Return whether a trial cannot begin, because the one from which it begins did not come so far.

        Args:
            trial: that may begin from another one.
            ended: key → run of the trials that have ended.
            kept: key of a trial → the steps of which it has kept a state.
        """
        trunk = trial.trunk
        if trunk is None or trial.key in ended:
            return False
        run, step = ended.get(trunk.key), trial.start_step
        how = "failed" if trunk.key in self.failed else ""
        if run is not None and run.verdict == Verdict.DIVERGED and step is None:
            how = "diverged"
        elif run is not None and step not in kept[trunk.key]:
            how = "diverged before that" if run.verdict == Verdict.DIVERGED else f"ended at step {run.last_step}"
        if how:
            begins_from = described(self.trials.get(trunk.key, trunk))
            self.failed[trial.key] = f"{described(trial)}: it begins from {begins_from}, which {how}"
            self.say(self.failed[trial.key])
        return trial.key in self.failed

    def _placed(self, trial: Trial, steps: Collection[int | None] = (), *, begun: bool = False) -> Trial:
        """Return a trial with the words for its place in the sweep.

        Args:
            trial: to run.
            steps: behind which others begin from it. None stands for its end.
            begun: whether it was interrupted, and is taken up.
        """
        if trial.phase == TEST:
            return dataclasses.replace(trial, tracking=(f"--tracking.experiment={self.plan.experiment}",))
        kept = self.keep_checkpoints or steps or trial.phase not in (TUNING, GRID)
        planned = len(self.plan.tuning_seeds if trial.phase == TUNING else self.plan.seeds)
        place = self.runs.tracking_words(trial.key, trial.arm, trial.phase, planned)
        more = (_NO_CHECKPOINTS,) if not kept else (_GO_ON,) if begun else ()
        if numbers := sorted(step for step in steps if step is not None):
            more = (*more, f"--checkpoints.keep_steps={json.dumps(numbers)}")
        return dataclasses.replace(trial, tracking=(*place, *more))

    def _run(self, trials: Sequence[Trial]) -> None:
        outcomes = self.engine.run(trials, self.watch, self._is_done) if trials else ()
        for ended, outcome in enumerate(outcomes, 1):
            self._note(outcome, f"[{ended}/{len(trials)}]")
            if self.limit.is_over and ended < len(trials):
                self.left += len(trials) - ended
                self.say(f"{self.limit.words} are over; {self.left} trials are left")
                return

    def _note(self, outcome: Outcome, count: str) -> None:
        trial = outcome.trial
        words = ENDED.get(outcome.status)
        if words is not None and trial.phase != TEST and not self._is_done(trial):
            self.failed[trial.key] = f"{described(trial)}: it ended, but the store has no run of it"
            self.say(f"{count} {self.failed[trial.key]}")
            return
        if words is None:
            reason = f"signal {-outcome.status}" if outcome.status < 0 else f"exit {outcome.status}"
            said = f": {one_line(outcome.said, 200)}" if outcome.said else ""
            typed = "" if holds_objects(trial.words) else f"; by hand: lossopt {shlex.join(trial.words)}"
            self.failed[trial.key] = f"{described(trial)}: {reason}{said}{typed}"
            self.say(f"{count} {described(trial)}: failed ({reason}){said}")
            return
        if trial.phase == TEST:
            self.tested.add(trial.key.removesuffix(f" {TEST}"))
        run = self.runs.ended([trial.key]).get(trial.key)
        accuracy = f"val accuracy {final(run.accuracies):.4f}, " if run and run.accuracies else ""
        self.say(f"{count} {described(trial)}: {words}{accuracy}{outcome.seconds:.1f} s")

    def _is_done(self, trial: Trial) -> bool:
        """Return whether the store has a trial's end.

        First all that its process left behind is delivered.
        """
        self.runs.settle(trial.key)
        return trial.key in self.runs.ended([trial.key])


def _comes_to(run: TrialRun, steps: Collection[int | None]) -> bool:
    """Return whether training a trial again comes to any of some steps. None stands for its end."""
    return run.verdict != Verdict.DIVERGED and any(step is None or step <= run.last_step for step in steps)


def begin(plan: Plan, runs: SweepRuns, say: Callable[[str], None]) -> None:
    """Check a plan, and find or make its parent run.

    Raises:
        UserError: the plan is wrong, or the store does not answer.
    """
    check_plan(plan)
    if plan.test and not runs.artifacts_are_here():
        raise UserError(
            f"{plan.path}: sweep.test={plan.test}: the server keeps the checkpoints, so no test could read them; "
            "leave test out, and test by hand with a checkpoint that you download"
        )
    if runs.begin(fingerprint(plan), f"Sweep by the plan `{plan.name}`; its trials are nested below."):
        say("the plan has changed since it was last run; trials that are still in it are not repeated")
