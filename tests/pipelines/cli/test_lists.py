import json

import pytest
from answers import answer

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("room", "some"),
    [
        ("experiments", {"digits", "fashion_mnist", "cifar10", "imagenet"}),
        ("data", {"digits", "fashion_mnist", "tfds"}),
        ("models", {"cnn", "resnet"}),
        ("tasks", {"image_classification"}),
    ],
)
def test_what_there_is_to_choose_from(room: str, some: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(answer(capsys, room, "--json"))
    assert some <= {choice["name"] for choice in listed}
    assert all(choice["description"] for choice in listed)
    lines = answer(capsys, room).splitlines()
    assert [line.split()[0] for line in lines] == [choice["name"] for choice in listed]


def test_models_and_tasks_tell_what_goes_in_and_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    models, tasks = (json.loads(answer(capsys, room, "--json")) for room in ("models", "tasks"))
    told = {choice["name"]: choice["interface"] for choice in (*models, *tasks)}
    assert told["cnn"] == told["image_classification"] == "image -> classes"
    # No model without a task that it fits.
    assert {model["interface"] for model in models} <= {task["interface"] for task in tasks}
    [line] = [line for line in answer(capsys, "models").splitlines() if line.startswith("cnn ")]
    assert line.split()[1:4] == ["image", "->", "classes"]
