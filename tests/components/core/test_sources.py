from pathlib import Path

import pytest

from components.core import sources


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


def test_whatever_imports_the_layers_stands_on_every_file_of_theirs(house: Path) -> None:
    folder = house / "components/layers"
    folder.mkdir()
    for name, text in {"__init__": "", "ours": "from components.core import deep\n", "theirs": ""}.items():
        (folder / f"{name}.py").write_text(text)
    (house / "components/core/loading.py").write_text("def load():\n    import components.layers\n")
    found = {str(path.relative_to(house / "components")) for path in sources.closure("components.core.loading")}
    core = (f"core/{name}" for name in ("__init__.py", "loading.py", "deep.py", "templates/page.html"))
    layers = (f"layers/{name}.py" for name in ("__init__", "ours", "theirs"))
    assert found == {"__init__.py", *core, *layers}


def test_the_lock_file_counts(house: Path) -> None:
    before = sources.digest(sources.digests("export"))
    (house / "requirements/cpu.txt").write_text("numpy==3")
    assert sources.digest(sources.digests("export")) != before


def test_a_renamed_file_changes_the_digest() -> None:
    assert sources.digest({"a.py": "1", "b.py": "2"}) != sources.digest({"a.py": "2", "b.py": "1"})
