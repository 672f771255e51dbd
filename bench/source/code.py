"""Functions, classes and modules as code: whose they are, their text, and what they read."""

import __future__

import ast
import dis
import importlib.util
import inspect
import linecache
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from bench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
OUR_PACKAGES = [ROOT / name for name in ("bench", "backbones", "tasks")]
STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"]).resolve()
INSTALLED = ("site-packages", "dist-packages")
FEATURES = [getattr(__future__, name) for name in __future__.all_feature_names]
FUTURE_FLAGS = sum({feature.compiler_flag for feature in FEATURES})


def is_users(value: type | FunctionType | ModuleType) -> bool:
    """Whether code belongs to the user: to no installed package, to none of ours, and not to
    Python.
    """
    file = _file(value)
    if file is not None:
        return _is_users_file(file)
    module = value.__name__ if isinstance(value, ModuleType) else value.__module__
    if module == "__main__" or module not in sys.modules:
        return True

    methods = [
        member for member in vars(value).values() if isinstance(member, FunctionType)
    ]
    return any(map(is_users, methods))  # whatever module a class without a file claims


def text_of(function: FunctionType) -> str:
    """The source of a function, without its indentation.

    Where the source has changed since it was loaded, it is followed by what was loaded. Raises
    UsageError if there is no source.
    """
    code = function.__code__
    try:
        text = textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        raise UsageError(
            f"the source of {function.__qualname__} cannot be read, so that a change would go "
            "unnoticed: define it in a file, or in a notebook's cell without a magic command"
        ) from None
    whole = "".join(linecache.getlines(code.co_filename, function.__globals__))
    instructions = _instructions(code)
    if instructions in _compiled(whole, code.co_filename, code.co_flags & FUTURE_FLAGS):
        return text
    return f"{text}\n{instructions}"


def reads(function: FunctionType) -> dict[str, Any]:
    """What a function reads from outside itself, by name: globals, closures, imported modules."""
    found: dict[str, Any] = {}
    for code in _nested(function.__code__):
        for name in _globals(code):
            if name in function.__globals__:
                found[name] = function.__globals__[name]
        for name in _imports(code):
            module = _users_module(name)
            if module:
                found[f"import {name}"] = module
    for name, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=True
    ):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    return found


def _file(value: type | FunctionType | ModuleType) -> str | None:
    if isinstance(value, FunctionType):
        return value.__code__.co_filename
    module = (
        value if isinstance(value, ModuleType) else sys.modules.get(value.__module__)
    )
    return getattr(module, "__file__", None)


@lru_cache
def _is_users_file(file: str) -> bool:
    if file.startswith("<frozen "):
        return False
    path = Path(file).resolve()
    if any(name in path.parts for name in INSTALLED):
        return False
    return not any(
        path.is_relative_to(folder) for folder in (STANDARD_LIBRARY, *OUR_PACKAGES)
    )


@lru_cache(maxsize=64)
def _compiled(text: str, file: str, flags: int) -> frozenset[str]:
    """The instructions of every function of a file or a cell."""
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # of cells
    try:
        whole = compile(text, file, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return frozenset()
    return frozenset(_instructions(code) for code in _nested(whole))


def _nested(code: CodeType) -> Iterator[CodeType]:
    """A code object, and those of the functions and classes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _instructions(code: CodeType) -> str:
    """A code object as text, wherever it stands. (Two equal ones differ once Python 3.11 has
    optimised the one that was called.)
    """
    parts = [f"{code.co_qualname} {code.co_firstlineno}"]
    for each in _nested(code):
        constants = [
            value for value in each.co_consts if not isinstance(value, CodeType)
        ]
        parts.append(
            f"{each.co_code.hex()} {constants!r} {each.co_names!r} {each.co_freevars!r}"
        )
    return "\n".join(parts)


def _globals(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)


def _imports(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval)


def _users_module(name: str) -> ModuleType | None:
    """The module that a function imports, if it is the user's own."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return import_module(name) if _is_users_file(spec.origin) else None
