"""The steps, a row each: whoever lists steps, or does something for some of them only, reads it here.

A new step is a folder beside this file (``component.py``, ``logic.py``) and one row. Nothing heavy is imported: the
command line reads the table, and ``components.core.step`` does inside a container.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Place = Literal["data_root", "checkpoint_root", "registry"]
PLACES: tuple[Place, ...] = get_args(Place)


class Report(NamedTuple):
    """An output that a run's page links to: the file's name there, what a reader calls it, and its name in the bar of
    the run's pages, empty for what is not a page."""

    file: str
    label: str
    tab: str = ""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: its folder in components/, and the function in the folder's ``component.py``.
        logic: what its component runs, ``module:function``.
        rooms: the rooms of which it uses the experiment's own choice: ``data``, ``models``.
        roles: the files that it reads of the experiment's task, components/tasks/<task>/<role>.py, if they are there.
        places: the shared places that it uses: whether it only reads them, or writes them.
        shared: whether its results serve every run; otherwise each run decides anew, and keeps them to be resumed.
        state: a function, ``module:function``, of its parameters: a string that joins the cache's key, because the
            result depends on it, such as the present champion. Empty for none.
        downloads: whether it may use the network, where the data source needs it.
        accelerator: whether it runs on the accelerator, and in its image; the other steps run in the CPU's.
        metrics: where run.json has its output ``metrics``; empty for nowhere.
        reports: outputs for people. KFP gives their files no ending.
        reproduced: outputs made of the inputs and the seed alone: equal bytes on equal machines.
    """

    name: str
    logic: str
    rooms: tuple[Literal["data", "models"], ...] = ()
    roles: tuple[str, ...] = ()
    places: Mapping[Place, Literal["read", "write"]] = field(default_factory=dict)
    shared: bool = True
    state: str = ""
    downloads: bool = False
    accelerator: bool = False
    metrics: str = ""
    reports: Mapping[str, Report] = field(default_factory=dict)
    reproduced: tuple[str, ...] = ()


_ROWS = (
    Step(
        "prepare",
        logic="components.prepare.logic:prepare",
        rooms=("data",),
        roles=("examples",),
        places={"data_root": "write"},
        downloads=True,
        reports={"report": Report("data.html", "Data report", "Data")},
        reproduced=("examples", "report"),
    ),
    Step(
        "train",
        logic="components.train.logic:train",
        rooms=("models",),
        roles=("examples", "training"),
        places={"data_root": "read", "checkpoint_root": "write"},
        state="components.train.environment:environment",
        accelerator=True,
        metrics="training",
        reports={"curves": Report("learning-curves.html", "Learning curves", "Training")},
        reproduced=("trained",),
    ),
    Step(
        "evaluate",
        logic="components.evaluate.logic:evaluate",
        rooms=("models",),
        roles=("examples", "evaluation", "report"),
        places={"data_root": "read", "registry": "write"},
        state="components.registry:state",
        metrics="metrics",
        reports={
            "report": Report("evaluation.html", "Evaluation report", "Evaluation"),
            "reasons": Report("decision.md", "The decision's reasons"),
        },
        reproduced=("classes", "reasons", "verdict"),
    ),
    # Whatever was kept, an accepted model has to be published again: the registry may have changed since.
    Step(
        "export",
        logic="components.export.logic:export",
        rooms=("models",),
        roles=("examples", "evaluation", "report", "serving"),
        places={"data_root": "read", "registry": "write"},
        shared=False,
        state="components.registry:state",
        reports={
            "card_page": Report("model-card.html", "Model card", "Card"),
            "card": Report("model-card.md", "Model card (Markdown)"),
        },
    ),
)
# In the order of the pipeline.
STEPS = {row.name: row for row in _ROWS}
ACCELERATED = frozenset(row.name for row in _ROWS if row.accelerator)
