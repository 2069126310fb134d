"""The export section."""

from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive, Section

Format = Literal["saved_model", "litert", "litert_dynamic", "litert_int8", "onnx"]


class ExportSettings(Section):
    """The formats to export, and how far they may differ from the Keras model.

    Attributes:
        formats: those to write.
        strict: whether a format that cannot represent the model stops the export; otherwise it is left out, and the
            model card has the reason.
        parity_examples: number of test examples for the check of each format.
        max_difference: largest difference in any output of a float format, relative to the largest output.
        max_accuracy_drop: the largest loss in the task's paired metric for a quantized format.
        timing_seconds: of measurement for each format and batch size.
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
