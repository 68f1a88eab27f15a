"""Ripple and oscillation of signals whose answer is known, and the fast regression against a slow one."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lit_lossopt.comparison.measures.oscillation import (
    descent,
    evaluation_oscillation,
    explained,
    local_trend,
    ripple_ratios,
    ripples,
    roughness,
    window_length,
)

Floats = NDArray[np.float64]
STEPS = np.arange(1000.0)
FALL = 0.3 + 2 * np.exp(-STEPS / 200)


def noise(seed: int, size: float = 0.1) -> Floats:
    return size * np.random.default_rng(seed).normal(size=len(STEPS))


def test_oscillation_of_a_known_curve() -> None:
    # The second half of steps 0 to 19: ten values between .5 and .6, falling four times by .1 … and rising five.
    values = np.concatenate([np.linspace(0, 0.7, 10), np.tile([0.5, 0.6], 5)])
    found = evaluation_oscillation(np.arange(20.0), values)
    assert found is not None
    assert found.deviation == pytest.approx(np.std([0.5, 0.6] * 5, ddof=1))
    assert found.mean_change == pytest.approx(0.1)
    assert found.drops == 4
    # The best was .7, the final value is the mean of the last two.
    assert found.best_minus_final == pytest.approx(0.15)


def test_where_lower_is_better_rises_are_drops() -> None:
    values = np.tile([0.6, 0.5, 0.55], 8)
    steps = np.arange(24.0)
    up = evaluation_oscillation(steps, values)
    down = evaluation_oscillation(steps, -values, higher_is_better=False)
    assert up is not None
    assert up == down
    unknown = evaluation_oscillation(steps, values, drop=nan)
    assert unknown is not None
    assert isnan(unknown.drops)


def test_a_change_of_exactly_one_point_is_no_drop() -> None:
    values = np.tile([0.50, 0.51], 10)
    found = evaluation_oscillation(np.arange(20.0), values)
    assert found is not None
    assert found.drops == 0


@pytest.mark.parametrize("count", [0, 1, 2, 14])
def test_fewer_than_eight_evaluations_in_the_second_half_say_nothing(count: int) -> None:
    assert evaluation_oscillation(np.arange(float(count)), np.linspace(0, 1, count)) is None


def test_roughness_is_the_deviation_about_a_smooth_curve_and_no_slope() -> None:
    steps = np.arange(4000.0)
    scatter = 0.01 * np.random.default_rng(0).normal(size=4000)
    for curve in (0 * steps, steps / 4000, 0.7 - 0.6 * np.exp(-steps / 1000)):
        assert roughness(steps, curve + scatter) == pytest.approx(0.01, rel=0.03)
    assert roughness(steps, 3 - 0.1 * steps) == pytest.approx(0, abs=1e-9)
    # Up and down by a: each point lies 2a from the line between its neighbours.
    assert roughness(steps, (-1.0) ** steps) == pytest.approx(4 / np.sqrt(6))
    assert not isnan(roughness(steps[:15], scatter[:15]))
    assert isnan(roughness(steps[:14], scatter[:14]))
    assert isnan(roughness(steps[:0], scatter[:0]))


def test_window_length() -> None:
    assert [window_length(steps) for steps in (40, 400, 1000, 1020, 100_000)] == [21, 21, 51, 51, 501]


def slow_trend(values: Floats, window: int) -> Floats:
    """Solve each window's weighted least squares by itself."""
    half = window // 2
    indices = np.arange(len(values))
    padded = np.pad(values, half, mode="edge")
    trend = np.array([np.median(padded[i : i + window]) for i in indices])
    for _ in range(3):
        residual = np.abs(values - trend)
        weights = np.maximum((1 - np.minimum(residual / (6 * np.median(residual)), 1) ** 2) ** 2, 1e-10)
        fitted = np.empty(len(values))
        for i in indices:
            near = np.abs(indices - i) <= half
            u = np.abs(indices[near] - i) / (half + 1)
            root = np.sqrt((1 - u**3) ** 3 * weights[near])
            design = np.stack([np.ones(near.sum()), indices[near] - i], axis=1)
            fitted[i] = np.linalg.lstsq(design * root[:, None], values[near] * root, rcond=None)[0][0]
        trend = fitted
    return trend


