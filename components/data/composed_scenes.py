"""Composed scenes: Fashion-MNIST items pasted on a canvas, so that their boxes are known by construction."""

from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Fraction, Positive
from components.data import DataSettings, Facts, Source, fashion_mnist


class Settings(DataSettings):
    """Scenes composed of Fashion-MNIST items; the test split uses its test items alone.

    Attributes:
        side: height and width of a scene in pixels.
        most_items: the largest number of items in a scene; the smallest is 1.
        train_scenes: number of scenes for training and validation.
        test_scenes: number of scenes for the test.
        seed: of the random composition.
    """

    name: Literal["composed_scenes"] = "composed_scenes"
    task: str = "object_detection"
    split: tuple[Fraction, Fraction, Fraction] = (0.95, 0.05, 0.0)
    side: Annotated[int, Field(ge=32, le=1024)] = 128
    most_items: Annotated[int, Field(ge=1, le=50)] = 6
    train_scenes: Positive = 16_000
    test_scenes: Positive = 2_000
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def input_shape(self) -> tuple[int, ...]:
        return (self.side, self.side, 1)


def facts(settings: Settings) -> Facts:
    return Facts(_counts(settings), len(fashion_mnist.CLASSES))


def source(settings: Settings) -> Source:
    """The scenes, composed while they are read, always the same for the same settings.

    Raises:
        StepError: Fashion-MNIST is not on this machine.
    """
    from components.data._scenes import scenes

    items = fashion_mnist.source(fashion_mnist.Settings())
    side, most, seed = settings.side, settings.most_items, settings.seed
    return Source(
        info={
            "classes": items.info["classes"],
            "image_shape": [side, side, 1],
            "encoding": "raw",
            "most_boxes": settings.most_items,
        },
        splits={
            "train": lambda: scenes(items, "train", settings.train_scenes, side, most, seed),
            "test": lambda: scenes(items, "test", settings.test_scenes, side, most, seed),
        },
        counts=_counts(settings),
        version="1",
        licence=items.licence,
        text=f"scenes composed of items of {items.text}; their boxes are known by construction",
    )


def _counts(settings: Settings) -> dict[str, int]:
    return {"train": settings.train_scenes, "test": settings.test_scenes}
