"""What the cpu image holds and how it runs."""

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core import sources
from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.images import build, names

Run = Callable[..., "subprocess.CompletedProcess[str]"]
LARGEST = 2.3e9


def inspected(program: str, image: str) -> dict[str, object]:
    done = subprocess.run([program, "image", "inspect", image], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)[0]
    return found


def imports(step: str) -> set[str]:
    """The packages of others that a step's source files name."""
    found: set[str] = set()
    for path in sources.closure(*sources.modules_of(step)):
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    # torch is a backend and keras_hub an extra that no image holds; the others choose what their lock file has.
    return {name for name in found if name.partition(".")[0] not in {"components", "torch", "jax", "keras_hub"}}


def test_it_runs_as_any_user_read_only_and_without_network(run: Run) -> None:
    script = "import components, os; print(os.getuid(), os.access('/app', os.W_OK), len(os.listdir('/sys/class/net')))"
    done = run("python3", "-c", script)
    assert done.stdout.split() == ["12345", "False", "1"], done.stderr


def test_its_own_user_is_a_number_other_than_root(program: str, image: str) -> None:
    config = inspected(program, image)["Config"]
    assert isinstance(config, dict) and config["User"] == "65532:65532"


def test_its_packages_agree(run: Run) -> None:
    done = run("python3", "-m", "pip", "check")
    assert done.returncode == 0, done.stdout


def test_it_holds_no_compiler_no_cache_and_no_secret(run: Run) -> None:
    script = """
        for name in cc gcc g++ c++ clang ld as make uv; do command -v $name; done
        ls -d /root/.cache /home/suanli/.cache /tmp/uv /var/cache/apt/archives/*.deb 2>/dev/null
        find / -xdev -path /proc -prune -o \\( -name pip.conf -o -name uv.toml -o -path '/run/secrets/*' \\) \\
            -size +0 -print
        true
    """
    done = run("sh", "-c", script, user="0:0")
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr


@pytest.mark.parametrize("step", STEPS)
def test_every_module_that_a_step_imports_is_there(step: str, run: Run) -> None:
    script = f"import importlib; [importlib.import_module(name) for name in {sorted(imports(step))!r}]"
    done = run("python3", "-W", "ignore", "-c", script)
    assert done.returncode == 0, done.stderr


def test_it_is_small(program: str, image: str) -> None:
    size = inspected(program, image)["Size"]
    assert isinstance(size, int) and size < LARGEST


def test_its_labels_say_what_it_is_made_of(program: str, image: str) -> None:
    config = inspected(program, image)["Config"]
    assert isinstance(config, dict)
    assert build.labels("cpu").items() <= config["Labels"].items()


def test_all_names_that_compile_writes_are_this_image(program: str, image: str) -> None:
    every = [sources.chosen_in(experiment.load(name).experiment.sections()) for name in experiment.names()]
    written = {f"suanli-python-cpu:{compiler.image_tag(step, chosen)}" for step in STEPS for chosen in every}
    assert written <= set(names.local("cpu"))
    assert len({str(inspected(program, name)["Id"]) for name in names.local("cpu")}) == 1


def test_its_history_names_secrets_by_their_names_only(program: str, image: str) -> None:
    done = subprocess.run(
        [program, "history", "--no-trunc", "--format", "{{.CreatedBy}}", image],
        capture_output=True,
        text=True,
        check=True,
    )
    settings = [path.read_text() for name, path in build.secrets() if name != "certificates"]
    secret = {line.partition("=")[2].strip() for text in settings for line in text.splitlines()} - {""}
    assert not [line for line in done.stdout.splitlines() if any(value in line for value in secret)]


def test_a_step_refuses_in_a_folder_that_it_may_not_write(run: Run, tmp_path: Path) -> None:
    assert run("touch", "/app/file").returncode and run("touch", str(tmp_path / "file")).returncode
    tmp_path.chmod(0o777)
    assert run("touch", str(tmp_path / "file"), mounts=(tmp_path,)).returncode == 0
