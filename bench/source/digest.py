"""The digest of an object and of all the user's own code that it depends on.

A class is followed to its methods and bases, a function to the functions, classes, modules and
values that it reads. What stands in an installed package counts by its name alone.
"""

import hashlib
import inspect
import io
import pickle
from functools import cached_property, lru_cache
from pathlib import Path
from types import (
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
)
from typing import Any

from bench.errors import UsageError, one_line
from bench.fingerprint import digest
from bench.source.code import is_users, reads, text_of

Code = type | FunctionType | ModuleType
# Members of a class that say nothing about its behaviour, or that Python adds at first use.
UNIMPORTANT = {
    "__abstractmethods__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__slotnames__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
GENERATED = (
    "<string>"  # the file of the methods that dataclasses and named tuples write
)


def source_digest(value: object) -> str:
    """32 hex digits over a value and the source of the user's own code that it depends on.

    Raises:
        UsageError: if code has no source, or a value that it reads cannot be pickled.
    """
    graph = _Graph()
    content = graph.describe(value, type(value).__name__)
    return digest([content, graph.code])


@lru_cache(maxsize=256)
def class_digest(kind: type) -> str:
    """The same for a class of the user's own, computed once until `forget` is called.

    Empty for a class of an installed package, and for code that `source_digest` refuses.
    """
    if not is_users(kind):
        return ""
    try:
        return source_digest(kind)
    except UsageError:
        return ""


def forget() -> None:
    """Let code be looked at again: what a class depends on may have changed while it has not."""
    class_digest.cache_clear()


class _Graph:
    """What was met on the way: the user's functions, classes and modules, each described once."""

    def __init__(self) -> None:
        self.code: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._met: list[Code] = []  # so that no `id` is given twice

    def describe(self, value: object, name: str) -> str:
        """A digest of a value; the code in it is met, and stands in the digest by its name."""
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, self)
        try:
            pickler.dump(value)
        except UsageError:
            raise
        except Exception as error:  # pickling raises whatever the value's class likes
            raise UsageError(
                f"{name} is a {type(value).__name__} that cannot be pickled, so a change of it "
                f"would go unnoticed: make it inside the method that needs it ({one_line(error)})"
            ) from error
        return hashlib.sha256(buffer.getvalue()).hexdigest()

    def name(self, code: Code) -> str:
        """The name under which code is described; it is described if it is the user's."""
        if id(code) in self._names:
            return self._names[id(code)]
        name = self._new_name(code)
        self._names[id(code)] = name
        self._met.append(code)
        if is_users(code):
            self.code[name] = (
                None  # holds the name's place, for code that refers to itself
            )
            self.code[name] = self._description(code, name)
        return name

    def _new_name(self, code: Code) -> str:
        if isinstance(code, ModuleType):
            name = code.__name__
        else:
            name = f"{code.__module__}.{code.__qualname__}"
        others = sum(taken.partition("#")[0] == name for taken in self.code)
        return f"{name}#{others}" if others else name

    def _description(self, code: Code, name: str) -> Any:
        if isinstance(code, FunctionType):
            return self._function(code, name)
        if isinstance(code, ModuleType):
            return self._module(code)
        return self._class(code, name)

    def _function(self, function: FunctionType, name: str) -> Any:
        defaults = (function.__defaults__, function.__kwdefaults__)
        outside = sorted(reads(function).items())
        return {
            "text": text_of(function),
            "defaults": self.describe(defaults, f"a default of {name}"),
            "reads": {
                key: self.describe(value, f"{key}, which {name} reads,")
                for key, value in outside
            },
        }

    def _class(self, kind: type, name: str) -> Any:
        members = {
            key: self.describe(value, f"{name}.{key}")
            for key, value in vars(kind).items()
            if not (key in UNIMPORTANT or _is_slot(value) or _is_generated(kind, value))
        }
        bases = [self.name(base) for base in kind.__bases__]
        return {"members": members, "bases": bases, "kind": self.name(type(kind))}

    def _module(self, module: ModuleType) -> Any:
        """The text of its file, and the code that it holds or imports."""
        for value in list(vars(module).values()):
            if isinstance(value, Code):
                self.name(value)
        return Path(str(module.__file__)).read_text(encoding="utf-8")


class _Pickler(pickle.Pickler):
    """Writes values; where code stands in them, its name."""

    def __init__(self, buffer: io.BytesIO, graph: _Graph) -> None:
        super().__init__(buffer, protocol=4)
        self.fast = True  # equal values are written alike, whether or not they are the same object
        self.graph = graph

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return "set", sorted(
                self.graph.describe(item, "an item of a set") for item in value
            )
        name = self.graph.name(value) if isinstance(value, Code) else ""
        inside = _inside(value)
        if inside is None:
            return name or None
        kind = type(value).__name__
        return kind, name, self.graph.describe(inside, f"what is in a {kind}")


def _inside(value: Any) -> Any:
    """What a value that pickles by name, or not at all, consists of; None for any other."""
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, cached_property):
        return value.func
    if isinstance(value, classmethod | staticmethod):
        return value.__func__
    if isinstance(value, MappingProxyType):
        return dict(value)
    if callable(value) and hasattr(
        value, "__wrapped__"
    ):  # a function with a cache, for example
        return value.__wrapped__
    return None


def _is_slot(value: object) -> bool:
    return isinstance(value, GetSetDescriptorType | MemberDescriptorType)


def _is_generated(kind: type, member: object) -> bool:
    """Whether a method follows from the fields of its class, which are described themselves."""
    if not (hasattr(kind, "__dataclass_fields__") or hasattr(kind, "_fields")):
        return False
    method = getattr(member, "__func__", member)  # of a static method
    if not isinstance(method, FunctionType) or not method.__name__.startswith("__"):
        return False
    original: FunctionType = inspect.unwrap(method)
    return original.__code__.co_filename == GENERATED
