"""Climb-back of descents whose answer is known: from the recursion of the optimizer, and from its own definition."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from lit_lossopt.comparison.measures.climb_back import climb_back
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.report.verdict.oscillation import oscillation
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import arm, compared, run

Floats = NDArray[np.float64]


def steps_of(losses: Floats) -> Floats:
    return np.arange(float(len(losses)))


def heavy_ball(rate: float, momentum: float, steps: int = 400) -> Floats:
    """Return the losses of momentum on x² / 2 with curvature 1, from x = 1."""
    x, velocity, losses = 1.0, 0.0, []
    for _ in range(steps):
        losses.append(0.5 * x * x)
        velocity = momentum * velocity + x
        x -= rate * velocity
    return np.array([*losses, 0.5 * x * x])


def crests_above_troughs(losses: Floats) -> float:
    """Return Σ(crest − the trough before it) over the descent, found by looking for turning points."""
    total, trough = 0.0, losses[0]
    for before, now, after in zip(losses[:-2], losses[1:-1], losses[2:], strict=True):
        if now < before and now <= after:
            trough = now
        if now > before and now >= after:
            total += now - trough
    if losses[-1] > losses[-2]:
        total += losses[-1] - trough
    return float(total / (losses[0] - losses.min()))


@pytest.mark.parametrize(
    ("rate", "momentum", "known"), [(1.0, 0.9, 3.16), (1.5, 0.5, 0.0), (0.5, 0.0, 0.0), (1.9, 0.0, 0.0)]
)
def test_descents_on_a_quadratic(rate: float, momentum: float, known: float) -> None:
    losses = heavy_ball(rate, momentum)
    assert climb_back(steps_of(losses), losses) == pytest.approx(crests_above_troughs(losses), abs=1e-9)
    assert climb_back(steps_of(losses), losses) == pytest.approx(known, abs=0.005)


def test_damped_oscillators_are_ranked_by_their_damping() -> None:
    damping = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98]
    found = [climb_back(steps_of(losses), losses) for losses in (heavy_ball(1.0, one, 2000) for one in damping)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)


def test_pairs_spread_over_the_run_estimate_the_whole() -> None:
    losses = 2 * np.exp(-np.arange(5001) / 800) + 0.02 * (-1.0) ** np.arange(5001)
    whole = climb_back(steps_of(losses), losses)
    random = np.random.default_rng(0)
    starts = np.array([random.integers(first, first + 99) for first in range(0, 5000, 100)])
    some = np.unique(np.concatenate([[0, 5000], starts, starts + 1]))
    assert climb_back(some.astype(float), losses[some]) == pytest.approx(whole, rel=0.3)


@pytest.mark.parametrize("rate", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(2))
def test_full_batch_descent_of_softmax_regression_never_climbs(rate: float, seed: int) -> None:
    """The whole training set is the probe, and its loss falls at every step: nothing oscillates."""
    images, labels = load_digits(return_X_y=True)
    x = np.hstack([images / 16, np.ones((len(images), 1))])
    y = np.eye(10)[labels]
    weights = 0.01 * np.random.default_rng(seed).normal(size=(65, 10))
    losses = []
    for _ in range(120):
        logits = x @ weights
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(labels)), labels]).mean())
        weights -= rate * x.T @ (p - y) / len(labels)
    assert climb_back(steps_of(np.array(losses)), np.array(losses)) == 0


def full_batch(rate: float, seed: int) -> Run:
    """Return a run of gradient descent on all digits, which logs the loss of a random batch beside its own."""
    random = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    x, y = np.hstack([images / 16, np.ones((len(images), 1))]), np.eye(10)[labels]
    weights = 0.01 * random.normal(size=(65, 10))
    whole, batches = [], []
    for _ in range(101):
        logits = x @ weights
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(labels)), labels])
        whole.append(loss.mean())
        batches.append(random.choice(loss, 32).mean())
        weights -= rate * x.T @ (p - y) / len(labels)
    accuracy = 0.9 - 0.5 * np.array(whole[::5]) / whole[0] + 0.001 * random.normal(size=21)
    return run(accuracy, arm=f"GD lr={rate}", seed=seed, losses=batches, probe=whole)


def test_descents_that_fall_at_every_step_are_never_said_to_oscillate() -> None:
    """Ripple called one of them the most restless, with p below .001: it is unlike the others, and that is all."""
    rates = (0.1, 0.3, 1.0)
    arms = [arm(f"GD lr={rate}", [full_batch(rate, seed) for seed in range(6)]) for rate in rates]
    for found in (compared(arms), compared(arms[1:])):
        assert [one.climb_back.value for one in found.arms] == [0] * len(found.arms)
        assert {one.quantity for one in found.oscillations} == {"climb_back"}
        assert oscillation(found) == []
        assert not any("oscillate" in sentence or "climbs" in sentence for sentence in answer(found))


@given(st.lists(st.floats(-100, 100), min_size=20, max_size=60), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_factor_or_a_shift_of_the_loss_changes_nothing(values: list[float], factor: float, shift: float) -> None:
    losses = np.array([200.0, *values])
    found = climb_back(steps_of(losses), losses)
    assert climb_back(steps_of(losses), factor * losses + shift) == pytest.approx(found, rel=1e-6, abs=1e-9)


def test_where_it_is_not_defined() -> None:
    rising = np.linspace(1, 2, 50)
    assert isnan(climb_back(steps_of(rising), rising))
    falling = rising[::-1].copy()
    assert climb_back(steps_of(falling), falling) == 0
    assert isnan(climb_back(2 * steps_of(falling), falling))
    assert isnan(climb_back(steps_of(falling[:8]), falling[:8]))
    falling[10] = np.inf
    assert isnan(climb_back(steps_of(falling), falling))
    assert isnan(climb_back(np.empty(0), np.empty(0)))
