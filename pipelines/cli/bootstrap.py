"""``suanli bootstrap gke``: the commands from an empty Google Cloud project to the first run."""

from typing import Annotated

import typer

from components.core import project as projects
from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.hardware import bootstrap as installation
from pipelines.hardware import catalog, ladder

Where = Annotated[str, typer.Argument(metavar="gke", help="What to set up; gke is all there is.")]
Project = Annotated[str, typer.Option(metavar="ID", help="The Google Cloud project's id.")]
Region = Annotated[str, typer.Option(metavar="REGION", help="Of bucket, images and cluster, such as us-central1.")]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="The cluster's zone; default REGION-b.")]
Cluster = Annotated[str, typer.Option(metavar="NAME", help="The GKE cluster.")]
Bucket = Annotated[str, typer.Option(metavar="NAME", help="The bucket, without gs://; default PROJECT-suanli.")]
Repository = Annotated[str, typer.Option(metavar="NAME", help="The Artifact Registry repository.")]
Accelerator = Annotated[str, typer.Option(metavar="NAME[,NAME]...", help="A row of suanli accelerators, or a ladder.")]
Submitters = Annotated[
    str, typer.Option(metavar="GROUP", help="The Google group that may submit; owners of the project may anyway.")
]
Terraform = Annotated[bool, typer.Option("--terraform", help="Print stages 2 to 7 as Terraform.")]


def bootstrap(
    where: Where,
    project: Project,
    region: Region,
    zone: Zone = "",
    cluster: Cluster = "suanli",
    bucket: Bucket = "",
    repository: Repository = "suanli",
    accelerator: Accelerator = "l4:spot",
    submitters: Submitters = "nobody@example.com",
    terraform: Terraform = False,
) -> None:
    """Print the commands that lead from an empty project to the first run on GKE. Nothing is run."""
    if where != "gke":
        raise StepError(f"cannot set up {where!r}", advice=nearest(where, ["gke"]), kind="settings")
    rungs = ladder.parse(accelerator, catalog.load(projects.folder()))
    wanted = installation.Installation(project, region, zone, cluster, bucket, repository, submitters)
    print((installation.hcl if terraform else installation.gcloud)(wanted, rungs))
