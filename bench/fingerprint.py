"""What identifies features, runs and corpora: a digest of all that they depend on."""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any

Plain = Callable[[Any], Any]

PACKAGES = ("bench", "backbones", "tasks")  # ours, whose classes have a name each


def digest(content: Any) -> str:
    """32 hex digits that identify a JSON-like value."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plain(value: Any) -> Any:
    """A field's value as JSON-like content of a fingerprint."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return content(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def content(instance: Any, plain: Plain = plain) -> dict[str, Any]:
    """The fields of a dataclass that enter a fingerprint, by name, each made `plain`.

    A class may name in `founding` those of its own fields that it was released with. They always
    enter; a field that was added later enters only where it differs from its default, so that
    adding one repeats nothing that is recorded. Of a class without `founding`, every field enters.
    """
    fields = {}
    for field in dataclasses.fields(instance):
        value = plain(getattr(instance, field.name))
        if _is_founding(field.name, type(instance)) or value != plain(_default(field)):
            fields[field.name] = value
    return fields


def origin(kind: type) -> dict[str, str]:
    """What a fingerprint says of where a class comes from, besides its name.

    That is the module of a class outside our packages, which may have the name of one of ours or of
    another distribution's.
    """
    package = kind.__module__.partition(".")[0]
    return {} if package in PACKAGES else {"module": kind.__module__}


def _is_founding(name: str, kind: type) -> bool:
    """Whether the class that declares a field counts it always."""
    owner = next(c for c in kind.__mro__ if name in inspect.get_annotations(c))
    founding = vars(owner).get("founding")
    return founding is None or name in founding


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
