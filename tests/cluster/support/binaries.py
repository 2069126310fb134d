"""The programs of a Kubernetes control plane, built once from their Go modules into a cache folder.

``scripts/control-plane`` runs this file. The modules are those of ``tests/cluster/go``, one folder for each set of
versions that must not mix: etcd and kwok are built against other libraries than Kubernetes.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
MODULES = ROOT / "tests/cluster/go"
# Program -> module, package. The scheduler comes first: it holds most of what the others are built of, and is small.
PROGRAMS = {
    "etcd": ("etcd", "."),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kwok": ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
}
# What a program answers when it is asked for its version; without it, it takes itself for a development version.
VERSIONS = {"kubernetes": ("k8s.io/kubernetes", "k8s.io/component-base/version.gitVersion")}
# Custom resource definitions, from the modules that define them: file -> module, path in it.
DEFINITIONS = {
    f"{name}.yaml": ("sigs.k8s.io/kueue", f"config/components/crd/bases/kueue.x-k8s.io_{name}.yaml")
    for name in ("clusterqueues", "localqueues", "resourceflavors")
} | {
    f"{name}.yaml": (
        "github.com/argoproj/argo-workflows/v4",
        f"manifests/base/crds/minimal/argoproj.io_{name}.yaml",
    )
    for name in ("workflows", "workflowtaskresults")
}
GIVEN = "SUANLI_CONTROL_PLANE"
BUILD = "run make test-cluster or scripts/control-plane"


def folder() -> Path:
    """Where ``bin`` and ``crds`` are or will be: the folder that is given, or one for these modules.

    It lies in the user's cache, so that every checkout finds what one of them has built.
    """
    if given := os.environ.get(GIVEN):
        return Path(given)
    home = os.environ.get("SUANLI_CACHE_HOME")
    cache = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suanli"
    digest = hashlib.sha256()
    for path in sorted(MODULES.rglob("*.*")):
        digest.update(f"{path.relative_to(MODULES)}\n".encode() + path.read_bytes())
    return cache / "control-plane" / digest.hexdigest()[:12]


def missing() -> list[str]:
    """Which files are not there yet."""
    place = folder()
    wanted = [*(f"bin/{name}" for name in PROGRAMS), *(f"crds/{name}" for name in DEFINITIONS)]
    return [name for name in wanted if not (place / name).is_file()]


def reason() -> str:
    """Why no control plane can be started; empty where one can."""
    names = missing()
    return f"no control plane: {folder()} lacks {names[0]} and more ({BUILD})" if names else ""


def build() -> None:
    """Build what is missing.

    Raises:
        SystemExit: there is no Go, or a build fails.
    """
    wanted = missing()
    if not wanted:
        return
    if not shutil.which("go"):
        sys.exit("error: no go on the PATH: install Go 1.26 (https://go.dev/dl), or set " + GIVEN)
    place = folder()
    for kind in ("bin", "crds"):
        (place / kind).mkdir(parents=True, exist_ok=True)
    for name in wanted:
        start = time.monotonic()
        part = place / f"{name}.{os.getpid()}.part"
        (_program if name.startswith("bin/") else _definition)(Path(name).name, part)
        # A build that is broken off leaves nothing that looks whole, and two at once do not meet.
        part.replace(place / name)
        size = (place / name).stat().st_size / 1e6
        print(f"{name}: {time.monotonic() - start:.0f} s, {size:.1f} MB", flush=True)


def _program(name: str, path: Path) -> None:
    module, package = PROGRAMS[name]
    flags = "-s -w"
    if module in VERSIONS:
        source, variable = VERSIONS[module]
        version = re.search(rf"{source} (v\S+)", (MODULES / module / "go.mod").read_text())
        assert version
        flags += f" -X {variable}={version[1]}"
    _go(module, "build", "-trimpath", "-ldflags", flags, "-o", str(path), package)


def _definition(name: str, path: Path) -> None:
    module, inside = DEFINITIONS[name]
    found = json.loads(_go("crds", "mod", "download", "-json", module, read=True))
    shutil.copyfile(Path(found["Dir"]) / inside, path)
    path.chmod(0o644)


def _go(module: str, *words: str, read: bool = False) -> str:
    environ: dict[str, Any] = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    done = subprocess.run(
        ["go", *words], cwd=MODULES / module, env=environ, stdout=subprocess.PIPE if read else None, text=True
    )
    if done.returncode:
        sys.exit(f"error: go {words[0]} failed in {MODULES / module}")
    return done.stdout or ""


if __name__ == "__main__":
    if sys.argv[1:] == ["--present"]:
        sys.exit(bool(missing()))
    build()
    print(folder())
