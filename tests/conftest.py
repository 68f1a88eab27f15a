"""No test can touch a person's own runs: each has its own working folder and its own, empty store."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import none
from PIL import Image

from benchmarks.killing.zygote import Zygote
from lit_lossopt.core.imports import uncollected
from lit_lossopt.tracking.store_process import kept_process

CLASSES = ("cat", "dog", "frog")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh MLflow database; making one takes seconds, copying it none."""
    from mlflow.tracking import MlflowClient

    from tests.support.migrations import read_migrations_once

    read_migrations_once()
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session", autouse=True)
def _one_store_process() -> Iterator[None]:
    # Each would import MLflow anew.
    with kept_process():
        yield


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("LOSSOPT_TRACEBACK", raising=False)
    # Here, because the process that only hands tests out to workers needs it not.
    import torch

    from lit_lossopt.training.numerics import restore_precision

    threads, put_back_precision = torch.get_num_threads(), restore_precision()
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    yield
    torch.set_num_threads(threads)
    # Trainings set these for the whole process, and what is recorded of the next one would differ.
    put_back_precision()
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture
def drawn() -> None:
    """Let trainings of this test draw their confusion matrix; see ``tests.support.pictures``.

    That of ``digits_run`` draws it, too.
    """


@pytest.fixture(autouse=True)
def _not_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where nothing has trained yet, nothing is imported for this alone.
    pictures = sys.modules.get("lit_lossopt.training.callbacks.pictures")
    if pictures is not None and "drawn" not in request.fixturenames:
        from tests.support.pictures import empty_figure

        monkeypatch.setattr(pictures, "confusion_figure", empty_figure)


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Path:
    """Return the store of this test, ready for runs."""
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small images, three classes that differ in colour, in the layout of image folders."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 8)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 120, (32, 32, 3), dtype=np.uint8)
                pixels[..., label] += 100
                Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return root


