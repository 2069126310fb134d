"""What Kubeflow's launcher does around a step's own command: it fills in the inputs and hands on the outputs.

The launcher itself is not here, nor an object store: artifacts are files in a folder. Form: kubeflow/pipelines,
backend/src/v2/component/launcher_v2.go at 2.17.0.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PLACEHOLDER = "{{$}}"


class Launcher:
    """A run of a compiled pipeline, step by step.

    Attributes:
        known: the run's parameters and, after each step, what it has put out, by name: in our pipeline a step's inputs
            are called like the parameters and outputs that they take.
    """

    def __init__(self, text: str, parameters: Mapping[str, Any], folder: Path) -> None:
        self.pipeline: dict[str, Any] = next(yaml.safe_load_all(text))
        self.known, self.folder = dict(parameters), folder

    def command(self, step: str) -> dict[str, list[str]]:
        """Command and arguments of a step's container."""
        (self.folder / step).mkdir(parents=True, exist_ok=True)
        found = self.pipeline["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
        given = json.dumps({"inputs": self._inputs(step), "outputs": self._outputs(step)})
        return {key: [word.replace(PLACEHOLDER, given) for word in found[key]] for key in ("command", "args")}

    def collect(self, step: str) -> None:
        """Take what a step has put out."""
        outputs = self._outputs(step)
        said = json.loads(Path(outputs["outputFile"]).read_text())
        for name, found in outputs["artifacts"].items():
            self.known[name] = {**found["artifacts"][0], **said["artifacts"][name]["artifacts"][0]}
        self.known |= said.get("parameterValues", {})

    def _inputs(self, step: str) -> dict[str, Any]:
        wanted = self.pipeline["components"][f"comp-{step}"]["inputDefinitions"]
        return {
            "parameterValues": {name: self.known[name] for name in wanted["parameters"]},
            "artifacts": {name: {"artifacts": [self.known[name]]} for name in wanted.get("artifacts", ())},
        }

    def _outputs(self, step: str) -> dict[str, Any]:
        wanted, place = self.pipeline["components"][f"comp-{step}"]["outputDefinitions"], self.folder / step
        artifacts = {
            name: {"artifacts": [{"name": name, "type": body["artifactType"], "uri": str(place / name)}]}
            for name, body in wanted["artifacts"].items()
        }
        return {
            "parameters": {name: {"outputFile": str(place / name)} for name in wanted.get("parameters", ())},
            "artifacts": artifacts,
            "outputFile": str(place / "executor_output.json"),
        }
