"""keras-hub, the optional extra ``hub``, and local folders of its presets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.errors import StepError


def library(model: str, instead: str) -> Any:
    """keras-hub.

    Args:
        model: the model that needs it.
        instead: one that does not.

    Raises:
        StepError: it is not installed.
    """
    try:
        import keras_hub
    except ImportError:
        raise StepError(
            f"the model {model} needs keras-hub, which is not installed",
            advice=f"install the extra hub (pip install 'suanli[hub]'), or take model.name={instead}",
            kind="settings",
        ) from None
    return keras_hub


@contextmanager
def preset(folder: str) -> Iterator[str]:
    """The folder of a preset, while it is opened.

    Raises:
        StepError: there is no such folder, or keras-hub could not open it.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise StepError(
            f"there is no folder {path}", advice="set model.preset to a local keras-hub preset", kind="settings"
        )
    try:
        yield str(path)
    except Exception as error:  # keras-hub raises what its readers raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StepError(f"the preset {path} cannot be opened: {reason}", kind="settings") from None
