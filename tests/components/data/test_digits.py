from functools import partial

from components.data import digits
from components.tasks.contract import Task

task_for = partial(Task, "image_classification")


def test_digits_are_all_there() -> None:
    source = digits.source(digits.Settings())
    examples = list(source.splits["train"]())
    assert len(examples) == 1797 and {example["label"] for example in examples} == set(range(10))
    assert not task_for(source.info).examples.to_records(examples).faults


def test_digits_tell_what_they_have() -> None:
    settings = digits.Settings()
    facts, source = digits.facts(settings), digits.source(settings)
    assert (facts.counts, facts.classes, facts.encoded) == (source.counts, 10, False)
