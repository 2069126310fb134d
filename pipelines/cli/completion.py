"""What the shell offers after TAB: ``python -m pipelines.cli.completion WORD...``, the words of a command line after
``suanli``, of which the last is being typed.

It answers within 0.1 s, so it imports the standard library alone. Commands, options, experiments, accelerators and
settings come from a file in the user's cache, which ``completion_words`` writes anew, in a second or two, whenever a
file changes that they are read from.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READ_FROM = (
    *("pipelines/cli", "pipelines/experiments", "pipelines/hardware/catalog"),
    *("components/data", "components/models", "components/tasks", "components/train", "components/export"),
)
RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z][a-z0-9_]*(-[0-9]+)?")
# The newest runs are offered.
MOST_RUNS = 50
# Seconds to write the file of words; a shell should not hang.
PATIENCE_S = 20.0


def main(words: list[str]) -> int:
    """Print what the last word can be completed to, a line each."""
    *before, typed = words or [""]
    print("\n".join(completions(before, typed, table())))
    return 0


def completions(before: list[str], typed: str, known: Mapping[str, Any]) -> list[str]:
    """What a word can be completed to, after others.

    Args:
        known: ``completion_words.table``.
    """
    command = known["commands"]
    values = iter(before)
    positionals = 0
    wanted = ""
    for word in values:
        inner = command.get("commands", {}).get(word)
        takes = command["options"].get(word)
        if inner and not positionals:
            command = inner
        elif takes:
            wanted = "" if next(values, None) is not None else takes
        elif not word.startswith("-"):
            positionals += 1
    if wanted:
        return _starting(typed, words_of(wanted, known))
    if typed.startswith("-"):
        return _starting(typed, command["options"])
    if "commands" in command:
        return _starting(typed, command["commands"])
    arguments = command["arguments"]
    return _starting(typed, words_of(arguments[min(positionals, len(arguments) - 1)], known) if arguments else ())


def _starting(typed: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(typed)]


def words_of(kind: str, known: Mapping[str, Any]) -> list[str]:
    """All words of a kind, such as ``experiments``; none if its values are free."""
    match kind:
        case "runs":
            folder = Path(os.environ.get("SUANLI_RUNS") or project() / "runs")
            names = [each.name for each in folder.glob("*") if RUN.fullmatch(each.name)]
            return ["latest", *sorted(names, reverse=True)[:MOST_RUNS]]
        case "targets":
            try:
                return list(tomllib.loads((project() / "targets.toml").read_text(encoding="utf-8")))
            except (OSError, ValueError):
                return []
    words: list[str] = known["words"].get(kind, [])
    return words


def table() -> dict[str, Any]:
    """The commands and words, from the cache if it is current; empty if they cannot be read within seconds."""
    path = cache_file()
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        command = [sys.executable, "-P", "-m", "pipelines.cli.completion_words", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
            known = json.loads(done.stdout)
        except (subprocess.SubprocessError, ValueError):
            known = {"commands": {"options": {}, "arguments": []}, "words": {}}
    return known


def project() -> Path:
    """The folder that ``components.core.project`` finds, which takes longer to import."""
    here = Path.cwd()
    named = os.environ.get("SUANLI_PROJECT")
    return Path(named) if named else next((up for up in (here, *here.parents) if (up / "suanli.toml").is_file()), here)


def cache_file() -> Path:
    """Where the words of the present sources are kept: below ``$SUANLI_CACHE_HOME`` or the user's cache."""
    chosen = os.environ.get("SUANLI_CACHE_HOME")
    home = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suanli"
    team = project()
    folders = [ROOT / name for name in READ_FROM]
    folders += [folder for name in ("experiments", "data", "models", "tasks") if (folder := team / name).is_dir()]
    files = [entry for folder in folders for entry in os.scandir(folder)]
    state = [(entry.path, entry.stat().st_mtime_ns) for entry in files if entry.name != "__pycache__"]
    own = team / "accelerators.toml"
    state += [(str(own), own.stat().st_mtime_ns)] if own.is_file() else []
    return home / "completion" / f"{sha256(repr(sorted(state)).encode()).hexdigest()[:16]}.json"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
