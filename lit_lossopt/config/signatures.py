"""Which classes a config can name, with their arguments.

They are read from source files, and nothing is imported.

Importing torch and lightning takes some ten seconds; a misspelt name should not cost that. So the sources are parsed
with ``ast``. Whatever cannot be told this way (a class of another package, arguments behind ``**kwargs``) is answered
with None and left to the real parser.
"""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lit_lossopt.core.class_paths import as_named_now


@dataclass(frozen=True)
class Family:
    """The classes that a key can name by bare name.

    ``sources`` pairs an import prefix with the file or folder below a top-level package that defines the classes;
    ``bases`` are the class names from which a member descends, ``moved`` are names that mean a class elsewhere, and
    ``more`` is a further source for names that are not found in the others.
    """

    sources: tuple[tuple[str, str], ...]
    bases: frozenset[str]
    moved: tuple[tuple[str, str], ...] = ()
    more: tuple[str, str] | None = None


FAMILIES: dict[str, Family] = {
    "model.network": Family(
        (
            ("lit_lossopt.networks", "lit_lossopt/networks/mini_cnn.py"),
            ("lit_lossopt.networks", "lit_lossopt/networks/torchvision_network.py"),
        ),
        frozenset({"Module"}),
    ),
    "model.criterion": Family(
        (("torch.nn", "torch/nn/modules/loss.py"), ("lit_lossopt.losses", "lit_lossopt/losses/losses.py")),
        frozenset({"Module", "_Loss", "_WeightedLoss"}),
    ),
    # Ours come last and so take the name: Muon, which routes what torch's Muon refuses.
    "model.optimizer": Family(
        (("torch.optim", "torch/optim"), ("lit_lossopt.optimizers", "lit_lossopt/optimizers/optimizers.py")),
        frozenset({"Optimizer", "SGD"}),
        more=("pytorch_optimizer", "pytorch_optimizer/optimizer"),
    ),
    # Lightning needs to know what to monitor, so it accepts only its own subclass of this one.
    "model.lr_scheduler": Family(
        (("torch.optim.lr_scheduler", "torch/optim/lr_scheduler.py"),),
        frozenset({"LRScheduler"}),
        moved=(("ReduceLROnPlateau", "lightning.pytorch.cli.ReduceLROnPlateau"),),
    ),
    # Before "data", under which they lie.
    "data.mixing": Family((("lit_lossopt.data.mixing", "lit_lossopt/data/mixing.py"),), frozenset({"Mixing"})),
    "data.augmentation": Family(
        (
            ("torchvision.transforms.v2", "torchvision/transforms/v2"),
            ("lit_lossopt.data.augmentation", "lit_lossopt/data/augmentation.py"),
        ),
        frozenset({"Transform", "BatchTransform"}),
    ),
    "data": Family((("lit_lossopt.data", "lit_lossopt/data"),), frozenset({"ImageDataModule"})),
}
# Families of which a config names none, or a list of several.
OPTIONAL = ("model.lr_scheduler", "data.mixing", "data.augmentation")
LISTS = ("data.augmentation",)


def class_paths(key: str) -> dict[str, str]:
    """Return the full class path of each bare name.

    They belong to the family of ``key`` and are sorted by name.
    """
    family = FAMILIES[key]
    members = {
        name: f"{prefix}.{name}"
        for prefix, place in family.sources
        for name in _classes(place)
        if not name.startswith("_") and family.bases & set(_ancestry(place, name))
    }
    return dict(sorted({**members, **dict(family.moved)}.items()))


def full_class_path(key: str, name: str) -> str:
    """Return the full path of what ``name`` means at ``key``.

    Bare names are looked up, and dotted ones become canonical.

    ``torch.optim.sgd.SGD`` and ``SGD`` are the same class; an unknown bare name is returned unchanged.
    """
    known, name = class_paths(key), as_named_now(name)
    bare = name.rpartition(".")[2]
    if bare not in known:
        more = FAMILIES[key].more
        return f"{more[0]}.{name}" if more and "." not in name and name in _classes(more[1]) else name
    moved_from = "torch.optim.lr_scheduler" if bare in dict(FAMILIES[key].moved) else ""
    owner = moved_from or known[bare].rpartition(".")[0]
    return known[bare] if "." not in name or name.startswith(f"{owner}.") else name