@pytest.fixture(scope="session")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of weights of ResNet-18, 1000 classes, as torchvision would fetch it."""
    import torch
    from torchvision import models

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    return path


@dataclass(frozen=True)
class FinishedRun:
    """A run of three epochs on the digits: where it ran, its id, and its store."""

    home: Path
    run_id: str
    uri: str

    @property
    def folder(self) -> Path:
        """Its artifacts."""
        return self.home / "mlruns" / "lit_lossopt" / self.run_id / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """Its checkpoints."""
        return self.folder / "checkpoints"


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> FinishedRun:
    """Return a run that several tests read; its store is used only by those that ask for it."""
    from lit_lossopt.__main__ import main

    home = tmp_path_factory.mktemp("digits_run")
    shutil.copy(empty_store, home / "mlflow.db")
    uri = f"sqlite:///{home}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        command = ["fit", "--config", "adam", "--config", "digits", "--trainer.max_epochs=3", "--threads=1"]
        assert main([*command, "--model.optimizer.lr=0.01"]) == 0
    (folder,) = (home / "mlruns" / "lit_lossopt").iterdir()
    return FinishedRun(home, folder.name, uri)


@pytest.fixture
def in_its_store(digits_run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> FinishedRun:
    """Return that run; its store is the one that is asked."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", digits_run.uri)
    return digits_run


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Return what starts processes of the program that can be killed."""
    one = Zygote("tests.support.pictures:rehearse")
    yield one
    one.close()


# Of these long tables the default tier takes so many rows, evenly spread. `make test-all` takes all of them.
FEW_ROWS = {
    "test_torch_rules.py::test_a_rule_is_torchs": 12,
    "test_torch_rules.py::test_with_all_forms_a_rule_is_keras": 9,
    "test_torch_rules.py::test_each_form_alone_is_not_torchs": 6,
    "test_torch_rules.py::test_without_each_form_a_rule_is_not_keras": 6,
    "test_torch_rules.py::test_in_float32_only_rounding_differs": 4,
    "test_torch_rules.py::test_in_float32_all_forms_are_keras_but_for_rounding": 3,
    "test_torch_rules.py::test_a_rule_goes_on_from_its_saved_variables": 3,
    "test_keras_rules.py::test_a_rule_is_keras": 9,
    "test_keras_rules.py::test_in_float32_only_rounding_differs": 4,
    "test_resolved_configs.py::test_a_pair_is_as_recorded_the_second_alone_unless_the_class_is_the_same": 13,
    "test_resume_settings.py::test_where_nothing_is_left_to_train_no_run_begins": 1,
    "test_resume_settings.py::test_another_optimizer_goes_on_with_the_weights": 1,
    "test_landscape.py::test_the_same_runs_give_the_same_file": 1,
    "test_landscape.py::test_runs_that_share_no_map_are_one_line": 2,
    "test_optimizers_contract.py::test_the_loss_falls": 8,
    "test_diagnostics.py::test_what_is_trained_is_the_same_to_the_bit": 1,
    "test_diagnostics.py::test_killed_and_resumed_every_value_is_there_once_and_the_same": 1,
    "test_diagnostics.py::test_unusual_trainings_are_measured_and_recorded_whole": 1,
    "test_findings.py::test_what_is_provoked_is_named": 2,
    "test_sharpness.py::test_the_needle_is_at_one_where_steps_begin_to_run_away": 3,
    "test_findings.py::test_a_healthy_run_has_none": 1,
    "test_batch_statistics.py::test_killed_and_resumed_it_is_the_same_to_the_bit": 1,
    "test_fit.py::test_each_loss_learns_ten_and_two_classes": 1,
    "test_fit.py::test_every_shipped_config_trains": 2,
    "test_fit.py::test_what_only_the_libraries_can_judge_is_one_line_too": 16,
    "test_fit.py::test_half_precision_trains": 1,
    "test_fit.py::test_a_store_that_cannot_be_used_is_one_line": 3,
    "test_fit.py::test_a_metric_that_is_not_measured_is_refused_before_a_run_exists": 3,
    "test_fit.py::test_evaluated_values_do_not_depend_on_the_evaluations_batch_size": 1,
    "test_fit.py::test_weights_are_given_as_lists": 1,
    "test_fit.py::test_what_is_no_checkpoint_is_one_line": 4,
    "test_tracking_faults.py::test_a_server_that_misbehaves_gets_every_point_once": 1,
    "test_tracking_faults.py::test_a_store_in_a_folder_of_any_name": 1,
    "test_tracking_faults.py::test_a_signal_leaves_everything_whole": 2,
    "test_probe_loss.py::test_what_is_trained_is_the_same_to_the_bit_without_it": 1,
    "test_probe_loss.py::test_the_trainers_precision_is_that_of_the_probe": 1,
    "test_probe_loss.py::test_the_last_value_is_that_of_the_last_checkpoint": 2,
    "test_probe_loss.py::test_the_last_planned_step_is_the_last_step_that_is_taken": 1,
    "test_probe_resume.py::test_killed_between_the_halves_of_a_pair_it_ends_as_if_it_had_not_been": 1,
    "test_resume.py::test_every_kind_of_training_resumes": 1,
    "test_resume_signals.py::test_a_signal_at_any_moment_saves_and_training_goes_on_from_there": 1,
    "test_resolved_configs.py::test_what_a_run_keeps_is_accepted_and_resolves_equal": 2,
    "test_false_claims.py::test_pages_of_equal_arms_rarely_claim_anything": 1,
    "test_false_claims.py::test_a_target_that_many_runs_never_reach_gives_no_false_claims": 1,
    "test_false_claims.py::test_an_arm_far_apart_does_not_make_the_others_differ": 1,
    "test_false_claims.py::test_a_difference_of_just_the_margin_is_rarely_called_equivalent": 1,
    "test_paper_figures.py::test_any_name_can_be_drawn": 2,
    "test_page.py::test_what_runs_are_called_is_text": 3,
    "test_statistics.py::test_shipped_plans_have_the_seeds_that_their_family_needs": 1,
    "test_command_line.py::test_help_and_typing_errors_import_nothing_heavy": 6,
    "test_compare.py::test_stores_of_several_programs_give_the_verdict_of_one": 1,
    "test_compare.py::test_the_table_fits_and_keeps_what_matters": 2,
    "test_compare.py::test_what_was_typed_wrong_is_said_in_one_line": 8,
    "test_sweep.py::test_a_best_one_at_an_edge_extends_every_arm_alike": 2,
    "test_sweep.py::test_an_interrupted_sweep_runs_exactly_what_is_missing": 1,
    "test_pretrained.py::test_a_network_that_cannot_be_had_is_one_line": 6,
    "test_pretrained.py::test_files_that_do_not_fit_are_refused_in_one_line": 4,
    "test_pretrained.py::test_all_but_the_head_comes_from_the_file": 4,
    "test_pretrained.py::test_weights_are_found_in_what_people_keep": 5,
    "test_foreign.py::test_what_foreign_code_raises_is_one_line_before_a_run_exists": 7,
    "test_health.py::test_a_floor_in_the_loss_condemns_no_run_that_learns": 1,
    "test_health.py::test_mixed_labels_hide_no_collapse": 1,
    "test_terminal.py::test_a_stopped_training_leaves_whole_lines_and_the_command_that_goes_on": 1,
    "test_terminal.py::test_a_training_on_a_terminal_ends_with_lines_alone": 1,
    "test_artifact_roots.py::test_a_place_that_cannot_be_used_is_found_before_a_run_exists": 1,
    "test_artifact_roots.py::test_what_helps_with_a_store_of_files_before_and_after_it_is_migrated": 1,
    "test_augmentation.py::test_other_precisions_see_the_same_images": 1,
    "test_run_records.py::test_no_part_of_a_save_outlives_its_run": 1,
    "test_export.py::test_a_file_computes_what_was_trained": 1,
    "test_export.py::test_networks_with_norms_and_of_torchvision_are_exported": 1,
    "test_live.py::test_no_process_is_started_where_nothing_is_tracked": 3,
    "test_augmentation.py::test_an_image_depends_on_seed_epoch_and_index_alone": 1,
    "test_full_disks.py::test_what_was_logged_is_stored_or_counted_as_lost": 4,
    "test_record_switch.py::test_loggers_of_a_person_stand_beside_the_record": 1,
    "test_record_switch.py::test_unrecorded_runs_keep_their_checkpoints_apart_and_say_where": 1,
    "test_full_disks.py::test_a_training_says_once_what_it_lost_and_its_exit_status_tells": 1,
}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all tests, and what they test, as the program imports: without a look for garbage."""
    # Hypothesis makes its source of random numbers for its first test, and must see then who holds it.
    given(none())(lambda _: None)()
    with uncollected():
        collected = yield
        gc.freeze()
    return collected


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the other rows of long tables to the slow tier."""
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        if name in FEW_ROWS and item.get_closest_marker("slow") is None:
            tables.setdefault(name, []).append(item)
    for name, rows in tables.items():
        kept = {round(number * len(rows) / FEW_ROWS[name]) for number in range(FEW_ROWS[name])}
        for place, item in enumerate(rows):
            if place not in kept:
                item.add_marker(pytest.mark.slow)


CONTRACTS = ("losses", "guard", "optimizers_contract", "schedules", "resolved_configs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much each contract covered: its table's rows times what is asked of each."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", [])]
    counts = {name: sum(f"/test_{name}.py::" in node for node in passed) for name in CONTRACTS}
    shown = ", ".join(f"{name.removesuffix('_contract')} {count}" for name, count in counts.items() if count)
    if shown:
        terminalreporter.write_line(f"contract tests passed: {shown}")
