"""Parameters that differ in every run and set nothing, by the habits of real loggers; and those that look like them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_lossopt.comparison.grouping.arms import Grouping, group
from lit_lossopt.comparison.grouping.pairing import is_seed
from lit_lossopt.comparison.measures.trial import seed_of
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.records import Run
from tests.comparison.test_arms import run

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
ARMS = {"Adam": ["0", "1", "2"], "SGD": ["0", "1", "2"]}


def paired(extra: Mapping[str, str], seeds: Sequence[Any] = range(3)) -> list[Run]:
    """Return runs of two optimizers; ``extra`` are more parameters, in which name, seed and number are filled in."""
    runs = []
    for n, (name, place) in enumerate((name, place) for name in ("Adam", "SGD") for place in range(3)):
        known = {"name": name, "seed": place, "n": n, "half": n // 2, "odd": n % 2, "word": WORDS[n], "port": 29500 + n}
        more = {key: text.format(**known) for key, text in extra.items()}
        # Ids as MLflow's own: no part of any value.
        runs.append(run({"optimizer": name, **more}, seeds[place], run_id=f"{n:032x}", number=n, start=n))
    return runs


def found(grouping: Grouping) -> dict[str, list[str]]:
    return {arm.name: sorted(seed_of(one) for one in arm.runs) for arm in grouping.arms}


# Huggingface's Trainer, Lightning's loggers, Hydra, SLURM, torchrun, W&B, and what people log themselves.
BOOKKEEPING: dict[str, Mapping[str, str]] = {
    "trainer": {
        "logging_dir": "out/{name}/runs/Jan0{n}_12-11-2{n}_node{n}", "output_dir": "o{n}", "run_name": "r{n}",
        "data_seed": "None", "local_rank": "0",
    },
    "versions of a logger": {"version": "{n}", "csv.version": "version_{n}"},
    "hydra": {"hydra.run.dir": "x{n}", "job.num": "{n}", "hydra.job.override_dirname": "{name}{n}"},
    "slurm, several runs a job": {"SLURM_JOB_ID": "{half}", "job_id": "{half}"},
    "torchrun": {"MASTER_PORT": "{port}", "rdzv_id": "q{n}"},
    "wandb": {"wandb.id": "k{n}z", "_wandb": "m{n}"},
    "an id": {"key": "00000000-0000-4000-8000-00000000000{n}"},
    "a time": {"start_time": "170000000{n}.25", "began": "2024-01-01 10:0{n}:11"},
    "a number without a telling name": {"foo": "{port}"},
    "words without a telling name": {"foo": "{word}"},
    "a folder": {"results_path": "/scratch/x{n}q"},
    "a folder by arm and seed": {"results": "out/{name}_lr0.01_{seed}"},
    "a folder by seed": {"results": "seeds/s{seed}/1/all"},
    "a folder by the run's id": {"results": "mlruns/{n:032x}/artifacts"},
    "what follows from the seed": {"images": "split {seed}a", "worker": "700{seed}"},
}  # fmt: skip


@pytest.mark.parametrize("case", BOOKKEEPING)
def test_bookkeeping_neither_unpairs_runs_nor_names_arms(case: str) -> None:
    grouping = group(paired(BOOKKEEPING[case]))
    assert found(grouping) == ARMS
    assert not [note for note in grouping.notes if "differ" in note and "Left aside" not in note]


def test_bookkeeping_that_a_run_lacks() -> None:
    runs = paired({"folder": "/scratch/x{n}q"})
    params = {name: text for name, text in runs[0].params.items() if name != "folder"}
    assert found(group([replace(runs[0], params=params), *runs[1:]])) == ARMS


def test_what_a_run_says_of_its_data_makes_no_arms() -> None:
    said = {"data.class_names": "cat, dog", "data.train_images": "64", "data.val_images": "8", "data.test_images": "24"}
    runs = paired({})
    newer = [replace(one, params={**one.params, **said}) if place % 2 else one for place, one in enumerate(runs)]
    fewer = {**said, "data.train_images": "63", "data.test_images": "0"}
    changed = [replace(one, params={**one.params, **fewer}) if place % 3 else one for place, one in enumerate(newer)]
    for mixed in (newer, changed):
        grouping = group(mixed)
        assert found(grouping) == ARMS
        assert not any("data" in note for note in grouping.notes)


def test_what_was_left_aside_is_said_in_one_note() -> None:
    grouping = group(paired({"foo": "{port}", "job_number": "{n}", "same": "1"}))
    (note,) = grouping.notes
    assert note == "Left aside, since they only tell one run or seed from the next: foo, job_number."


def test_a_path_that_alone_tells_the_arm_tells_it_without_its_seed() -> None:
    runs = [run({"out": f"out/{name}_{seed}"}, seed) for name in ("adam", "sgd") for seed in range(3)]
    assert found(group(runs)) == {"out=out/adam_*": ["0", "1", "2"], "out=out/sgd_*": ["0", "1", "2"]}


SETTINGS: dict[str, Sequence[tuple[Mapping[str, Any], Any]]] = {
    "one run each": [({"optimizer": name}, n) for n, name in enumerate(("Adam", "SGD", "Muon"))],
    "models of one seed": [({"model_name_or_path": name}, 42) for name in ("bert", "roberta", "distilbert")],
    "batches of one seed": [({"batch_size": size}, 0) for size in (32, 64, 128)],
    "batches of a seed each": [({"batch_size": size}, n) for n, size in enumerate((32, 64, 128))],
    "a random search": [({"lr": 0.3**n, "weight_decay": 0.01 * 0.7**n, "hidden": 17 + 3 * n}, 0) for n in range(6)],
    "a random search, seeded by trial": [({"weight_decay": 0.01 * 0.7**n, "hidden": 17 + n}, n) for n in range(6)],
    "whole rates": [({"lr": n, "optimizer": "SGD"}, n) for n in (1, 2, 3)],
    "time steps": [({"time_steps": 10 * n}, 0) for n in (1, 2, 3)],
}


@pytest.mark.parametrize("case", SETTINGS)
def test_what_differs_in_every_run_and_is_a_setting_makes_arms(case: str) -> None:
    grouping = group([run(params, seed, run_id=f"{n:032x}") for n, (params, seed) in enumerate(SETTINGS[case])])
    assert [len(arm.runs) for arm in grouping.arms] == [1] * len(SETTINGS[case])
    assert not any("Left aside" in note for note in grouping.notes)


def test_versions_of_data_that_are_dates_make_arms() -> None:
    runs = [run({"data_version": day}, seed) for day in ("2024-01-01", "2024-06-01") for seed in range(3)]
    assert [len(arm.runs) for arm in group(runs).arms] == [3, 3]


def test_runs_of_one_seed_are_not_thrown_together_because_only_a_folder_tells_them_apart() -> None:
    runs = [
        run({"folder": f"/scratch/{name}"}, n % 2, run_id=f"{n:032x}") for n, name in enumerate(("a", "b", "c", "d"))
    ]
    grouping = group(runs)
    assert len(grouping.arms) == 4
    assert any("differs in folder. Leave aside what is no setting, with --ignore" in note for note in grouping.notes)


def test_one_seed_for_all_and_a_folder_each() -> None:
    runs = [
        run({"optim": name, "seed": 42, "logs": f"/scratch/{n}q"}, None, run_id=f"{n:032x}")
        for n, name in enumerate("aaabbb")
    ]
    assert found(group(runs)) == {"a": ["", "", ""], "b": ["", "", ""]}


@pytest.mark.parametrize(
    "name",
    ["seed", "SEED", "Random Seed", "seed_value", "randomSeed", "rng-seed", "RNGSeed", "global_seed", "torch_seed",
     "np_seed", "seed_everything", "data.seed", "trainer/seed", "clf__random_state", "randomState", "seed.value",
     "data_split_seed", "fold", "cv_fold", "replicate"],
)  # fmt: skip
def test_names_of_seeds(name: str) -> None:
    assert is_seed(name)
    runs = [run({"optimizer": one, name: seed}, None) for one in ("Adam", "SGD") for seed in range(3)]
    assert found(group(runs)) == ARMS


@pytest.mark.parametrize(
    "name", ["n_seeds", "num_seeds", "seed_lr", "seed_ratio", "seeded", "random", "state", "kfold", "n_folds", "unfold"]
)
def test_names_that_are_no_seeds(name: str) -> None:
    assert not is_seed(name)


def test_seeds_that_vary_pair_together_and_those_that_follow_add_nothing() -> None:
    assert found(group(paired({"data_seed": "1{seed}", "np_seed": "7"}))) == ARMS
    grouping = group(paired({"data_seed": "{odd}"}))
    assert found(grouping) == {"Adam": ["0 0", "1 1", "2 0"], "SGD": ["0 1", "1 0", "2 1"]}
    assert grouping.notes == ("Runs are paired by seed, data_seed.",)


def test_programs_that_call_their_seeds_differently_pair() -> None:
    runs = [run({"optimizer": "Adam", "randomSeed": f"{seed}.0"}, None) for seed in range(3)]
    runs += [run({"optimizer": "SGD"}, seed, {"lossopt.seed": str(seed)}) for seed in range(3)]
    assert found(group(runs)) == ARMS


def test_folds_pair_where_the_seed_is_one() -> None:
    grouping = group(paired({"fold": "{seed}"}, seeds=[42] * 3))
    assert found(grouping) == ARMS
    assert grouping.notes == ("Runs are paired by fold.",)


def test_parameters_are_ignored_by_name() -> None:
    runs = paired({"model.warmth": "{half}", "model.colour": "{odd}"})
    assert len(group(runs).arms) == 6
    assert found(group(runs, ignore=["warmth", "model.colour"])) == ARMS
    assert found(group(runs, by=["warmth"], ignore=["optimizer", "colour"])) == {
        "warmth=0": ["0", "1"], "warmth=1": ["0", "2"], "warmth=2": ["1", "2"],
    }  # fmt: skip
    assert found(group(runs, ignore=["seed", "warmth", "colour"])) == {"Adam": [""] * 3, "SGD": [""] * 3}


def test_the_seed_can_be_named() -> None:
    runs = paired({"draw": "1{seed}", "warmth": "{half}"}, seeds=[None] * 3)
    assert found(group(runs, seed_name="draw", ignore=["warmth"])) == {name: ["10", "11", "12"] for name in ARMS}
    tagged = [replace(one, tags={"pair": str(n % 3)}) for n, one in enumerate(paired({}))]
    assert found(group(tagged, seed_name="pair")) == ARMS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ignore": ["optimiser"]}, r"--ignore optimiser: no run has such a parameter \(did you mean 'optimizer'\?\)"),
        ({"seed_name": "sed"}, r"--seed-name sed: no run has such a parameter or tag \(did you mean 'seed'\?\)"),
        ({"ignore": ["optimizer"], "by": ["optimizer"]}, "--ignore optimizer: --by names it too"),
        ({"ignore": ["seed"], "seed_name": "seed"}, "--ignore seed: --seed-name names it too"),
    ],
)
def test_names_that_no_run_has_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        group(paired({}), **options)


@settings(max_examples=30, deadline=None)
@given(
    st.permutations(range(6)),
    st.sampled_from(["seed", "Random Seed", "globalSeed", "np.random.seed"]),
    st.sampled_from(["none", "whole", "words", "id"]),
    st.integers(0, 10_000),
)
def test_order_name_of_the_seed_and_unique_parameters_change_nothing(
    order: list[int], seed_name: str, kind: str, draw: int
) -> None:
    unique = random.Random(draw).sample(range(1000, 100_000), 6)
    values: dict[str, Sequence[object]] = {
        "none": [""] * 6,
        "whole": unique,
        "words": [f"w{n}x" for n in unique],
        "id": [f"{n:032x}" for n in unique],
    }
    runs = paired({seed_name: "{seed}"}, seeds=[None] * 3)
    runs = [
        replace(one, params={**one.params, **({"something": str(value)} if value else {})})
        for one, value in zip(runs, values[kind], strict=True)
    ]
    grouping = group([runs[place] for place in order])
    assert found(grouping) == ARMS


# What nobody would take for bookkeeping: parameters, seed and name of each run.
NOT_MERGED: dict[str, Sequence[tuple[Mapping[str, Any], Any, str]]] = {
    "words of a seed each": [({"flavour": name}, n, f"r{n}") for n, name in enumerate(("flip", "crop", "both"))],
    "batches in a design": [({"opt": "ab"[n // 3], "batch_size": 16 << n}, n % 3, f"r{n}") for n in range(6)],
    "units in a design": [({"opt": "ab"[n // 3], "n_units_l0": 17 + 5 * n}, n % 3, f"r{n}") for n in range(6)],
    "epochs in a design": [({"opt": "ab"[n // 2], "epochs": 10 + 10 * n}, n % 2, f"r{n}") for n in range(4)],
    "limits of time": [({"max_time": 10 + 10 * n}, 42, f"r{n}") for n in range(3)],
    "versions": [({"version": f"v{n}"}, 42, f"r{n}") for n in range(3)],
    "days of data": [({"snapshot": f"2024-0{n + 1}-01"}, 42, f"r{n}") for n in range(3)],
    "billions of tokens": [({"n_tokens": 1_000_000_000 * (n + 1)}, 42, f"r{n}") for n in range(3)],
    "runs called as their setting": [({"decline": f"{w}_fall"}, 42, w) for w in ("cosine", "linear", "stairs")],
    "runs without a seed, so called": [({"change": f"Do({w})"}, None, w) for w in ("flip", "crop", "both")],
    "weights to begin with": [({"ckpt": f"{w}.pth"}, 42, w) for w in ("resnet18", "vgg11", "dense121")],
    "pretrained weights": [({"pretrained_path": f"w/{w}.pt"}, n, f"r{n}") for n, w in enumerate(("a", "b", "none"))],
    "names of arms": [({"name": name}, n, f"r{n}") for n, name in enumerate(("soft", "hard", "none"))],
}


@pytest.mark.parametrize("case", NOT_MERGED)
def test_runs_of_different_settings_are_never_one_arm(case: str) -> None:
    runs = [
        replace(run(params, seed, run_id=f"{n:032x}", start=n), name=name)
        for n, (params, seed, name) in enumerate(NOT_MERGED[case])
    ]
    assert [len(arm.runs) for arm in group(runs).arms] == [1] * len(runs)


def test_a_folder_with_the_runs_name_tells_nothing() -> None:
    runs = [
        replace(run({"lr": 0.1**n, "results": f"out/{name}/x"}, 42, run_id=f"{n:032x}"), name=name)
        for n, name in enumerate(("bold-fox-1", "tiny-cat-2", "shy-dog-3"))
    ]
    assert [arm.name for arm in group(runs).arms] == ["lr=0.01", "lr=0.1", "lr=1"]
