"""One training run as one MLflow run.

Every value of every step goes in. Training never waits for the store that they go to.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.names import Verdict
from lit_lossopt.tracking.addresses import absolute_uri, tracking_uri
from lit_lossopt.tracking.artifact_roots import check_artifact_root
from lit_lossopt.tracking.delivery import Delivery
from lit_lossopt.tracking.ending import Ending, conclude, experiment_of, say
from lit_lossopt.tracking.entries import count_points
from lit_lossopt.tracking.experiment import check_experiment
from lit_lossopt.tracking.journal import Journal, JournalBusyError
from lit_lossopt.tracking.journal_logger import JournalLogger, now
from lit_lossopt.tracking.journal_reading import iterate_entries, read_entries
from lit_lossopt.tracking.lost_values import Lost
from lit_lossopt.tracking.past import read_past, tags_of_ending
from lit_lossopt.tracking.places import local_artifacts
from lit_lossopt.tracking.probe import places_of_a_run, probe_places
from lit_lossopt.tracking.recording import NewPoints
from lit_lossopt.tracking.remote_store import RemoteStore
from lit_lossopt.tracking.run_journals import free_journal, journal_of
from lit_lossopt.tracking.run_store import TROUBLES
from lit_lossopt.tracking.unsent import unsent_folder
from lit_lossopt.tracking.writer import Writer

# Seconds to wait for the store: at most for a run to be made, and at the end of one that was told to stop.
START, HURRY = 10.0, 5.0


class RunLogger(JournalLogger):
    """Writes a training run to MLflow.

    The store is ``sqlite:///mlflow.db`` in the working folder unless ``MLFLOW_TRACKING_URI`` says otherwise. So
    a bare ``mlflow ui`` in the same folder shows the run. With a local store the artifacts lie under ``./mlruns``.

    What is logged goes to a journal under ``mlruns/journal``. A thread and a process beside it send it from there to
    the store. A store that is locked, slow or gone does not delay training, and loses nothing.

    Args:
        experiment: the MLflow experiment, made if it does not exist.
        run_name: shown in MLflow, by default optimizer, rate, loss and seed.
        patience: seconds to wait at the end for a store that does not take what is left.
        tags: further tags of the run, as a sweep gives its trials.
        parent: the run under which MLflow shows this one.

    Raises:
        UserError: the store refuses the run, or its address holds a password.
    """

    def __init__(
        self,
        experiment: str = names.EXPERIMENT,
        run_name: str | None = None,
        patience: float = 30.0,
        tags: dict[str, str] | None = None,
        parent: str | None = None,
    ) -> None:
        super().__init__()
        check_experiment(experiment)
        self.experiment_name = experiment
        self.run_name = run_name
        self.patience = patience
        self._tags = {**(tags or {}), **({names.TAG_PARENT: parent} if parent else {})}
        self._store = RemoteStore(tracking_uri())
        self._id: str | None = None
        # Known at the end of a run that the store has taken.
        self.experiment_id = ""
        self._attached = False
        self._local_artifacts: Path | None = None
        self._ending = Ending()
        self._begun_from = self._branch = ""
        self.lost = Lost()

    @property
    def attempt(self) -> int:
        """How often this run was begun or resumed."""
        return self._past.attempt

    @property
    def name(self) -> str:
        """The experiment."""
        return self.experiment_name

    @property
    def version(self) -> str | None:
        """The run's id, or its journal's until the store has answered."""
        return (self._writer.delivery.run_id if self._writer else None) or self._id

    @property
    def is_nested(self) -> bool:
        """Whether the run stands below another one."""
        return names.TAG_PARENT in self._tags

    @property
    def tracking_uri(self) -> str:
        """Where the runs are kept."""
        return self._store.uri

    def checkpoint_folder(self) -> Path:
        """Return the local folder for checkpoints.

        It is among the run's artifacts. If these are remote, the folder waits here until the end of the run.
        """
        self.start()
        folder = self._local_artifacts or unsent_folder([*self._past.former_ids, str(self._id)])
        return folder / names.CHECKPOINT_FOLDER

    def begin_from(self, run_id: str) -> None:
        """Name the run whose checkpoint this new run begins from."""
        self._begun_from = run_id

    def branch_off(self, run_id: str, step: int) -> None:
        """Name the run that this new run is a branch of, and the step behind which it begins."""
        self._branch = f"{run_id}@{step}"

    @rank_zero_only
    def start(
        self,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Create the run, unless it exists.

        A store that does not answer gets some time. After that the values wait in the journal.

        Args:
            run_name: shown in MLflow, if none was configured.
            params: the run's parameters.
            tags: the run's tags, beside those that were configured.

        Raises:
            UserError: the store refuses the run, or a local folder is read-only or full.
        """
        if self._journal is not None:
            return
        probe_places(places_of_a_run(self.tracking_uri))
        self._id = uuid.uuid4().hex
        self._journal = Journal(Path(names.JOURNAL_FOLDER) / self._id)
        header = {"experiment": self.experiment_name, "run_name": self.run_name or run_name}
        header["uri"] = absolute_uri(self.tracking_uri)
        header["artifact_root"] = str(Path(names.RUNS_FOLDER).absolute())
        tags = {names.TAG_FRAMEWORK: "pytorch", **self._tags, **(tags or {})}
        if self._begun_from:
            tags[names.TAG_CONTINUES] = self._begun_from
        if self._branch:
            tags[names.TAG_BRANCH] = self._branch
        self._add({"kind": "run", "journal": self._id, "milliseconds": now(), "tags": tags, **header})
        self.log_hyperparams(params or {})
        delivery = self._deliver()
        if delivery.gone:
            shutil.rmtree(self._journal.folder)
            self._journal = self._writer = self._id = None
            self._store.close()
            raise UserError(f"cannot start a run in {self.tracking_uri}: {delivery.gone}")
        if delivery.run_id is None:
            making = not delivery.problem and self._store.is_being_made()
            state = "is still being made" if making else f"does not answer ({delivery.problem or 'no error yet'})"
            say(f"{self.tracking_uri} {state}; training goes on, and its values wait in {self._journal.folder}")
            return
        self._id = delivery.run_id
        self._local_artifacts = local_artifacts(str(delivery.artifact_uri), Path.cwd())

    def attach(self, run: str) -> str | None:
        """Add to an existing run without changing its status.

        Args:
            run: its id, or the name of its journal from before it was made.

        Returns:
            The run's id, or None if the store does not have it.
        """
        try:
            run_id = self._store.find_run(run)
            artifacts = self._store.artifact_uri(run_id)
        except TROUBLES:
            return None
        probe_places(places_of_a_run(self.tracking_uri))
        check_artifact_root(artifacts, self.tracking_uri, self.experiment_name, Path.cwd())
        self._journal = free_journal(run_id)
        self._id, self._attached = run_id, True
        self._local_artifacts = local_artifacts(artifacts, Path.cwd())
        self._points = NewPoints(count_points(iterate_entries(self._journal.folder)))
        self._add({"kind": "created", "run": run_id, "artifacts": artifacts, **self._address()})
        self._deliver()
        return run_id

    def resume(self, run_id: str, logged: Mapping[str, int] | None = None) -> int:
        """Go on with a run that was interrupted.

        Points that its journal or its store holds are not logged twice. A step that is trained again has the same
        values.

        Args:
            run_id: its id, or the name of its journal from before it was made.
            logged: metric → number of points that were logged when the checkpoint was saved.

        Returns:
            The number of this attempt.

        Raises:
            UserError: another process has the run, or its store does not know it.
        """
        probe_places(places_of_a_run(self.tracking_uri))
        try:
            self._journal = Journal(journal_of(Path(names.JOURNAL_FOLDER), run_id))
        except JournalBusyError as error:
            raise UserError(
                f"run {run_id} is being trained or delivered by another process; wait for it, or stop it"
            ) from error
        entries = read_entries(self._journal.folder)
        self._id = run_id
        self._past = read_past(entries, self._store, run_id, logged or {})
        self._points = NewPoints(self._past.points, self._past.last_steps)
        if self._past.gaps[-1] is None:
            say("the clock was set back since this run was interrupted, so it is not known how long it rested")
        self._ending.description, back = tags_of_ending(entries)
        if back:
            self.log_tags(back)
        if not entries:
            self._take_over(run_id)
        self._add({"kind": "running", "gap": self._past.gaps[-1], "milliseconds": now()})
        self.log_tags(self._past.tags())
        delivery = self._deliver()
        self._local_artifacts = local_artifacts(delivery.artifact_uri, Path.cwd()) if delivery.artifact_uri else None
        return self._past.attempt

    def _take_over(self, run_id: str) -> None:
        """Begin a journal for a run that another machine has logged."""
        try:
            self._id = run_id = self._store.find_run(run_id)
            artifacts = self._store.artifact_uri(run_id)
            self._points = NewPoints(self._past.points, self._store.last_steps(run_id))
        except TROUBLES as error:
            raise UserError(f"run {run_id} cannot be continued: {one_line(str(error), 200)}") from error
        self._add({"kind": "created", "run": run_id, "artifacts": artifacts, **self._address()})

    def describe(self, text: str) -> None:
        """Set the run's description, in Markdown.

        How the run ended is added to it at the end.
        """
        self._ending.description = text
        self.log_tags({names.TAG_DESCRIPTION: text})

    def set_verdict(self, verdict: Verdict, evidence: str = "", last_good_step: int | None = None) -> None:
        """Say how the run ends, and why.

        It is stored when the run is finalised.
        """
        self._ending.set(verdict, evidence, last_good_step)

    def set_findings(self, findings: Sequence[tuple[str, str]]) -> None:
        """Say what diagnostics found, kind and sentence of each.

        It is stored when the run is finalised.
        """
        self._ending.findings = tuple(findings)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run, and say what the store lacks.

        What waits is delivered first. Then the store is asked how many points it holds.
        """
        if self._journal is None or self._writer is None:
            return
        if status != "success" and self._ending.verdict == Verdict.COMPLETED:
            self._ending.verdict = Verdict.FAILED
        if not self._attached and self._local_artifacts is None:
            # Relative, so that it is found where all of it is moved.
            self._add({"kind": "folder", "path": str(self.checkpoint_folder()), "folder": names.CHECKPOINT_FOLDER})
        last_words = [] if self._attached else self._ending.entries(now())
        self._add(*last_words, last=True)
        at_most = HURRY if self._ending.verdict == Verdict.INTERRUPTED else float("inf")
        done = self._writer.drain(min(self.patience, at_most), at_most)
        delivery = self._writer.delivery
        self._journal, self._writer, self._id = None, None, self.version
        self.lost = conclude(
            delivery, self._store, self._points.expected, last_words, self._lost_files, self._past.lost, done=done
        )
        if done and not self._attached:
            self.experiment_id = experiment_of(delivery, self._store)
        self._store.close()

    def _address(self) -> dict[str, str]:
        """Return the store's address and the folder where it holds."""
        return {"uri": absolute_uri(self.tracking_uri), "home": str(Path.cwd())}

    def _deliver(self) -> Delivery:
        """Start the writer and give it time to reach the run."""
        assert self._journal is not None
        delivery = Delivery(self._journal, self._store)
        self._writer = Writer(delivery)
        self._writer.wait_for_run(min(START, self.patience))
        return delivery
