"""What the store holds of a metric, point by point: a value that was sent twice is here twice."""

from __future__ import annotations

import numpy as np
from mlflow.tracking import MlflowClient

from lit_lossopt.tracking.reading.runs import History


def stored_points(run_id: str, metric: str) -> History:
    """Return every stored point, ordered by step; a comparison reads one a step."""
    points = sorted(MlflowClient().get_metric_history(run_id, metric), key=lambda point: point.step)
    return History(
        np.array([point.step for point in points], np.int64), np.array([point.value for point in points], np.float64)
    )
