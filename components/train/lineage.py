"""Lineage: what decides a training's result, and which checkpoints it may therefore go on from.

The folder of a training's checkpoints is named ``<data, model, settings>-<code, libraries, backend, precision>``, so a
training never goes on from a checkpoint of other code. A local run notes its folder, and what the second half of the
name stands for, in ``checkpoints.json``: when it is resumed, a difference is refused, or allowed by
``suanli run --resume ID --other-code``, which is part of the next name and of the model's record.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from components import storage
from components.core import sources
from components.core.config import fingerprint
from components.core.errors import StepError
from components.core.files import write_atomically

FILE = "checkpoints.json"
# The key that allows a resumed run to go on with other code.
ALLOWED = "other_code"
PRECISIONS = ("mixed_bfloat16", "mixed_float16", "float32")
CHECKPOINT = re.compile(r"(epoch-(\d{5})(?:-step-(\d{8}))?(?:-lease-(\d+))?)/(?:checkpoint\.npz|(damaged\.json))$")


class Checkpoint(NamedTuple):
    """A checkpoint's position in training, in the order of training.

    Attributes:
        token: of the lease under which it was written; 0 for none.
        name: its folder.
        damaged: whether it was set aside as damaged.
    """

    epochs: int
    step: int
    token: int
    name: str
    damaged: bool


def checkpoints(uri: str, *, damaged: bool = False) -> list[Checkpoint]:
    """The published checkpoints in a folder, oldest first.

    Args:
        damaged: whether those that were set aside as damaged are listed, too.
    """
    matches = [match for path in storage.listing(uri) if (match := CHECKPOINT.match(path))]
    set_aside = {match[1] for match in matches if match[5]}
    return sorted(
        {
            Checkpoint(int(match[2]), int(match[3] or 0), int(match[4] or 0), match[1], match[1] in set_aside)
            for match in matches
            if damaged or match[1] not in set_aside
        }
    )


@dataclass(frozen=True)
class Lineage:
    """What decides the result of a training.

    Attributes:
        settings: a fingerprint of data, model and training settings.
        code: path in the checkout -> digest of the files that train uses.
        versions: library -> installed version.
        backend: Keras's.
        precision: Keras's dtype policy.
        origin: the folder of the checkpoints of other code that this training goes on from, if any.
    """

    settings: str
    code: Mapping[str, str]
    versions: Mapping[str, str]
    backend: str
    precision: str
    origin: str = ""

    @property
    def folder(self) -> str:
        """The name of the folder of its checkpoints."""
        environment = [sources.digest(self.code), self.versions, self.backend, self.precision]
        return f"{self.settings}-{fingerprint([*environment, *filter(None, [self.origin])])}"


def changes(noted: Mapping[str, Any], code: Mapping[str, str], versions: Mapping[str, str]) -> list[str]:
    """The files and libraries that differ from those that a run has noted."""
    pairs = ((noted.get("code", {}), code), (noted.get("versions", {}), versions))
    return [name for old, new in pairs for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]


def installed(chosen: sources.Chosen) -> tuple[dict[str, str], dict[str, str]]:
    """The code of train for an experiment's choices, and the versions of Python and of the libraries."""
    python = ".".join(map(str, sys.version_info[:2]))
    return sources.digests("train", chosen), {**sources.versions("train", chosen), "python": python}


def read(run: str) -> dict[str, Any]:
    """What a local run has noted; empty if nothing, or outside of a local run."""
    try:
        noted = json.loads((Path(run) / FILE).read_text()) if run else {}
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) and {"folder", "precision", "origin"} <= noted.keys() else {}


def write(run: str, noted: Mapping[str, Any]) -> None:
    write_atomically(Path(run) / FILE, json.dumps(noted, indent=1))


def running() -> str:
    """The folder of the local run that this process belongs to; empty on a cluster."""
    return os.environ.get("SUANLI_RUN", "")


def origin_of(noted: Mapping[str, Any]) -> str:
    """The folder of other code's checkpoints that a run goes on from, if any."""
    return str(noted["folder"] if noted.get(ALLOWED) else noted["origin"])


def resolve(own: Lineage, root: str, *, automatic: bool) -> Lineage:
    """The lineage that a training continues.

    A precision that was chosen automatically stays the run's own: a retry may get another accelerator of its ladder. A
    local run knows what it has chosen; on a cluster the checkpoints tell.

    Args:
        own: of this process, with the precision that suits its device.
        root: of all trainings' checkpoints.
        automatic: whether the precision may be another one.

    Raises:
        StepError: kind ``settings``: the run is resumed with other code, which is not allowed.
    """
    run = running()
    if not run:
        return _in_stored_precision(own, root) if automatic else own
    if noted := read(run):
        own = replace(own, precision=noted["precision"] if automatic else own.precision)
        same = replace(own, origin=noted["origin"])
        if same.folder == noted["folder"]:
            own = same
        elif checkpoints(storage.join(root, noted["folder"])):
            other = [name for name in ("settings", "backend", "precision") if noted.get(name) != getattr(own, name)]
            if other or not noted.get(ALLOWED):
                changed = [f"{name} {noted.get(name)} -> {getattr(own, name)}" for name in other]
                raise refusal(Path(run).name, changed + changes(noted, own.code, own.versions), allowable=not other)
            own = replace(own, origin=noted["folder"])
    write(run, {"folder": own.folder, **asdict(own)})
    return own


def refusal(run_id: str, changed: list[str], *, allowable: bool = True) -> StepError:
    """The error of a run that is resumed with other code, libraries or devices than those of its checkpoints."""
    shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    option = f", or let the present code compute the rest: suanli run --resume {run_id} --other-code"
    return StepError(
        f"what computed the checkpoints of run {run_id} has changed since: {shown}",
        advice="change it back, start the experiment anew" + option * allowable,
        kind="settings",
    )


def _in_stored_precision(own: Lineage, root: str) -> Lineage:
    """The lineage in the precision of the furthest checkpoint, its own if it has one."""
    candidates = [own, *(replace(own, precision=name) for name in PRECISIONS if name != own.precision)]
    stored = [(checkpoints(storage.join(root, one.folder)), one) for one in candidates]
    if stored[0][0] or not any(names for names, _ in stored):
        return own
    return max(stored, key=lambda pair: pair[0][-1:])[1]
