"""Where a compiled pipeline keeps its things and takes its images from: this machine, or a cluster in targets.toml."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.core.choices import nearest
from components.core.config import refuse_unfit
from components.core.errors import StepError
from components.storage.uris import BUCKET
from pipelines.hardware.pods import QUANTITY

FILE = "targets.toml"
# kfp.local names a step without this word a problem, because it runs on this Python whatever the image (kfp 2.17).
LOCAL_PREFIX = "suanli-python"
FIELDS = ("image_prefix", "data_root", "checkpoint_root", "registry")
# What an image can be called, a placeholder such as <project> not.
IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/@-]*")
NAME = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"
# Where Kubeflow's launcher can keep artifacts.
ROOTS = ("gs://", "s3://", "minio://")


class Target(BaseModel):
    """An installation.

    Attributes:
        image_prefix: the images' name up to ``-cpu:train-...``, with the registry's host where there is one.
        data_root: where prepared data are kept; absolute or gs://, as are the next two.
        checkpoint_root: where checkpoints are kept.
        registry: where models are published, one folder each.
        host: the address of the Kubeflow server.
        namespace: where its runs live.
        service_account: the service account of the runs' pods; empty for the server's own choice.
        pipeline_root: where Kubeflow keeps artifacts; empty for the server's own choice.
        queue: Kueue's local queue for train; empty for none.
        bucket_claim: the claim that mounts the data root's bucket (manifests/components/gcs-fuse), so that data which
            stay there are read as files; empty for none.
        shared_paths: local paths that every pod has, too: a mounted volume, or a folder of the image.
        autopilot: whether the cluster is GKE Autopilot.
        step_node_selector: labels of the nodes for the steps without an accelerator.
        step_cpu: CPUs that each of these steps asks for.
        step_memory: memory that each of these steps asks for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    image_prefix: Annotated[str, Field(min_length=1)]
    data_root: str
    checkpoint_root: str
    registry: str
    host: str = ""
    namespace: Annotated[str, Field(pattern=NAME)] = "kubeflow"
    service_account: Annotated[str, Field(pattern=NAME)] = ""
    pipeline_root: str = ""
    queue: Annotated[str, Field(pattern=NAME)] = ""
    bucket_claim: Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")] = ""
    shared_paths: tuple[str, ...] = ()
    autopilot: bool = False
    step_node_selector: dict[str, str] = {}
    step_cpu: Annotated[str, Field(pattern=QUANTITY.pattern)] = "1"
    step_memory: Annotated[str, Field(pattern=QUANTITY.pattern)] = "4Gi"

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, values: Any) -> Any:
        """A target goes into records and compiled files."""
        return refuse_unfit(values)

    @model_validator(mode="after")
    def _absolute(self) -> "Target":
        for field in ("data_root", "checkpoint_root", "registry"):
            uri = getattr(self, field)
            if not uri.startswith(("/", "gs://")):
                raise ValueError(f"{field} must be gs:// or an absolute path, not {uri!r}")
        for field in ("data_root", "checkpoint_root", "registry", "pipeline_root"):
            bucket = getattr(self, field).partition("://")[2].partition("/")[0]
            if "://" in getattr(self, field) and not BUCKET.fullmatch(bucket):
                raise ValueError(f"{field}: {bucket!r} is not a bucket's name (a-z, 0-9, -, _ and .): name your own")
        if not IMAGE.fullmatch(self.image_prefix):
            raise ValueError(f"image_prefix: {self.image_prefix!r} is not an image's name: it is in lower case")
        if self.bucket_claim and not self.data_root.startswith("gs://"):
            raise ValueError(f"bucket_claim mounts the bucket of data_root, which is {self.data_root!r}")
        if self.pipeline_root and not self.pipeline_root.startswith(ROOTS):
            raise ValueError(f"pipeline_root must begin with {' or '.join(ROOTS)}, not {self.pipeline_root!r}")
        return self

    @property
    def bucket(self) -> str:
        """The data root's bucket, where a claim mounts it; empty otherwise."""
        return self.data_root.removeprefix("gs://").partition("/")[0] if self.bucket_claim else ""


def local(runs: Path) -> Target:
    """This machine, everything below the folder of runs."""
    runs = runs.absolute()
    return Target(
        name="local",
        image_prefix=LOCAL_PREFIX,
        data_root=str(runs / ".store"),
        checkpoint_root=str(runs / ".checkpoints"),
        registry=str(runs / "registry"),
    )


def load(name: str, folder: Path) -> Target:
    """A cluster's target from ``targets.toml`` in a folder.

    Raises:
        StepError: there is no such file or target, or one of its keys is wrong.
    """
    path = folder / FILE
    example = f"write [{name}] with {', '.join(FIELDS)} into {FILE}"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(
            f"there is no {FILE} in {folder}, so no target {name!r}", advice=example, kind="settings"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StepError(f"{path}: {error}", advice=example, kind="settings") from None
    if name not in tables:
        raise StepError(f"unknown target {name!r}", advice=nearest(name, ["local", *tables]), kind="settings")
    try:
        return Target(name=name, **tables[name])
    except (ValidationError, TypeError) as error:
        raise StepError(f"{path}: [{name}] {_first(error)}", advice=example, kind="settings") from None


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "is no table"
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"has an unknown key {where}; {nearest(where, [name for name in Target.model_fields if name != 'name'])}"
    if first["type"] == "missing":
        return f"lacks {where}"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")
