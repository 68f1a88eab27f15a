"""Which classes a config can name, with their arguments.

They are read from source files, and nothing is imported.

Importing torch and lightning takes some ten seconds; a misspelt name should not cost that. So the sources are parsed
with ``ast``. Whatever cannot be told this way (a class of another package, arguments behind ``**kwargs``) is answered
with None and left to the real parser.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lit_lossopt.core.class_paths import as_named_now

# Pairs of an import prefix and the file or folder, below a top-level package, that defines its classes.
Sources = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Family:
    """The classes that a key can name by bare name.

    ``sources`` pairs an import prefix with the file or folder below a top-level package that defines the classes;
    ``bases`` are the class names from which a member descends, ``moved`` are names that mean a class elsewhere, and
    ``more`` is a further source for names that are not found in the others.
    """

    sources: Sources
    bases: frozenset[str]
    moved: tuple[tuple[str, str], ...] = ()
    more: tuple[str, str] | None = None


FAMILIES: dict[str, Family] = {
    "model.network": Family((("lit_lossopt.networks", "lit_lossopt/networks"),), frozenset({"Module"})),
    "model.criterion": Family(
        (("torch.nn", "torch/nn/modules/loss.py"), ("lit_lossopt.losses", "lit_lossopt/losses")),
        frozenset({"Module", "_Loss", "_WeightedLoss"}),
    ),
    # Ours come last and so take the name: Muon, which routes what torch's Muon refuses.
    "model.optimizer": Family(
        (("torch.optim", "torch/optim"), ("lit_lossopt.optimizers", "lit_lossopt/optimizers")),
        frozenset({"Optimizer"}),
        more=("pytorch_optimizer", "pytorch_optimizer/optimizer"),
    ),
    # Lightning needs to know what to monitor, so it accepts only its own subclass of this one.
    "model.lr_scheduler": Family(
        (
            ("torch.optim.lr_scheduler", "torch/optim/lr_scheduler.py"),
            ("lit_lossopt.optimizers", "lit_lossopt/optimizers/given.py"),
        ),
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
    """Return bare name -> full class path for the family of ``key``, sorted by name.

    >>> class_paths("model.network")["MiniCNN"]
    'lit_lossopt.networks.MiniCNN'
    """
    paths = {name: member.path for name, member in _members(key).items()}
    return dict(sorted({**paths, **dict(FAMILIES[key].moved)}.items()))


def names_to_choose(key: str) -> list[str]:
    """Return the bare names that a person may choose at ``key``.

    What stands for an object from Python is none of them.
    """
    return [name for name in class_paths(key) if not name.startswith("Given")]


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
    member = _members(key).get(bare)
    if member is None or member.path != class_path or bare in dict(FAMILIES[key].moved):
        return None
    return _constructor_parameters(FAMILIES[key].sources, member.place, bare)


def class_defaults(key: str, class_path: str) -> dict[str, str]:
    """Return parameter name -> the text of its default, of a family's class.

    Empty where that cannot be read.
    """
    member = _members(key).get(class_path.rpartition(".")[2])
    method = _method(member.definition, "__init__") if member and member.path == class_path else None
    if method is None:
        return {}
    positional = [*method.args.posonlyargs, *method.args.args]
    defaults = method.args.defaults
    pairs = [
        *zip(positional[len(positional) - len(defaults) :], defaults, strict=True),
        *zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True),
    ]
    return {item.arg: ast.unparse(default) for item, default in pairs if default is not None}


def shared_parameters(key: str) -> set[str]:
    """Return the parameters that the family's own base class declares.

    They are the same argument in each of its classes. Only the base class of data modules counts. Every other family
    gives an empty set, because an argument of the same name (``lr``, ``weight_decay``) means something else in each
    class.
    """
    sources = FAMILIES[key].sources
    own = [place for _, place in sources if place == "lit_lossopt/data"]
    return {
        name
        for place in own
        for base in FAMILIES[key].bases
        for name in _constructor_parameters(sources, place, base) or ()
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
    """Return parameter name -> annotation text of a method in the file ``place`` (empty where it has none)."""
    found = _classes(place).get(class_name)
    method = _method(found.definition, function) if found else None
    return _parameters(method) if method else {}


@dataclass(frozen=True)
class _Class:
    """A class as its source file defines it, the stem of that file, and the dotted name of its first base."""

    definition: ast.ClassDef
    stem: str
    base: str


@dataclass(frozen=True)
class _Member:
    """A class that a key can name by its bare name."""

    path: str
    place: str
    definition: ast.ClassDef


@cache
def _members(key: str) -> dict[str, _Member]:
    """Return bare name -> class, for every class of the sources that descends from a base of the family."""
    family = FAMILIES[key]
    return {
        name: _Member(_import_path(prefix, place, name, found.stem), place, found.definition)
        for prefix, place in family.sources
        for name, found in _classes(place).items()
        if not name.startswith("_") and name not in family.bases
        if any(base in family.bases for base, _ in _lineage(family.sources, place, name))
    }


def _import_path(prefix: str, place: str, name: str, stem: str) -> str:
    """Return where a class is imported from: its package if that exports it, otherwise its module."""
    of_package = place.endswith(".py") or name in exported_names(f"{place}/__init__.py")
    return f"{prefix}.{name}" if of_package else f"{prefix}.{stem}.{name}"


def _constructor_parameters(sources: Sources, place: str, class_name: str) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for _, definition in _lineage(sources, place, class_name):
        if definition is None:
            return None
        method = _method(definition, "__init__")
        if method is None:
            continue
        parameters = {**_parameters(method), **parameters}
        if method.args.kwarg is None:
            return parameters
    return None


def _lineage(sources: Sources, place: str, name: str) -> Iterator[tuple[str, ast.ClassDef | None]]:
    """Yield a class and its first bases upwards, by bare name and as they are defined.

    The last one may be defined outside all sources. A base that is imported is looked up in the source of that import.
    """
    visited: set[tuple[str, str]] = set()
    while (place, name) not in visited:
        visited.add((place, name))
        found = _classes(place).get(name)
        yield name, found.definition if found else None
        if found is None or not found.base:
            return
        name = found.base.rpartition(".")[2]
        place = next((other for prefix, other in sources if found.base.startswith(f"{prefix}.")), place)


def _method(definition: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((item for item in definition.body if isinstance(item, ast.FunctionDef) and item.name == name), None)


def _parameters(method: ast.FunctionDef) -> dict[str, str]:
    arguments = [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]
    return {
        item.arg: ast.unparse(item.annotation) if item.annotation else "" for item in arguments if item.arg != "self"
    }


@cache
def _classes(place: str) -> dict[str, _Class]:
    """Return name -> class of a source file, or of all files of a folder."""
    path = _locate(place)
    if path is None:
        return {}
    classes: dict[str, _Class] = {}
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        # Local name -> dotted name; relative imports stay in their folder.
        imported = {
            name.asname or name.name: name.name if item.level else f"{item.module}.{name.name}"
            for item in tree.body
            if isinstance(item, ast.ImportFrom)
            for name in item.names
        }
        for item in tree.body:
            if isinstance(item, ast.ClassDef):
                first, _, rest = (ast.unparse(item.bases[0]) if item.bases else "").partition(".")
                base = ".".join(part for part in (imported.get(first, first), rest) if part)
                classes[item.name] = _Class(item, file.stem, base)
    return classes


def _locate(place: str) -> Path | None:
    package, _, rest = place.partition("/")
    spec = importlib.util.find_spec(package)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(roots[0]) / rest if roots else None
    return path if path and path.exists() else None
