"""Model architectures, one a file, each with ``build(settings, ...) -> keras.Model``."""

from typing import ClassVar

from components.core.config import Section


class ModelSettings(Section):
    """What every model has: its name, which is its file's name in components/models.

    Attributes:
        interface: what goes in and comes out, which is the INTERFACE of every task that it serves; it says which
            arguments ``build`` takes.
    """

    interface: ClassVar[str]

    name: str

    def problem(self, input_shape: tuple[int, ...]) -> str:
        """Why this model cannot take such an input, or an empty string. Models override it."""
        return ""
