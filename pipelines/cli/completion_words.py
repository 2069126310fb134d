"""``suanli completion``: the lines for the shell's start file, and the words that it offers."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core import choices, project
from components.core.choices import nearest
from components.core.config import SECTIONS
from components.core.errors import StepError
from components.core.files import write_atomically
from components.steps import STEPS
from pipelines import experiment
from pipelines.cli import main as commands
from pipelines.cli import settings
from pipelines.hardware import catalog

# bash divides words at = and :, and replaces only what follows the last of them.
BASH = """_suanli() {{
  local line word
  read -ra line <<< "${{COMP_LINE:0:COMP_POINT}}"
  [[ ${{COMP_LINE:COMP_POINT-1:1}} == ' ' ]] && line+=("")
  word="${{line[${{#line[@]}}-1]}}"
  local IFS=$'\\n'
  COMPREPLY=($({call} "${{line[@]:1}}" 2> /dev/null))
  [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
  [[ $word == *[:=]* ]] && COMPREPLY=("${{COMPREPLY[@]#"${{word%"${{word##*[:=]}}"}}"}}")
  return 0
}}
complete -o default -F _suanli suanli"""
ZSH = """#compdef suanli
_suanli() {{
  local -a found
  found=("${{(@f)$({call} "${{(@)words[2,CURRENT]}}" 2> /dev/null)}}")
  if [[ -n "${{found[1]}}" ]]; then compadd -Q -- "${{found[@]}}"; else _files; fi
}}
compdef _suanli suanli"""
FISH = """function __suanli
  set -l words (commandline --tokenize --cut-at-cursor) (commandline --current-token)
  {call} $words[2..-1] 2> /dev/null
end
complete --command suanli --arguments '(__suanli)'"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
MOST_KEPT = 8
# What an argument or option takes, by how the help calls it.
ARGUMENTS = {"EXPERIMENT": "experiments", "RUN": "runs", "ID": "runs", "STEP": "steps"}
# The lists and the commands whose NAME means one of them.
NAMES = {"nodepool": "accelerators", "new": "kinds", "completion": "shells", "bootstrap": "platforms"}
NAMES |= {name: name for name in ("experiments", "data", "models", "tasks", "accelerators", "settings")}
OPTIONS = {"--accelerator": "accelerators", "--target": "targets", "--set": "assignments", "--run": "runs"}
Shell = Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")]


def completion(shell: Shell) -> None:
    """Print what makes a shell complete commands, experiments, runs, accelerators and settings after TAB.

    bash: suanli completion bash >> ~/.bashrc. zsh: the same into ~/.zshrc, after compinit.
    fish: suanli completion fish > ~/.config/fish/completions/suanli.fish.
    """
    if shell not in SHELLS:
        raise StepError(f"unknown shell {shell!r}", advice=nearest(shell, SHELLS), kind="settings")
    print(SHELLS[shell].format(call=f"{shlex.quote(sys.executable)} -P -m pipelines.cli.completion"))


def table() -> dict[str, Any]:
    """Commands with what their options and arguments take, and the words of each kind."""
    every = {name: commands.load(name) for panel in commands.PANELS.values() for name in panel}
    known = [each for each in settings.matching("") if not each.name.endswith(".name") or not each.choice]
    names = list(dict.fromkeys(each.name for each in known))
    chosen = dict.fromkeys(f"{each.name.partition('.')[0]}.{each.choice}" for each in known if each.choice)
    return {
        "commands": {
            "options": {"--help": "", "--version": "", "--debug": ""},
            "arguments": [],
            "commands": {name: _command(name, command) for name, command in every.items()},
        },
        "words": {
            "experiments": experiment.names(),
            **{room: choices.names(room) for room in settings.ROOMS.values()},
            "accelerators": [row.name for row in catalog.load(project.folder()).values() if not row.refused],
            "settings": sorted([*SECTIONS, *chosen, *names]),
            "assignments": [f"{name}=" for name in names],
            "steps": list(STEPS),
            "kinds": ["data", "experiment", "model", "task"],
            "shells": list(SHELLS),
            "platforms": ["gke"],
        },
    }


def _command(name: str, command: Any) -> dict[str, Any]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    entry: dict[str, Any] = {
        # A flag takes nothing; any other option something, which may be free.
        "options": {
            option: "" if getattr(each, "is_flag", False) else OPTIONS.get(option, "free")
            for each in command.params
            if each.param_type_name == "option" and not getattr(each, "hidden", False)
            for option in each.opts
        }
        | {"--help": ""},
        "arguments": [_argument(name, str(each.metavar or "")) for each in arguments],
    }
    if inner := getattr(command, "commands", None):
        entry["commands"] = {name: _command(name, each) for name, each in inner.items()}
    return entry


def _argument(command: str, metavar: str) -> str:
    return ARGUMENTS.get(metavar.strip("[].").partition(" ")[0].strip("[]."), NAMES.get(command, ""))


def main(path: Path) -> None:
    """Print the table as JSON and keep it, with those of the last few projects."""
    text = json.dumps(table())
    print(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
    write_atomically(path, text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
