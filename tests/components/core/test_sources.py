from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from components.core import sources
from components.steps import STEPS


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout: step -> logic -> core, with an import inside a function and a template."""
    files = {
        "components/__init__.py": "",
        "components/core/__init__.py": "",
        "components/core/deep.py": "import json\n",
        "components/core/pages.py": "from components.core.deep import thing\n",
        "components/core/templates/page.html": "<p>",
        "components/core/unused.py": "",
        "components/export/__init__.py": "",
        "components/export/logic.py": "def export():\n    from components.core import pages\n",
        "components/export/templates/card.md": "#",
        "components/models/__init__.py": "",
        "components/models/cnn.py": "",
        "components/models/resnet.py": "",
        "components/tasks/__init__.py": "",
        "requirements/cpu.txt": "numpy==2",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return tmp_path


def test_the_closure_follows_imports_inside_functions_and_takes_templates(house: Path) -> None:
    found = {str(path.relative_to(house)) for path in sources.closure("components.export.logic")}
    assert found == {
        "components/__init__.py",
        "components/core/__init__.py",
        "components/core/deep.py",
        "components/core/pages.py",
        "components/core/templates/page.html",
        "components/export/__init__.py",
        "components/export/logic.py",
        "components/export/templates/card.md",
    }


def test_a_chosen_file_stands_for_its_room(house: Path) -> None:
    whole, chosen = sources.digests("export"), sources.digests("export", {"models": "cnn"})
    assert "components/models/resnet.py" in whole and "components/models/resnet.py" not in chosen
    assert "components/models/cnn.py" in chosen


def test_a_file_that_is_found_by_looking_into_its_folder_counts_where_a_module_names_it(house: Path) -> None:
    folder = house / "components/layers"
    folder.mkdir()
    loads = "def load():\n    for module in pkgutil.iter_modules(): importlib.import_module(module.name)\n"
    for name, text in {
        "__init__": "",
        "ours": "from components.core import deep\n",
        "theirs": "",
        "load": loads,
    }.items():
        (folder / f"{name}.py").write_text(text)
    (house / "components/models/cnn.py").write_text("def build():\n    from components.layers import load, ours\n")
    found = {str(path.relative_to(house / "components")) for path in sources.closure("components.models.cnn")}
    layers = {f"layers/{name}.py" for name in ("__init__", "ours", "load")}
    assert found == {"__init__.py", "core/__init__.py", "core/deep.py", "core/templates/page.html", *layers} | {
        "models/__init__.py",
        "models/cnn.py",
    }


def test_what_only_a_type_checker_imports_does_not_count(house: Path) -> None:
    (house / "components/models/cnn.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from components.core import deep\n"
    )
    assert house / "components/core/deep.py" not in sources.closure("components.models.cnn")


def test_a_step_stands_on_the_roles_of_its_row_that_the_task_has(house: Path) -> None:
    task = house / "components/tasks/pairs"
    task.mkdir()
    for name in ("__init__", "examples", "training", "report", "shared"):
        (task / f"{name}.py").write_text("")
    (task / "report.py").write_text("from components.tasks.pairs import shared\n")
    found = {name for name in sources.digests("export", {"tasks": "pairs", "models": "cnn"}) if "tasks/" in name}
    assert found == {
        "components/tasks/__init__.py",
        *(f"components/tasks/pairs/{name}.py" for name in ("__init__", "examples", "report", "shared")),
    }


def test_the_table_of_steps_is_in_no_closure_and_a_step_s_own_row_in_its_digests(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house / "components/steps.py").write_text("")
    (house / "components/core/deep.py").write_text("from components.steps import STEPS\n")
    assert house / "components/steps.py" not in sources.closure("components.core.deep")
    before = sources.digests("export")
    monkeypatch.setitem(STEPS, "train", replace(STEPS["train"], logic="components.train.logic:other"))
    assert sources.digests("export") == before
    monkeypatch.setitem(STEPS, "export", replace(STEPS["export"], logic="components.export.logic:other"))
    assert {name for name, value in sources.digests("export").items() if before[name] != value} == {
        "components/steps.py export"
    }


def test_an_image_s_own_lock_file_is_found(house: Path) -> None:
    (house / "requirements/cpu.txt").rename(house / "requirements/gpu.txt")
    assert sources.lock_file() == house / "requirements/gpu.txt"
    assert sources.lock_file("cpu") is None


def test_versions_are_those_of_locked_libraries_and_of_extras_that_are_imported(house: Path) -> None:
    (house / "requirements/cpu.txt").write_text("numpy==2.0 \\\n    --hash=sha256:0\nnot-there==1\n")
    (house / "components/models/cnn.py").write_text("def build():\n    import docker, json, no_such_module\n")
    found = sources.versions("export", {"models": "cnn"})
    assert found == {name: metadata.version(name) for name in ("docker", "numpy")}
    assert "docker" not in sources.versions("export", {"models": "resnet"})


def test_without_a_lock_file_every_installed_library_counts(house: Path) -> None:
    (house / "requirements/cpu.txt").unlink()
    assert {"numpy", "pytest", "keras"} <= set(sources.versions("export"))


def test_the_lock_file_counts(house: Path) -> None:
    before = sources.digest(sources.digests("export"))
    (house / "requirements/cpu.txt").write_text("numpy==3")
    assert sources.digest(sources.digests("export")) != before


def test_a_renamed_file_changes_the_digest() -> None:
    assert sources.digest({"a.py": "1", "b.py": "2"}) != sources.digest({"a.py": "2", "b.py": "1"})
