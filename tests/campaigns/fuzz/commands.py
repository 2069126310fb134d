"""The command line itself, each case in a process of its own: 0, or 2 with one line that begins with error."""

import json
import os
import random
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from pipelines.cli.main import main
from tests.campaigns.fuzz import mutation
from tests.campaigns.fuzz.campaign import MOST_S, Case, Wrong
from tests.campaigns.fuzz.pictures import _originals
from tests.campaigns.fuzz.settings import ACCELERATORS, SCHEDULES, SOURCE, TARGETS
from tests.campaigns.fuzz.stored import RECORD, broken_json

FINE = {0, 1, 2}
SETTINGS = ["training.epochs", "data.split", "model.name", "x", "data.limit"]
FILES = {"targets.toml": TARGETS, "accelerators.toml": ACCELERATORS, "schedules.toml": SCHEDULES, "mine.py": SOURCE}
COMMANDS = [
    "run",
    "compile",
    "plan",
    "submit",
    "explain",
    "predict",
    "runs",
    "schedules",
    "models",
    "nodepool",
    "doctor",
]


def commands(folder: Path) -> Case:
    """Commands over broken files and words; the interpreter is forked, so that a case costs no start of its own."""
    import kfp.compiler

    import pipelines.training  # noqa: F401  # loaded once, before the forks

    assert kfp.compiler
    runs = folder / "runs"
    (runs / RECORD["id"]).mkdir(parents=True)
    originals = _originals()

    def words(draw: random.Random) -> list[str]:
        setting = f"{draw.choice(SETTINGS)}={draw.choice(mutation.TEXTS)}"
        choices: list[Callable[[], list[str]]] = [
            lambda: ["compile", "digits", "--set", setting, "-o", str(folder / "out.yaml")],
            lambda: ["compile", str(folder / "mine.py"), "-o", str(folder / "out.yaml")],
            lambda: ["compile", "digits", "--target", "prod", "-o", str(folder / "out.yaml")],
            lambda: ["explain", "digits", "--accelerator", draw.choice(["l4", *mutation.TEXTS]), "--target", "prod"],
            lambda: ["nodepool", draw.choice(["l4", *mutation.TEXTS]), "--cluster", "c", "--location", "l"],
            lambda: ["accelerators"],
            lambda: ["models"],
            lambda: ["runs", draw.choice(["list", "show", "why", "compare", "prune"]), "--runs", str(runs)],
            lambda: ["runs", "show", RECORD["id"], "--runs", str(runs)],
            lambda: ["predict", draw.choice(mutation.TEXTS), str(folder / "picture.png"), "--runs", str(runs)],
            lambda: ["run", "--resume", RECORD["id"], "--runs", str(runs)],
            lambda: [draw.choice(COMMANDS), *draw.choices([*mutation.TEXTS, "--json", "--set", "-h", "--target"], k=3)],
        ]
        return [word.replace("\0", "").encode(errors="replace").decode() for word in draw.choice(choices)()]

    def case(draw: random.Random) -> str:
        for name, text in FILES.items():
            broken = mutation.text_of(text, draw) if draw.random() < 0.5 else text
            (folder / name).write_bytes(broken.encode(errors="replace"))
        (folder / "picture.png").write_bytes(mutation.bytes_of(draw.choice(originals), draw))
        (runs / RECORD["id"] / "run.json").write_bytes(broken_json(json.dumps(RECORD).encode(), draw))
        given = words(draw)
        if (
            given[0] in {"run", "submit", "doctor", "schedules", "predict"}
            and "--resume" not in given
            and len(given) < 5
        ):
            given.append("--no-such-option")  # nothing is to be started by chance
        code, said = _forked(given, folder)
        if code not in FINE or "Traceback" in said or "bug in suanli" in said:
            raise Wrong(f"{given} ended with {code}: {said[-600:]}")
        if code == 2 and not (said.count("\n") == 1 and said.startswith("error: ")) and "Usage" not in said:
            raise Wrong(f"{given} said: {said[:600]}")
        return f"exit {code}"

    return case


def _forked(given: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and stderr of a command."""
    heard = folder / "stderr"
    child = os.fork()
    if not child:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(MOST_S), int(MOST_S)))
            for number, name in ((0, os.devnull), (1, str(folder / "stdout")), (2, str(heard))):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
            # The campaign listens to what is printed; a command prints to its own stdout.
            sys.stdout, sys.stderr = (os.fdopen(number, "w", errors="backslashreplace") for number in (1, 2))
            os.chdir(folder)
            code = main(given)
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), heard.read_text(errors="replace")
    except BaseException:
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise
