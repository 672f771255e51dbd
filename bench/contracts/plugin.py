"""What backbones and tasks have in common: a name, with a variant after a colon."""

from collections.abc import Mapping
from typing import ClassVar

from bench import options


class Plugin:
    """A backbone or a task under the name that the user typed."""

    variants: ClassVar[Mapping[str, str]] = {}  # variant -> one line: how it differs
    usual: ClassVar[bool] = True  # whether `all` means it; `everything` does
    source: str = (
        ""  # set by the harness on what is passed as an object: its code's digest
    )

    def __init__(self, name: str) -> None:
        self.name = name  # with its variant: `feature-fusion:released`, `demo:pitch`

    @property
    def stem(self) -> str:
        """The name without the variant."""
        return options.stem(self.name)

    @property
    def variant(self) -> str:
        """The variant, empty for the default."""
        return options.variant(self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a setting may refer to it; the more specific one comes last."""
        return (self.stem, self.name) if self.variant else (self.name,)
