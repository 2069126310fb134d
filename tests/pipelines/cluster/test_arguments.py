from typing import Any

import pytest

from components.core.errors import StepError
from pipelines import experiment
from pipelines.cluster import arguments
from pipelines.compile import compiler

TEXT = compiler.compile_experiment(experiment.load("digits"), None, tag=lambda step, image: f"{step}-0")
BARE = """
root:
  inputDefinitions:
    parameters:
      needed: {parameterType: STRING}
      whole: {parameterType: NUMBER_INTEGER, isOptional: true}
      share: {parameterType: NUMBER_DOUBLE, isOptional: true}
      flag: {parameterType: BOOLEAN, isOptional: true}
"""


def test_every_parameter_of_an_experiment_fits_its_file() -> None:
    named = experiment.load("digits").with_settings(["training.epochs=3"])
    arguments.check(TEXT, compiler.parameters(named, None, lambda step, image: "0"))


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        (
            TEXT,
            {"acelerator_type": "x"},
            "the pipeline has no parameter 'acelerator_type'; did you mean accelerator_type",
        ),
        (TEXT, {"accelerator_count": 1}, "the pipeline's parameter accelerator_count is a text, not 1"),
        (TEXT, {"training": []}, "the pipeline's parameter training is a table, not []"),
        (TEXT, {"tolerations": {}}, "the pipeline's parameter tolerations is a list, not {}"),
        (BARE, {}, "the pipeline's parameter needed is not given"),
        (BARE, {"needed": "", "whole": 1.5}, "the pipeline's parameter whole is a number, not 1.5"),
        (BARE, {"needed": "", "whole": True}, "the pipeline's parameter whole is a number, not True"),
        (BARE, {"needed": "", "flag": 1}, "the pipeline's parameter flag is true or false, not 1"),
    ],
)
def test_what_the_server_would_drop_in_silence_is_refused(text: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(StepError) as caught:
        arguments.check(text, given)
    assert str(caught.value).startswith(said)


def test_numbers_fit() -> None:
    arguments.check(BARE, {"needed": "", "whole": 1, "share": 1, "flag": False})
