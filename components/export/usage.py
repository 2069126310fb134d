"""Code to copy: how each format of a version predicts, in four lines."""

from collections.abc import Collection

# Format -> its runtime, and the lines, in which ``INPUTS`` is the task's line that prepares them.
RUNTIMES = {
    "keras": (
        "Keras",
        """
import keras, numpy as np; from PIL import Image
INPUTS
model = keras.saving.load_model("model.keras")
print(model.predict(inputs))
""",
    ),
    "onnx": (
        "ONNX Runtime",
        """
import onnxruntime, numpy as np; from PIL import Image
INPUTS
session = onnxruntime.InferenceSession("model.onnx")
print(session.run(None, {session.get_inputs()[0].name: inputs})[0])
""",
    ),
    "litert": (
        "LiteRT",
        """
import numpy as np; from PIL import Image; from ai_edge_litert.interpreter import Interpreter
INPUTS
model = Interpreter("model.tflite").get_signature_runner()
print(model(**{name: inputs for name in model.get_input_details()}))
""",
    ),
}


def code(name: str, formats: Collection[str], preprocessing: str) -> dict[str, str]:
    """Runtime -> command or lines of Python.

    Args:
        name: of the model.
        formats: those that the version has.
        preprocessing: a line of Python that makes ``inputs``; without it only the command is given.
    """
    lines = {"On the command line": f"suanli predict {name} INPUT"}
    # The Keras file is always there.
    for each in (each for each in RUNTIMES if preprocessing and (each in formats or each == "keras")):
        runtime, text = RUNTIMES[each]
        lines[runtime] = text.strip().replace("INPUTS", preprocessing)
    return lines
