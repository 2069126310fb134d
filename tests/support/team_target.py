"""A team's targets.toml, whose server is the test's own."""

TARGET = """
[gke]
image_prefix = "team/python"
data_root = "gs://team/data"
checkpoint_root = "gs://team/checkpoints"
registry = "gs://team/registry"
host = "{host}"
service_account = "{service_account}"
"""


def text(host: str, service_account: str = "pipeline-runner") -> str:
    """The file's text; what a test adds to it belongs to the same target."""
    return TARGET.format(host=host, service_account=service_account)
