"""keras-hub, from the optional extra ``hub``, and local folders of its presets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.errors import StepError


def library(model: str, instead: str) -> Any:
    """The module ``keras_hub``.

    Args:
        model: the model that needs it.
        instead: a model that does not.

    Raises:
        StepError: keras-hub is not installed.
    """
    try:
        import keras_hub
    except ImportError:
        raise StepError(
            f"the model {model} needs keras-hub, which is not installed",
            advice=f"install the extra hub (pip install 'suanli[hub]'), or use model.name={instead}",
            kind="settings",
        ) from None
    return keras_hub


@contextmanager
def preset(folder: str) -> Iterator[str]:
    """The folder of a preset; errors in the block become one-line errors about the preset.

    Raises:
        StepError: the folder does not exist, or keras-hub cannot read it.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise StepError(
            f"no such folder: {path}", advice="set model.preset to a local keras-hub preset", kind="settings"
        )
    try:
        yield str(path)
    except Exception as error:  # keras-hub raises what its readers raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StepError(f"the preset {path} cannot be opened: {reason}", kind="settings") from None
