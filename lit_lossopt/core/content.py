"""What tells one object from another: its code, and all that it holds.

Two functions of the same text differ by what they close over. Two losses of the same class differ by an attribute. Both
count here. Installed packages count by their names only. Neither numpy nor torch is imported.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
import logging
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

from lit_lossopt.core.checksum import checksum
from lit_lossopt.core.errors import one_line

# Of a class: what differs between two processes, or says nothing of what it does.
_SAYS_NOTHING = {
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__abstractmethods__", "_abc_impl", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__",
}  # fmt: skip
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_INSTALLED = tuple(dict.fromkeys(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")))


class Content:
    """All that an object is made of, as one hash and as texts.

    Args:
        value: the object.

    Attributes:
        digest: differs where the code, or a value that the object holds or reads, differs.
        sources: source of each function and class that no installed package brings.
    """

    def __init__(self, value: Any) -> None:
        self.sources: dict[str, None] = {}
        # By id, with its number. Objects are kept, so that no other one gets the id.
        self._seen: dict[int, tuple[int, Any]] = {}
        self._left = [value]
        self.digest = checksum(*self._parts())

    def _parts(self) -> Iterator[bytes]:
        # A stack, because objects may be nested more deeply than calls can be.
        while self._left:
            value = self._left.pop()
            if isinstance(value, _PLAIN):
                yield f"{type(value).__name__} {value!r}".encode(errors="surrogatepass")
            elif id(value) in self._seen:
                yield f"again {self._seen[id(value)][0]}".encode()
            else:
                self._seen[id(value)] = len(self._seen), value
                yield from self._own_parts(value)

    def _own_parts(self, value: Any) -> Iterator[bytes]:
        """Yield what an object says of itself, and note what it holds for later."""
        if isinstance(value, ModuleType | logging.Logger):
            yield f"{type(value).__name__} {getattr(value, '__name__', value)!s}".encode()
        elif isinstance(value, CodeType):
            yield value.co_code
            self._later(value.co_consts, value.co_names, value.co_varnames)
        elif isinstance(value, type) or inspect.isroutine(value):
            yield from self._code(value)
        elif _is_array(value):
            yield from self._array(value)
        else:
            yield f"{type(value).__module__} {type(value).__qualname__}".encode()
            self._held(value)

    def _later(self, *values: Any) -> None:
        self._left += reversed(values)

    def _code(self, made: Any) -> Iterator[bytes]:
        """Yield the name of a class or function, and note what it consists of if it is a person's own."""
        made = _unhooked(made)
        yield f"{getattr(made, '__module__', '')} {getattr(made, '__qualname__', made)}".encode()
        if inspect.ismethod(made):
            self._later(made.__self__, made.__func__)
        elif _is_own(made):
            source = source_of(made)
            # A method stands in the source of its class already.
            if not any(source in known for known in self.sources):
                self.sources[source] = None
            self._later(*(_of_class(made) if isinstance(made, type) else _of_function(made)))
        elif inspect.isfunction(made) and made.__closure__:
            # Made by an installed package, as a decorator is, around something that may be a person's own.
            self._later(*_of_function(made))

    def _array(self, value: Any) -> Iterator[bytes]:
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        if hasattr(value, "detach"):
            dense = value.detach().cpu()
            dense = dense.to_dense() if dense.is_sparse else dense
            # numpy has no bfloat16. Bytes have every type.
            yield dense.contiguous().flatten().view(sys.modules["torch"].uint8).numpy().tobytes()
        elif value.dtype.hasobject:
            self._later(value.tolist())
        else:
            yield value.tobytes()

    def _held(self, value: Any) -> None:
        """Note the class of an object and what it holds."""
        self._later(type(value), *_state(value))


def _state(value: Any) -> Iterable[Any]:
    """Return what an object holds."""
    for kind, parts in _PARTS.items():
        if isinstance(value, kind):
            return parts(value)
    if callable(asked := getattr(type(value), "told_apart_by", None)):
        return [asked(value)]
    slots = [name for made in type(value).__mro__ for name in _words(vars(made).get("__slots__", ()))]
    held = {name: getattr(value, name) for name in slots if not name.startswith("__") and hasattr(value, name)}
    held |= getattr(value, "__dict__", {})
    return [held] if held else [shown(value)]


_PARTS: dict[Any, Callable[[Any], Iterable[Any]]] = {
    functools.partial: lambda value: (value.func, value.args, value.keywords),
    Mapping: lambda value: [part for pair in value.items() for part in pair],
    set | frozenset: lambda value: sorted(value, key=repr),
    tuple | list: list,
    property: lambda value: (value.fget, value.fset),
}


def _words(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_array(value: Any) -> bool:
    return (
        hasattr(value, "dtype") and hasattr(value, "shape") and (hasattr(value, "detach") or hasattr(value, "tobytes"))
    )


def _is_own(made: Any) -> bool:
    """Return True if no installed package brings a class or function."""
    name = getattr(made, "__module__", None) or ""
    package = name.partition(".")[0]
    if package == "__main__":
        return True
    if package in ("lit_lossopt", "builtins") or package in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return not file.startswith(_INSTALLED)


def _unhooked(made: Any) -> Any:
    """Return the function behind those that an installed package has put around it.

    torch does so with the step of an optimizer's class when it is used for the first time.
    """
    while (
        inspect.isfunction(made) and hasattr(made, "__wrapped__") and made.__code__.co_filename.startswith(_INSTALLED)
    ):
        made = made.__wrapped__
    return made


def _of_class(made: type) -> list[Any]:
    held = [(name, _unwrapped(value)) for name, value in vars(made).items() if name not in _SAYS_NOTHING]
    return [list(made.__bases__), *held]


def _unwrapped(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod | classmethod) else value


def _of_function(made: Any) -> list[Any]:
    """Return what a function consists of, what it closes over, and the globals that it reads."""
    if not inspect.isfunction(made):
        return []
    cells = [_cell(cell) for cell in made.__closure__ or ()]
    used = {name: made.__globals__[name] for name in _globals_of(made.__code__) if name in made.__globals__}
    return [made.__code__, made.__defaults__, made.__kwdefaults__, cells, used]


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        # Not filled yet, as that of a class within its own body.
        return None


def _globals_of(code: CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)


def source_of(made: Any) -> str:
    """Return the source of a class or function, as far as it can be read."""
    try:
        return inspect.getsource(made)
    except (OSError, TypeError, IndentationError):
        text = _of_cell(made) if isinstance(made, type) else ""
    name = f"{getattr(made, '__module__', '')}.{getattr(made, '__qualname__', made)}"
    return text or f"# {name}: its source cannot be read\n"


def _of_cell(made: type) -> str:
    """Return the source of a class that was written in a notebook's cell.

    Python looks for it in a file, and there is none. The code of its methods knows its cell.
    """
    codes = [value.__code__ for value in map(_unwrapped, vars(made).values()) if inspect.isfunction(value)]
    for code in codes:
        lines = linecache.getlines(code.co_filename)
        for node in ast.walk(_parsed("".join(lines))):
            if isinstance(node, ast.ClassDef) and node.name == made.__name__:
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                if first <= code.co_firstlineno <= (node.end_lineno or 0):
                    return "".join(lines[first - 1 : node.end_lineno])
    return ""


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        # A cell may hold commands of the notebook as well.
        return ast.Module([], [])


def shown(value: Any) -> str:
    """Return how an object shows itself in one line, without its address."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # a person's own text may fail, and is only shown
        return type(value).__qualname__
    return type(value).__qualname__ if " at 0x" in text else one_line(text, 4000)
