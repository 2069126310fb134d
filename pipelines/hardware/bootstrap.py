"""All that a first run on GKE needs, as commands to read and run, or as Terraform: APIs, accounts, bucket, registry,
cluster, Kubeflow.

Flags: the help of the Cloud SDK 528. Kubeflow's steps: www.kubeflow.org, Pipelines, operator guides, installation.
Roles: docs.cloud.google.com, "Configure GKE node service accounts", "Run builds with a user-managed service account".
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import StepError
from pipelines.hardware import nodepool, terraform
from pipelines.hardware.ladder import Rung
from pipelines.hardware.nodepool import Pool

TEMPLATES = Path(__file__).parent / "templates"
# Resource Manager, "Creating and managing projects"; Compute Engine, "Regions and zones".
PROJECT = re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]")
REGION = re.compile(r"[a-z]+-[a-z]+[0-9]{1,2}")
# Cloud Storage, "Bucket names": not google, nor goog at the beginning.
BUCKET = re.compile(r"(?!goog)(?!.*google)[a-z0-9][-a-z0-9_.]{1,61}[a-z0-9]")
REPOSITORY = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
GROUP = re.compile(r"[a-z0-9][-a-z0-9._+]*@[a-z0-9][-a-z0-9.]*\.[a-z]{2,}")


@dataclass(frozen=True)
class Installation:
    """Names of what is to be made. Raises StepError for one that cannot be.

    Attributes:
        project: the project's id, not its number or title.
        region: of the bucket and the images.
        zone: of the cluster; by default the region's ``b``, which every region of Google's with L4s has.
        bucket: by default the project's id with ``-suanli``: names of buckets are unique in the world.
        submitters: the Google group whose members may submit; an owner of the project may without.
    """

    project: str
    region: str
    zone: str = ""
    cluster: str = "suanli"
    bucket: str = ""
    repository: str = "suanli"
    submitters: str = "nobody@example.com"

    def __post_init__(self) -> None:
        object.__setattr__(self, "zone", self.zone or f"{self.region}-b")
        object.__setattr__(self, "bucket", self.bucket or f"{self.project}-suanli")
        in_region = re.compile(rf"{re.escape(self.region)}-[a-z]")
        for option, pattern, advice in (
            ("project", PROJECT, "give the project's id: 6 to 30 of a-z, 0-9 and -, such as my-team-ml"),
            ("region", REGION, "give one such as us-central1"),
            ("zone", in_region, f"give a zone of {self.region}, such as {self.region}-b"),
            ("cluster", nodepool.NAME, "use a-z, 0-9 and -, at most 40, a letter first"),
            ("bucket", BUCKET, "use a-z, 0-9, -, _ and ., 3 to 63, without gs://"),
            ("repository", REPOSITORY, "use a-z, 0-9 and -, at most 63, a letter first"),
            ("submitters", GROUP, "give the group's address, such as ml@example.com"),
        ):
            value = getattr(self, option)
            if not pattern.fullmatch(value):
                raise StepError(f"--{option} {value!r}: not a valid {option}", advice=advice, kind="settings")

    @property
    def nodes(self) -> str:
        """The Google service account of the nodes."""
        return f"suanli-nodes@{self.project}.iam.gserviceaccount.com"

    def names(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def pools(installation: Installation, rungs: Sequence[Rung]) -> list[Pool]:
    """The node pools of a ladder, whose nodes have the account that reads the images."""
    where = (installation.cluster, installation.zone)
    return [nodepool.for_rung(rung, *where, service_account=installation.nodes) for rung in rungs]


def gcloud(installation: Installation, rungs: Sequence[Rung]) -> str:
    """The stages as a shell's commands with comments; the last ones are Suanli's own."""
    exports = [f"export {name.upper()}={shlex.quote(value)}" for name, value in installation.names().items()]
    return _rendered(
        "gke.sh",
        exports="\n".join(exports),
        pools="\n".join(map(nodepool.gcloud, pools(installation, rungs))),
        accelerator=",".join(map(str, rungs)),
    )


def hcl(installation: Installation, rungs: Sequence[Rung]) -> str:
    """What the stages 2 to 7 make, as one file for Terraform."""
    names = {name: value for name, value in installation.names().items() if name != "submitters"}
    width = max(map(len, names))
    text = "\n\n".join(terraform.resource(pool) for pool in pools(installation, rungs))
    # Terraform makes what a resource refers to before it.
    text = re.sub(r'^(  cluster +=) ".*"$', r"\1 google_container_cluster.cluster.name", text, flags=re.MULTILINE)
    text = text.replace(f'"{installation.nodes}"', 'google_service_account.account["suanli-nodes"].email')
    shown = "\n".join(f'  {name:{width}} = "{value}"' for name, value in names.items())
    return _rendered("gke.tf", locals=shown, pools=text)


def _rendered(template: str, **values: str) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.rstrip()
