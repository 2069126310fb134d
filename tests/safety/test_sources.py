"""What no source of ours may do: run what a file says, or leave open what another user may fill in."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("components", "pipelines", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "telnetlib", "xmlrpc"}
CALLS = {"eval", "exec", "compile", "__import__"}
# module.function -> what has to be said instead.
METHODS = {
    "tempfile.mktemp": "mkstemp or mkdtemp",
    "os.system": "subprocess.run with a list",
    "os.popen": "subprocess.run with a list",
    "yaml.load": "yaml.safe_load",
    "yaml.unsafe_load": "yaml.safe_load",
    "yaml.full_load": "yaml.safe_load",
    "np.load": "components.core.archives, which believes no header",
    "numpy.load": "components.core.archives, which believes no header",
    "keras.models.load_model": "components.layers.saved_model.load",
    "keras.saving.load_model": "components.layers.saved_model.load",
    "keras.config.enable_unsafe_deserialization": "nothing",
    "shutil.unpack_archive": "components.core.archives",
    "Image.open": "components.vision.images.decode",
}
FORBIDDEN = {("shell", True), ("allow_pickle", True), ("safe_mode", False), ("verify", False)}
# The one place for each.
EXCEPT = {("components/layers/saved_model.py", "keras.saving.load_model")}


def faults(text: str, path: str) -> Iterator[str]:
    """Line and fault of everything in a source that is not allowed."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names if name.name.partition(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)):
                found = [module] if module.partition(".")[0] in MODULES else []
            case ast.Call(func=function, keywords=keywords):
                name = ast.unparse(function)
                found = [f"{name}: use {METHODS[name]}"] if name in METHODS and (path, name) not in EXCEPT else []
                found += [name] if name in CALLS else []
                found += [
                    f"{keyword.arg}={keyword.value.value}"
                    for keyword in keywords
                    if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in FORBIDDEN
                ]
            case ast.Attribute(attr="extractall" | "extract"):
                found = ["extractall: use components.core.archives"]
            case _:
                continue
        yield from (f"{path}:{node.lineno} {one}" for one in found)


def test_no_source_runs_what_a_file_says() -> None:
    assert {path for path, _ in EXCEPT} <= {path.as_posix() for path in FILES}
    assert [fault for path in FILES for fault in faults((ROOT / path).read_text(), path.as_posix())] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "np.load(path)",
        "np.savez(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "subprocess.run('ls', shell=True)",
        "keras.models.load_model(path)",
        "load(path, safe_mode=False)",
        "tempfile.mktemp()",
        "archive.extractall(folder)",
        "keras.config.enable_unsafe_deserialization()",
    ],
)
def test_each_of_these_would_be_found(line: str) -> None:
    assert len(list(faults(line, "a.py"))) == 1


def test_yaml_is_read_by_the_safe_loader_only() -> None:
    from pipelines.hardware import pods

    assert "Safe" in pods.Loader.__name__
    loaders = [
        (path, ast.unparse(node))
        for path in FILES
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "yaml.load_all"
    ]
    assert {call.rpartition(", ")[2] for _, call in loaders} == {"Loader)"}
