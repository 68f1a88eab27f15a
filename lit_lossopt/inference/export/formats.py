"""The formats of exported networks.

Each is written by one function, and read back by another as its users would read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lit_lossopt.core.quiet import silence
from lit_lossopt.inference.classifier import Classifier, Outputs, TrainedClassifier
from lit_lossopt.inference.load import load
from lit_lossopt.inference.saved import metadata

Reader = Callable[[Tensor], Tensor]
PT2_METADATA = "lossopt.json"


@dataclass(frozen=True)
class Format:
    """How one format is written and read.

    Attributes:
        write: writes a network and its graph to a path. The name of the graph's outputs is given to it.
        read: returns the function of a file, from images ``[N, C, H, W]`` uint8 to outputs ``[N, M]``. The packages
            that are given to it may be imported.
        reader: the name of the function or program that reads the format.

    >>> FORMATS[".onnx"].reader
    'onnxruntime'
    """

    write: Callable[[TrainedClassifier, Classifier, Outputs, Path], None]
    read: Callable[[Path, Sequence[str]], Reader]
    reader: str


def facts(model: TrainedClassifier, outputs: Outputs) -> dict[str, str]:
    """Return what an exported graph says about itself, as JSON texts by name."""
    return {**metadata(model.saved), "outputs": json.dumps(outputs)}


def _write_safetensors(model: TrainedClassifier, graph: Classifier, outputs: Outputs, path: Path) -> None:
    from safetensors.torch import save

    # Clones, because tensors that share memory are refused. The library's own writer makes files that nobody else may
    # read, so the bytes are written here.
    weights = {name: value.clone() for name, value in graph.network.state_dict().items()}
    path.write_bytes(save(weights, {"format": "pt", **metadata(model.saved)}))


def _read_safetensors(path: Path, allow: Sequence[str]) -> Reader:
    return load(path, allow=allow).graph()


def _write_pt2(model: TrainedClassifier, graph: Classifier, outputs: Outputs, path: Path) -> None:
    torch.export.save(_program(model, graph), path, extra_files={PT2_METADATA: json.dumps(facts(model, outputs))})


def _read_pt2(path: Path, allow: Sequence[str]) -> Reader:
    reader: Reader = torch.export.load(path).module()
    return reader


def _write_onnx(model: TrainedClassifier, graph: Classifier, outputs: Outputs, path: Path) -> None:
    with silence():
        program = torch.onnx.export(
            _program(model, graph), dynamo=True, verbose=False, input_names=["images"], output_names=[outputs]
        )
    assert program is not None
    program.model.metadata_props.update(facts(model, outputs))
    program.save(path, external_data=False)


def _read_onnx(path: Path, allow: Sequence[str]) -> Reader:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _program(model: TrainedClassifier, graph: Classifier) -> torch.export.ExportedProgram:
    # Two images, because a dimension of one would be taken for a constant.
    example = torch.zeros(2, *model.image_shape, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1)
    with silence():
        return torch.export.export(graph, (example,), dynamic_shapes=({0: batch},))


FORMATS = {
    ".safetensors": Format(_write_safetensors, _read_safetensors, "lit_lossopt.load"),
    ".pt2": Format(_write_pt2, _read_pt2, "torch.export.load"),
    ".onnx": Format(_write_onnx, _read_onnx, "onnxruntime"),
}
