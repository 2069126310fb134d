"""The images by Google's Cloud Build, for machines without a container engine, or with another processor's.

Fields: docs.cloud.google.com, Cloud Build, "Build configuration file schema".
"""

import json
from collections.abc import Sequence

from components.core import project
from components.core.errors import StepError
from pipelines.compile import compiler
from pipelines.images import build, names

DOCKER = "gcr.io/cloud-builders/docker"
# The tags of a kind are divided, so that no step has 100 arguments.
TAGS_A_STEP = 50


def config(kinds: Sequence[str], registry: str) -> str:
    """What ``gcloud builds submit --config`` takes, as JSON: build each kind, give it its tags, push them.

    The Dockerfile's public base is the base, since a build in the cloud sees no image of this machine.

    Args:
        kinds: ``cpu``, ``gpu``, ``tpu``; by default ``cpu``.
        registry: the registry's host and folder.

    Raises:
        StepError: no such kind, no registry, or a project, whose files are not in the checkout that is sent.
    """
    if own := project.own():
        advice = "use suanli images build and push, or leave the project's folder for Suanli's own images"
        raise StepError(f"Cloud Build would not see the files of the project {own}", advice=advice, kind="settings")
    prefix = names.prefix(registry)
    steps = [step for kind in names.image_kinds(kinds) for step in _steps(kind, prefix)]
    options = {"logging": "CLOUD_LOGGING_ONLY", "machineType": "E2_HIGHCPU_8", "diskSizeGb": "200"}
    return json.dumps({"steps": steps, "timeout": "7200s", "options": options}, indent=1)


def _steps(kind: str, prefix: str) -> list[dict[str, object]]:
    """The same build again for more tags takes seconds: all its layers are there."""
    labels = build.labels(kind) | {build.BASE_NAME: build.public_base()}
    described = [f"--label={name}={value}" for name, value in labels.items()]
    tags = [f"--tag={compiler.image_name(prefix, kind, tag)}" for tag in names.tags(kind)]
    fixed = ["build", f"--target={kind}", f"--file={build.DOCKERFILE}", *described]
    # BuildKit, since the Dockerfile mounts secrets; here there are none.
    builds: list[dict[str, object]] = [
        {"name": DOCKER, "env": ["DOCKER_BUILDKIT=1"], "args": [*fixed, *some, "."]}
        for some in (tags[at : at + TAGS_A_STEP] for at in range(0, len(tags), TAGS_A_STEP))
    ]
    repository = compiler.image_name(prefix, kind, "").rstrip(":")
    return [*builds, {"name": DOCKER, "args": ["push", "--all-tags", repository]}]