def class_parameters(key: str, class_path: str) -> dict[str, str] | None:
    """Return the annotation of each parameter of a class.

    The class is one of a family. The result is None where it cannot be read.
    """
    bare = class_path.rpartition(".")[2]
    if class_paths(key).get(bare) != class_path or bare in dict(FAMILIES[key].moved):
        return None
    for prefix, place in FAMILIES[key].sources:
        if class_path == f"{prefix}.{bare}" and bare in _classes(place):
            return _constructor_parameters(place, bare)
    return None


def class_defaults(key: str, class_path: str) -> dict[str, str]:
    """Return the default of each parameter of a class.

    The class is one of a family. The result is empty where it cannot be read.
    """
    bare = class_path.rpartition(".")[2]
    for prefix, place in FAMILIES[key].sources:
        definition = _classes(place).get(bare) if class_path == f"{prefix}.{bare}" else None
        method = _method(definition, "__init__") if definition else None
        if method is not None:
            return _default_texts(method)
    return {}


def shared_parameters(key: str) -> set[str]:
    """Return the parameters of the family's own base class.

    They are the same argument in each of its classes.

    Only a base class of this package counts: an argument that merely bears the same name in two of torch's classes
    (``lr``, ``weight_decay``) means something else in each.
    """
    own = [place for _, place in FAMILIES[key].sources if place == "lit_lossopt/data"]
    return {
        name for place in own for base in FAMILIES[key].bases for name in _constructor_parameters(place, base) or ()
    }


@cache
def exported_names(place: str) -> frozenset[str]:
    """Return the names that a file imports from elsewhere.

    An ``__init__.py`` does that. The file is ``place``.
    """
    path = _locate(place)
    tree = ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])
    return frozenset(name.name for item in tree.body if isinstance(item, ast.ImportFrom) for name in item.names)


def function_parameters(place: str, class_name: str, function: str = "__init__") -> dict[str, str]:
    """Return the annotation of each parameter of a method.

    The method is in the file ``place``. An annotation may be empty.
    """
    definition = _classes(place).get(class_name)
    method = _method(definition, function) if definition else None
    return _parameters(method) if method else {}


def _constructor_parameters(place: str, class_name: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for name in [class_name, *_ancestry(place, class_name)]:
        definition = _classes(place).get(name)
        if definition is None:
            return None
        method = _method(definition, "__init__")
        if method is None:
            continue
        found = {**_parameters(method), **found}
        if method.args.kwarg is None:
            return found
    return None


def _ancestry(place: str, class_name: str) -> list[str]:
    """Return the names of the first bases upwards.

    The last one may be defined elsewhere.
    """
    names: list[str] = []
    definition = _classes(place).get(class_name)
    while definition is not None and definition.bases:
        base = ast.unparse(definition.bases[0]).rpartition(".")[2]
        names.append(base)
        definition = _classes(place).get(base) if base != definition.name else None
    return names


def _method(definition: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((item for item in definition.body if isinstance(item, ast.FunctionDef) and item.name == name), None)


def _parameters(method: ast.FunctionDef) -> dict[str, str]:
    arguments = [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]
    return {
        item.arg: ast.unparse(item.annotation) if item.annotation else "" for item in arguments if item.arg != "self"
    }


def _default_texts(method: ast.FunctionDef) -> dict[str, str]:
    positional = [*method.args.posonlyargs, *method.args.args]
    defaults = method.args.defaults
    pairs = [
        *zip(positional[len(positional) - len(defaults) :], defaults, strict=True),
        *zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True),
    ]
    return {item.arg: ast.unparse(default) for item, default in pairs if default is not None}


@cache
def _classes(place: str) -> dict[str, ast.ClassDef]:
    path = _locate(place)
    if path is None:
        return {}
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {item.name: item for tree in trees for item in tree.body if isinstance(item, ast.ClassDef)}


def _locate(place: str) -> Path | None:
    package, _, rest = place.partition("/")
    spec = importlib.util.find_spec(package)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(roots[0]) / rest if roots else None
    return path if path and path.exists() else None
