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
from lit_lossopt.core.names import RESULTS, Status
from lit_lossopt.core.quiet import quiet_stores
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.addresses import local_path, tracking_uri
from lit_lossopt.tracking.store import STORE_ERRORS, Store
from lit_lossopt.tracking.sync import sync_journal
from lit_lossopt.tracking.trial_results import has_state, trial_runs_of
from lit_lossopt.tracking.trial_runs import TrialRun, read_header


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
        # Name of a journal → its sweep and its trial. They stay, so that each journal is opened once for them.
        self._trial_of: dict[str, tuple[str, str]] = {}

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
            sweep, own_key = self._trial_of.get(folder.name) or self._read_trial_of(folder)
            mine = sweep == self.parent and (not key or own_key == key)
            if mine and sync_journal(folder, stopped=stopped) == "busy":
                busy.add(own_key)
        return busy

    def _read_trial_of(self, folder: Path) -> tuple[str, str]:
        """Return the sweep and the trial of a journal."""
        header = read_header(folder)
        tags = header.get("tags", {})
        found = tags.get(names.TAG_SWEEP, ""), tags.get(names.TAG_SWEEP_KEY, "")
        if header:
            self._trial_of[folder.name] = found
        return found

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
        if missing:
            with _said(self._store.uri):
                self._note_ended(self._search(f"tags.`{names.TAG_SWEEP}` = '{self.parent}'{only}"))
        if len(wanted) == 1:
            return {key: self.known[key] for key in wanted & self.known.keys()}
        return {key: run for key, run in self.known.items() if key in wanted}

    def standing(self, keys: Iterable[str]) -> tuple[dict[str, TrialRun], dict[str, int]]:
        """Return the trials that have ended, and how often the process of each trial was killed without a word.

        The store is asked once for both.

        Args:
            keys: of the trials whose ends are returned.

        Raises:
            UserError: the store does not answer.
        """
        with _said(self._store.uri):
            runs = self._search(f"tags.`{names.TAG_SWEEP}` = '{self.parent}'")
            self._note_ended(runs)
        counted: dict[str, int] = {}
        for tags in (run.data.tags for run in runs):
            key = tags.get(names.TAG_SWEEP_KEY, "")
            counted[key] = counted.get(key, 0) + int(tags.get(names.TAG_KILLED, 0))
        wanted = set(keys)
        return {key: run for key, run in self.known.items() if key in wanted}, counted

    def _note_ended(self, runs: Sequence[Any]) -> None:
        """Keep the first run of each trial that has ended."""
        first: dict[str, Any] = {}
        for run in runs:
            key = run.data.tags.get(names.TAG_SWEEP_KEY, "")
            if run.data.tags.get(names.TAG_VERDICT) in RESULTS and run.info.end_time and key not in self.known:
                first.setdefault(key, run)
        self.known |= dict(zip(first, trial_runs_of(list(first.values())), strict=True))

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
            runs = trial_runs_of([run for run in found if run.data.tags.get(names.TAG_VERDICT) in RESULTS])
        return {step for step in steps if any(has_state(run, step) for run in runs)}

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


@contextmanager
def _said(uri: str) -> Iterator[None]:
    """Turn a store's trouble into a line for the person."""
    try:
        yield
    except STORE_ERRORS as error:
        raise UserError(redact(f"the sweep needs its store: {uri}: {one_line(str(error), 200)}")) from error
