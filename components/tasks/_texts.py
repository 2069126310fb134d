"""What the examples of all tasks on texts share: how they are compared."""

from dataclasses import replace
from typing import Any, ClassVar

from components.core.examples import Likeness, Records
from components.tasks import contract
from components.text import near_duplicates


class TextExamples(contract.Examples[contract.InfoType]):
    """Texts are equal if they differ in white space, case or composition only."""

    likeness: ClassVar[Likeness | None] = near_duplicates

    def to_records(self, examples: list[dict[str, Any]]) -> Records:
        records = super().to_records(examples)
        identities = [near_duplicates.canonical(bytes(content)) for content in records.contents]
        return replace(records, identities=identities, sketches=near_duplicates.sketch(identities))
