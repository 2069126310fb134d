"""What KFP sees of prepare."""

from kfp.dsl import HTML, Dataset, Output, component


@component(base_image="suanli-python", install_kfp_package=False)
def prepare(data: dict, data_root: str, freshness: str, examples: Output[Dataset], report: Output[HTML]):
    """Bring a data source into a checked TFDS directory and describe it.

    Args:
        data: the experiment's data section.
        data_root: where prepared directories are kept: an absolute path or gs://.
        freshness: what stands for the state of data that lie outside; a new value prepares them anew.
        examples: the index of the prepared directory.
        report: what the data look like.
    """
    from components.core import step

    step.run(
        "prepare",
        parameters={"data": data, "data_root": data_root, "freshness": freshness},
        outputs={"examples": examples, "report": report},
    )
