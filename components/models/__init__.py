"""Model architectures, one per file, each with ``build(settings, ...) -> keras.Model``."""

from typing import ClassVar

from components.core.config import Section


class ModelSettings(Section):
    """Settings of every model; its name is that of its file in components/models.

    Attributes:
        interface: inputs and outputs, equal to the INTERFACE of each task that the model serves; it determines the
            arguments of ``build``.
    """

    interface: ClassVar[str]

    name: str

    def problem(self, input_shape: tuple[int, ...]) -> str:
        """Why the model cannot take such inputs; empty if it can. Models override it."""
        return ""
