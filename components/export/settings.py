"""The export section."""

from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive, Section

Format = Literal["saved_model", "litert", "litert_dynamic", "litert_int8", "onnx"]


class ExportSettings(Section):
    """What to hand over, and how far a format may stray from the Keras model.

    Attributes:
        strict: whether a format that cannot hold the model stops the export; else it is left out, and the model card
            says why.
        parity_examples: test examples that every format is checked on.
        max_difference: largest difference in any output of a float format, relative to the largest output.
        max_accuracy_drop: the largest loss in the task's paired metric for a quantized format.
        timing_seconds: how long each format is timed at each batch size.
    """

    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = (
        "saved_model",
        "litert",
        "litert_dynamic",
        "litert_int8",
        "onnx",
    )
    strict: bool = True
    parity_examples: Positive = 512
    max_difference: Annotated[float, Field(gt=0)] = 1e-3
    max_accuracy_drop: Annotated[float, Field(ge=0)] = 0.02
    timing_seconds: Annotated[float, Field(gt=0)] = 0.3
