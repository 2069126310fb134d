"""Shared settings of networks with attention."""

from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from components.models import ModelSettings


class WithHeads(ModelSettings):
    """Settings with a ``width`` that is divided among attention ``heads``."""

    if TYPE_CHECKING:
        width: int
        heads: int

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be divided among {self.heads} heads")
        return self
