"""A small compiled pipeline with two documents, a condition and parameters of every kind."""

import functools
import tempfile
import warnings
from pathlib import Path

STEPS = ["prepare", "train", "evaluate", "export"]
PARAMETERS = {"data": {"name": "cnn"}, "epochs": 3, "accelerator_type": "nvidia.com/gpu", "tolerations": []}


@functools.cache
def compiled(note: str = "") -> str:
    """The file's text.

    Args:
        note: goes into a default, so that another note makes another content.
    """
    from kfp import compiler, dsl, kubernetes

    def prepare(text: str) -> str:
        return text

    def train(text: str) -> str:
        return text

    def evaluate(text: str) -> str:
        return text

    def export(text: str) -> str:
        return text

    component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)
    first, second, third, fourth = (component(step) for step in (prepare, train, evaluate, export))

    @dsl.pipeline(name="small")
    def small(data: dict, epochs: int, accelerator_type: str, tolerations: list, note: str = note) -> None:
        prepared = first(text=note)
        trained = second(text=prepared.output)
        trained.set_accelerator_type(accelerator_type).set_accelerator_limit("1")
        kubernetes.add_node_selector_json(trained, data)
        kubernetes.add_toleration_json(trained, tolerations)
        evaluated = third(text=trained.output)
        with dsl.If(evaluated.output == "accepted"):
            fourth(text=evaluated.output)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "small.yaml"
        compiler.Compiler().compile(small, str(path))
        return path.read_text()
