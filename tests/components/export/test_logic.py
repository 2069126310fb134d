import json
from pathlib import Path
from typing import Any

from components.core import registry


def test_an_accepted_model_is_published_in_every_format(judged: Any) -> None:
    outputs = judged.export()
    champion = registry.champion(judged.registry)
    assert champion and champion.id == outputs["exported"].metadata["version"]
    files = {path.name for path in champion.folder.iterdir()}
    assert files == {
        *("model.keras", "model.tflite", "model_dynamic.tflite", "model_int8.tflite", "model.onnx", "saved_model"),
        *("card.md", "card.html", "version.json"),
    }
    version = champion.version()
    assert version["info"]["classes"] == [f"digit {label}" for label in range(10)]
    assert version["evaluation"]["top_k"] == 3
    verdict = json.loads((judged.root / "verdict" / "verdict.json").read_text())
    assert version["metrics"] == verdict["metrics"]
    assert Path(outputs["card"].path).read_text().startswith("# Model card: digits")
