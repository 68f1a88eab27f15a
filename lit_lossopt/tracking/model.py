"""A trained network as an MLflow model of its run.

The model is a graph that torch exported, without pickled code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import mlflow
import numpy as np
import torch
from mlflow.tracking import MlflowClient
from torch import Tensor, nn

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.quiet import without_warnings
from lit_lossopt.tracking.store import STORE_ERRORS, Store

# MLflow warns of its own type hints as it imports these.
with without_warnings():
    import mlflow.pyfunc
    import mlflow.pytorch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

NAME = "model"


def log_model(run: str, graph: nn.Module, shape: Sequence[int], facts: Mapping[str, str], step: int) -> str:
    """Log a network in its run, and return the model's address.

    The status of the run stays as it is.

    Args:
        run: id of the run, or the name of its journal.
        graph: from uint8 images ``[N, *shape]`` to outputs ``[N, M]``.
        shape: channels, height and width.
        facts: the model's metadata.
        step: training steps behind it.

    Raises:
        UserError: the store does not have the run, or does not take the model.
    """
    example = np.zeros((2, *shape), dtype=np.uint8)
    with torch.no_grad():
        outputs = graph(torch.from_numpy(example)).numpy()
    signature = ModelSignature(
        inputs=Schema([TensorSpec(example.dtype, (-1, *shape))]),
        outputs=Schema([TensorSpec(outputs.dtype, (-1, *outputs.shape[1:]))]),
    )
    store = Store(mlflow.get_tracking_uri())
    try:
        model_id, run_id = _new_model(store, run)
        with without_warnings():
            logged = Model.log(
                artifact_path=None,
                flavor=mlflow.pytorch,
                model_id=model_id,
                run_id=run_id,
                step=step,
                metadata=dict(facts),
                pytorch_model=graph,
                signature=signature,
                input_example=example,
                serialization_format="pt2",
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
            )
    except STORE_ERRORS as error:
        raise UserError(f"--log: {store.uri} does not take the model ({one_line(str(error), 200)})") from error
    return str(logged.model_uri)


def _new_model(store: Store, run: str) -> tuple[str, str]:
    """Return the ids of a new model and of its run.

    The model is made in the run's own experiment. MLflow alone would take the default one.
    """
    known_run = store.client.get_run(store.find_run(run))
    run_id = str(known_run.info.run_id)
    model = store.client.create_logged_model(known_run.info.experiment_id, NAME, run_id, params=known_run.data.params)
    return str(model.model_id), run_id


def logged_reader(address: str) -> Callable[[Tensor], Tensor]:
    """Return a logged model as ``mlflow.pyfunc`` serves it."""
    model = mlflow.pyfunc.load_model(address)
    return lambda images: torch.from_numpy(model.predict(images.numpy()))


def remove_model(address: str) -> None:
    """Delete a logged model."""
    MlflowClient().delete_logged_model(address.removeprefix("models:/"))
