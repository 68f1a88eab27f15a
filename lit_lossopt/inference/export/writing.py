"""Writing an exported network.

A file is written beside its place, read back and compared, and only then gets its name.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.files import publish
from lit_lossopt.core.quiet import quiet_stores
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.inference.classifier import Classifier, TrainedClassifier
from lit_lossopt.inference.export.agreement import Agreement, agreement
from lit_lossopt.inference.export.formats import FORMATS, facts
from lit_lossopt.inference.export.request import Request
from lit_lossopt.inference.load import built, find_saved


def fulfil(request: Request) -> int:
    """Export a network as requested, and return the exit status.

    Raises:
        UserError: the run cannot be loaded, its network cannot be exported, or the export computes something else.
    """
    quiet_stores()
    saved = find_saved(request.run, request.which)
    if saved.note:
        tell(f"lossopt: {saved.note}", sys.stderr)
    model = built(saved, request.allow)
    if request.to is not None:
        agreed = write(model, request, request.to)
        size = request.to.stat().st_size / 1e6
        print(f"{request.to}: {size:.3g} MB, {_described(model, request)}")
        print(f"read back by {FORMATS[request.to.suffix].reader}: {_shown(agreed)}")
    if request.log:
        _log(model, request)
    return 0


def write(model: TrainedClassifier, request: Request, target: Path) -> Agreement:
    """Write one file, and return how well it agrees with the trained network.

    The file is read back, and gets its name only if it computes the same.

    Raises:
        UserError: the network cannot be exported, the file cannot be written, or it computes something else.
    """
    chosen = FORMATS[target.suffix]
    graph = model.graph(request.outputs)
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".part") as folder:
            part = Path(folder, target.name)
            _written(model, graph, request, part)
            try:
                agreed = agreement(chosen.read(part, request.allow), _expected(model, request), model.image_shape)
            except Exception as error:  # a file that its own reader refuses
                raise UserError(f"--to {target}: not kept, {one_line(str(error), 200)}") from error
            if not agreed.holds:
                raise UserError(f"--to {target}: not kept, read back by {chosen.reader} its {_shown(agreed)}")
            publish(part, target)
    except OSError as error:
        raise UserError(f"--to {target}: cannot be written ({error.strerror})") from error
    return agreed


def _written(model: TrainedClassifier, graph: Classifier, request: Request, part: Path) -> None:
    try:
        FORMATS[part.suffix].write(model, graph, request.outputs, part)
    except OSError:
        raise
    except Exception as error:  # torch's exporters raise nearly anything
        remedy = "" if part.suffix == ".safetensors" else "; its weights alone can be kept as .safetensors"
        raise UserError(
            f"--to {part.name}: torch cannot export this network ({one_line(str(error), 200)}){remedy}"
        ) from error


def _log(model: TrainedClassifier, request: Request) -> None:
    from lit_lossopt.tracking.model import log_model, logged_reader, remove_model

    if not model.saved.run:
        raise UserError(f"--log: {model.saved.path} does not say which run it belongs to; export it with --to")
    graph = model.graph(request.outputs)
    about = facts(model, request.outputs)
    logged = log_model(model.saved.run, graph, model.image_shape, about, model.saved.step)
    agreed = agreement(logged_reader(logged), _expected(model, request), model.image_shape)
    if not agreed.holds:
        remove_model(logged)
        raise UserError(f"--log: not kept, read back by mlflow.pyfunc.load_model its {_shown(agreed)}")
    print(f"{logged}: {_described(model, request)}, logged in its run")
    print(f"read back by mlflow.pyfunc.load_model: {_shown(agreed)}")


def _expected(model: TrainedClassifier, request: Request) -> Callable[[Tensor], Tensor]:
    """Return the function of the trained network itself.

    It goes another way than the graph that is exported, so that a comparison means something.
    """
    implied = model.contract.probabilities
    if request.outputs == "logits" or implied is None:
        return model.outputs
    return lambda images: implied(model.outputs(images))


def _described(model: TrainedClassifier, request: Request) -> str:
    saved = model.saved
    shape = ", ".join(map(str, model.image_shape))
    whose = f" of run {saved.run}" if saved.run else ""
    return f"{saved.path.stem} weights{whose} at step {saved.step}; uint8 images [N, {shape}] to {request.outputs}"


def _shown(agreed: Agreement) -> str:
    return f"outputs differ by {agreed.difference:.2g} at most (allowed: {agreed.allowed:.2g})"
