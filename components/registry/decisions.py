"""How many models the same test examples have judged: a file for each, below ``decisions/<data>/``."""

from components import storage
from components.core.errors import StepError

DECISIONS = "decisions"


def looks(registry: str, data: str, model: str) -> int:
    """Note that a model is judged on data, and count the models so far, this one included; 0 if it cannot be written.

    Args:
        registry: the model's registry.
        data: the data's fingerprint.
        model: a digest of the model: judging it again is no new look.
    """
    folder = storage.join(registry, DECISIONS, data)
    try:
        storage.write_text(storage.join(folder, model), "")
        return len(storage.listing(folder))
    except (OSError, StepError):
        return 0
