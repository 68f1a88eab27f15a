"""A sweep in the store.

It is one parent run with its trials nested below it. Which of them have ended, and how, is asked here.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.names import LAST_STATE, RESULTS, Status, kept_state
from lit_lossopt.core.quiet import quiet_stores
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.addresses import local_path, tracking_uri
from lit_lossopt.tracking.places import local_artifacts
from lit_lossopt.tracking.store import STORE_ERRORS, Store
from lit_lossopt.tracking.sync import sync_journal
from lit_lossopt.tracking.trial_runs import TrialRun, read_header, seconds_between

_ACCURACY = names.metric(names.VAL, "accuracy")


@dataclass
class SweepRuns:
    """The runs of one sweep.

    Args:
        experiment: in MLflow.
        plan: the plan's name: a sweep is known by both.
        parent: the id of the parent run, once there is one.
        known: key → run of the trials that were seen to have ended.
        race: the rules of the race that its repeats are, as the text of a tag. Empty: they are none.
    """

    experiment: str
    plan: str
    parent: str = ""
    known: dict[str, TrialRun] = field(default_factory=dict)
    race: str = ""

    def __post_init__(self) -> None:
        quiet_stores()
        self._store = Store(tracking_uri())
        self._experiment_id = self._description = ""

    def artifacts_are_here(self) -> bool:
        """Return True if the experiment keeps its files in a folder here.

        Raises:
            UserError: the store does not answer.
        """
        with _said(self._store.uri):
            self._experiment_id = self._store.experiment_id(self.experiment, str(Path(names.RUNS_FOLDER).absolute()))
            return local_path(str(self._store.client.get_experiment(self._experiment_id).artifact_location)) is not None

    def begin(self, sha256: str, description: str) -> bool:
        """Find or make the parent run, and set it RUNNING.

        Args:
            sha256: hash of the plan.
            description: of the sweep, in Markdown.

        Returns:
            Whether the plan has changed since the sweep was last begun.

        Raises:
            UserError: the store does not answer.
        """
        with _said(self._store.uri):
            self._experiment_id = self._store.experiment_id(self.experiment, str(Path(names.RUNS_FOLDER).absolute()))
            self._description = description
            found = self._search(f"tags.`{names.TAG_PLAN}` = '{self.plan}'")
            before = found[0].data.tags.get(names.TAG_PLAN_SHA256) if found else sha256
            tags = {names.TAG_PLAN: self.plan, names.TAG_PLAN_SHA256: sha256, names.TAG_DESCRIPTION: description}
            if found:
                self.parent = str(found[0].info.run_id)
                for name, value in tags.items():
                    self._store.client.set_tag(self.parent, name, value)
                self._store.client.update_run(self.parent, status=Status.RUNNING)
            else:
                run = self._store.client.create_run(self._experiment_id, None, tags, f"sweep {self.plan}")
                self.parent = str(run.info.run_id)
        return bool(before != sha256)

    def tracking_words(self, key: str, arm: str, phase: str, planned_seeds: int) -> tuple[str, ...]:
        """Return the words that put a trial's run below the sweep.

        The number of planned seeds tells later whether seeds were added to the plan.
        """
        raced = {names.TAG_RACE: self.race} if self.race and phase == names.REPEAT else {}
        tags = json.dumps(
            {
                names.TAG_SWEEP: self.parent,
                names.TAG_SWEEP_KEY: key,
                names.TAG_SWEEP_ARM: arm,
                names.TAG_PHASE: phase,
                names.TAG_PLANNED_SEEDS: str(planned_seeds),
                **raced,
            }
        )
        return (
            f"--tracking.experiment={self.experiment}",
            f"--tracking.tags={tags}",
            f"--tracking.parent={self.parent}",
        )

    def settle(self, key: str = "", *, stopped: bool = False) -> set[str]:
        """Deliver what killed trials left in their journals.

        Their runs are marked KILLED.

        Args:
            key: of the trial. Empty: all trials.
            stopped: they were ended because a person wanted it, which does not count as a kill.

        Returns:
            The keys of trials that other processes still train.
        """
        busy = set()
        for folder in sorted(Path(names.JOURNAL_FOLDER).glob("*")):
            tags = read_header(folder).get("tags", {})
            mine = tags.get(names.TAG_SWEEP) == self.parent and (not key or tags.get(names.TAG_SWEEP_KEY) == key)
            if mine and sync_journal(folder, stopped=stopped) == "busy":
                busy.add(tags.get(names.TAG_SWEEP_KEY, ""))
        return busy

    def ended(self, keys: Iterable[str]) -> dict[str, TrialRun]:
        """Return key → run of those trials that have ended.

        If a trial has ended twice, the first run counts.

        Raises:
            UserError: the store does not answer.
        """
        wanted = set(keys)
        missing = wanted - set(self.known)
        # One is asked for when a trial ends: reading all runs each time would take ever longer.
        only = f" AND tags.`{names.TAG_SWEEP_KEY}` = '{next(iter(missing))}'" if len(missing) == 1 else ""
        with _said(self._store.uri):
            for run in self._search(f"tags.`{names.TAG_SWEEP}` = '{self.parent}'{only}") if missing else ():
                key = run.data.tags.get(names.TAG_SWEEP_KEY, "")
                if run.data.tags.get(names.TAG_VERDICT) in RESULTS and run.info.end_time and key not in self.known:
                    self.known[key] = self._trial_run(run)
        return {key: run for key, run in self.known.items() if key in wanted}

    def states_kept(self, key: str, steps: Collection[int | None]) -> set[int | None]:
        """Return the steps of which a run of a trial that has ended has kept the state.

        Args:
            key: of the trial.
            steps: those that are asked for. None stands for the end.

        Raises:
            UserError: the store does not answer.
        """
        with _said(self._store.uri):
            found = self._search(
                f"tags.`{names.TAG_SWEEP}` = '{self.parent}' AND tags.`{names.TAG_SWEEP_KEY}` = '{key}'"
            )
            runs = [self._trial_run(run) for run in found if run.data.tags.get(names.TAG_VERDICT) in RESULTS]
        return {step for step in steps if any(_has_state(run, step) for run in runs)}

    def kills(self) -> dict[str, int]:
        """Return trial key → how often its process was killed without a word."""
        with _said(self._store.uri):
            runs = self._search(f"tags.`{names.TAG_SWEEP}` = '{self.parent}'")
        counted: dict[str, int] = {}
        for tags in (run.data.tags for run in runs):
            key = tags.get(names.TAG_SWEEP_KEY, "")
            counted[key] = counted.get(key, 0) + int(tags.get(names.TAG_KILLED, 0))
        return counted

    def begin_race(self, rules: str, keys: Iterable[str]) -> None:
        """Tag the repeats with the rules of their race, those that have ended and those that will begin.

        Args:
            rules: as the text of a tag.
            keys: of all trials that may be a part of the race.
        """
        self.race, ended = rules, self.ended(keys)
        with _said(self._store.uri):
            for run in ended.values():
                if run.tags.get(names.TAG_RACE) != rules:
                    self._store.client.set_tag(run.run_id, names.TAG_RACE, rules)

    def sort(self, wanted: Mapping[str, tuple[str, str]]) -> int:
        """Tag the runs of this sweep as the plan now has them.

        Args:
            wanted: key → (arm, phase) of every trial of the plan.

        Returns:
            How many runs more are set aside.
        """
        aside, seen = 0, self.ended(wanted)
        with _said(self._store.uri):
            for run in self._search(f"tags.`{names.TAG_SWEEP}` = '{self.parent}'"):
                key, before = run.data.tags.get(names.TAG_SWEEP_KEY, ""), run.data.tags.get(names.TAG_PHASE)
                if run.data.tags.get(names.TAG_VERDICT) not in RESULTS:
                    # An attempt without a result, which nothing counts.
                    continue
                is_it = key in seen and seen[key].run_id == run.info.run_id
                arm, phase = wanted[key] if is_it else (run.data.tags.get(names.TAG_SWEEP_ARM, ""), names.ASIDE)
                aside += phase == names.ASIDE != before
                # An empty text takes the rules of a race away from what is repeated in another way now.
                raced = self.race if phase == names.REPEAT else ""
                for name, value in ((names.TAG_SWEEP_ARM, arm), (names.TAG_PHASE, phase), (names.TAG_RACE, raced)):
                    if run.data.tags.get(name, "") != value:
                        self._store.client.set_tag(run.info.run_id, name, value)
        return aside

    def end(self, status: str, files: Mapping[str, str]) -> None:
        """End the parent run.

        A store that does not take it raises nothing.

        Args:
            status: of MLflow.
            files: name → text of further artifacts.
        """
        with suppress(*STORE_ERRORS):
            for name, text in files.items():
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder, name)
                    file.write_text(redact(text), encoding="utf-8")
                    self._store.keep(self.parent, file, "", Path.cwd())
        with suppress(*STORE_ERRORS):
            self._store.client.set_terminated(self.parent, status, time.time_ns() // 1_000_000)

    def answer(self, metrics: Mapping[str, float], said: Sequence[str]) -> None:
        """Keep the sweep's answer with the parent run.

        A store that does not take it raises nothing.

        Args:
            metrics: name → value.
            said: sentences.
        """
        now = time.time_ns() // 1_000_000
        text = redact("\n\n".join([*said, self._description]))
        with suppress(*STORE_ERRORS):
            self._store.client.log_batch(self.parent, [Metric(name, one, now, 0) for name, one in metrics.items()])
            self._store.client.set_tag(self.parent, names.TAG_DESCRIPTION, text)

    @property
    def experiment_id(self) -> str:
        """The experiment's id, empty before the store was asked."""
        return self._experiment_id

    @property
    def uri(self) -> str:
        """The store's address."""
        return self._store.uri

    def filter(self) -> str:
        """Return MLflow's filter for the trials of the plan."""
        return f"tags.`{names.TAG_SWEEP}` = '{self.parent}' AND tags.`{names.TAG_PHASE}` != '{names.ASIDE}'"

    def keep(self, file: Path) -> None:
        """Keep a file among the parent's artifacts.

        A store that does not take it raises nothing.
        """
        with suppress(*STORE_ERRORS):
            self._store.keep(self.parent, file, "", Path.cwd())

    def _search(self, filter_string: str) -> list[Any]:
        client, runs, token = self._store.client, [], None
        while True:
            page = client.search_runs(
                [self._experiment_id], filter_string, max_results=1000, order_by=["attributes.start_time ASC"],
                page_token=token,
            )  # fmt: skip
            runs += list(page)
            token = page.token
            if not token:
                return runs

    def _trial_run(self, run: Any) -> TrialRun:
        points = self._store.client.get_metric_history(run.info.run_id, _ACCURACY)
        points = sorted(points, key=lambda point: int(point.step))
        values = tuple(point.value for point in points)
        seconds = seconds_between(run.info.start_time, run.info.end_time)
        verdict, artifacts = run.data.tags[names.TAG_VERDICT], str(run.info.artifact_uri)
        return TrialRun(
            str(run.info.run_id), verdict, values, seconds, run.data.tags, run.data.metrics, artifacts,
            int(points[-1].step) if points else 0,
        )  # fmt: skip


def _has_state(run: TrialRun, step: int | None) -> bool:
    """Return whether a run has kept a state. Of runs whose files are on another machine it is believed.

    Args:
        run: that has ended.
        step: after which. None stands for its end.
    """
    artifacts = local_artifacts(run.artifacts, Path.cwd())
    name = LAST_STATE if step is None else kept_state(step)
    return artifacts is None or (artifacts / names.CHECKPOINT_FOLDER / name).is_file()


@contextmanager
def _said(uri: str) -> Iterator[None]:
    """Turn a store's trouble into a line for the person."""
    try:
        yield
    except STORE_ERRORS as error:
        raise UserError(redact(f"the sweep needs its store: {uri}: {one_line(str(error), 200)}")) from error