def test_the_trend_against_its_slow_twin() -> None:
    values = (FALL + noise(0))[:300]
    values[100] = 50.0
    assert local_trend(values, 31) == pytest.approx(slow_trend(values, 31), abs=1e-7)


def test_a_straight_line_is_its_own_trend_and_a_spike_does_not_move_it() -> None:
    line = 3 - 0.001 * STEPS
    assert local_trend(line, 51) == pytest.approx(line, abs=1e-9)
    spiked = line + noise(0, 0.01)
    without = local_trend(spiked, 51)
    spiked[500] = 1e6
    assert local_trend(spiked, 51) == pytest.approx(without, abs=0.02)


def test_the_explained_part_against_a_loop() -> None:
    common, residual, half = noise(1), noise(2), 10
    found = explained(residual, common, 21)
    kernel = (1 - (np.abs(np.arange(-half, half + 1)) / (half + 1)) ** 3) ** 3
    for i in (0, 5, 500, 999):
        near = np.arange(max(0, i - half), min(1000, i + half + 1))
        k = kernel[near - i + half]
        slope = np.sum(k * residual[near] * common[near]) / np.sum(k * common[near] ** 2)
        assert found[i] == pytest.approx(slope * common[i])
    assert not explained(residual, np.zeros(1000), 21).any()


def test_descent() -> None:
    assert descent(np.concatenate([np.full(10, 2.3), np.linspace(2.3, 0.3, 200), np.full(50, 0.3)])) == pytest.approx(2)
    assert descent(np.array([2.0, 1.0])) == 1.0
    assert descent(np.array([1.0])) == 0.0


def test_the_noise_of_shared_batches_is_no_ripple() -> None:
    batches = noise(0)
    # The arms learn at different pace, and their noise shrinks with their loss.
    calm = [FALL + batches * (0.3 + np.exp(-STEPS / tau)) for tau in (100, 200, 300)]
    alone = [
        np.std(batches * (0.3 + np.exp(-STEPS / tau))) / descent(loss)
        for tau, loss in zip((100, 200, 300), calm, strict=True)
    ]
    found = ripples(calm, 51)
    assert all(value < 0.1 * raw for value, raw in zip(found, alone, strict=True))


def test_ripple_is_the_amplitude_over_the_descent() -> None:
    batches = noise(0)
    beat = 0.08 * (-1.0) ** STEPS
    arms = [FALL + batches, FALL + batches, FALL + batches, FALL + batches + beat]
    found = ripples(arms, 51)
    assert found[3] == pytest.approx(0.08 / descent(arms[3]), rel=0.05)
    assert max(found[:3]) < 0.1 * found[3]


def test_of_two_arms_the_ratio() -> None:
    low, high = FALL + noise(0, 0.05), FALL + noise(1, 0.1)
    first, second = ripple_ratios([low, high], 51)
    assert second == pytest.approx(2, rel=0.1)
    assert first * second == pytest.approx(1)
    # Subtracting the common mean instead would make them the same.
    assert all(isnan(value) for value in ripple_ratios([low, np.full(1000, 2.0)], 51))


def test_a_loss_that_does_not_fall_has_no_ripple() -> None:
    assert isnan(ripples([FALL + noise(0), FALL + noise(1), 2 + noise(2) + 0.01 * STEPS], 51)[2])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=4), st.integers(0, 1000))
def test_scaling_or_shifting_a_loss_changes_no_ripple(scales: list[float], seed: int) -> None:
    arms = [FALL + noise(seed + index) for index in range(len(scales))]
    scaled = [scale * (loss + 1) for scale, loss in zip(scales, arms, strict=True)]
    # The others' median does change with another arm's unit, so one is scaled at a time, and all together.
    assert ripples([scales[0] * loss for loss in arms], 51) == pytest.approx(ripples(arms, 51), rel=1e-6)
    assert ripples([scaled[0], *arms[1:]], 51)[0] == pytest.approx(ripples(arms, 51)[0], rel=1e-6)
    assert ripple_ratios(scaled[:2], 51) == pytest.approx(ripple_ratios(arms[:2], 51), rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)))
def test_relabelling_arms_permutes_ripples(order: list[int]) -> None:
    arms = [FALL + noise(index, 0.02 * (index + 1)) for index in range(4)]
    assert ripples([arms[index] for index in order], 51) == pytest.approx([ripples(arms, 51)[index] for index in order])
