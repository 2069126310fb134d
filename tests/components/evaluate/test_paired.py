"""Two runs' models on the same test examples, from what evaluate has stored."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.evaluate import paired, statistics, verdict
from components.evaluate.gate import Decision

KEYS = np.array([b"%016x" % number for number in range(200)])
LABELS = np.zeros(200, np.int64)


def stored(
    folder: Path, scores: np.ndarray, keys: np.ndarray = KEYS, labels: np.ndarray = LABELS, **facts: str
) -> Path:
    truth = {"key": keys, "label": labels}
    outputs = {"logits": np.zeros((len(keys), 2), np.float32)}
    rows: list[dict[str, int]] = [{"label": 0}] * len(keys)
    verdict.write(folder, Decision(()), [], outputs, truth, rows, scores, {"paired_metric": "accuracy", **facts})
    return folder


BEFORE, AFTER = np.ones(200), np.ones(200)
BEFORE[:30], AFTER[28:32] = 0, 0


def test_the_difference_is_the_second_minus_the_first_with_the_gate_s_test(tmp_path: Path) -> None:
    folders = [stored(tmp_path / "a", BEFORE), stored(tmp_path / "b", AFTER)]
    compared = paired.compare(folders[0], folders[1], (0, 1))
    assert compared == statistics.compare(AFTER, BEFORE, 0.025)
    assert not isinstance(compared, str) and (compared.won, compared.lost) == (28, 2) and compared.above(0)


def test_the_order_of_the_examples_does_not_matter(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(200)
    folders = [stored(tmp_path / "a", BEFORE), stored(tmp_path / "b", AFTER[order], KEYS[order])]
    assert paired.compare(folders[0], folders[1], (0, 1)) == statistics.compare(AFTER, BEFORE, 0.025)


def test_groups_are_taken_as_units(tmp_path: Path) -> None:
    keys = np.array([b"%016x%016x" % (number, number // 10) for number in range(200)])
    folders = [stored(tmp_path / "a", BEFORE, keys), stored(tmp_path / "b", AFTER, keys)]
    compared = paired.compare(folders[0], folders[1], (0, 1))
    assert not isinstance(compared, str) and compared.units == 20 and not compared.exact


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"keys": np.append(KEYS[:100], [b"f%015x" % n for n in range(50)]), "labels": LABELS[:150]},
            "200 and 150, 100 of",
        ),
        ({"keys": np.array([b"f%015x" % n for n in range(200)])}, "not the same: 200 and 200, 0 of them in both"),
        ({"labels": LABELS + 1}, "have another label"),
        ({"paired_metric": "mean_score"}, "different metrics, accuracy and mean_score"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    tmp_path: Path, changes: dict[str, np.ndarray], said: str
) -> None:
    scores = AFTER[: len(changes.get("keys", KEYS))]
    first, second = stored(tmp_path / "a", BEFORE), stored(tmp_path / "b", scores, **changes)  # type: ignore[arg-type]
    assert said in str(paired.compare(first, second, (0, 1)))


def test_what_older_code_stored_has_no_scores(tmp_path: Path) -> None:
    folders = [stored(tmp_path / "a", BEFORE), stored(tmp_path / "b", AFTER)]
    np.savez(folders[1] / verdict.PREDICTIONS, key=KEYS.astype(str), true_label=LABELS)
    assert "older code" in str(paired.compare(folders[0], folders[1], (0, 1)))
    (folders[0] / verdict.PREDICTIONS).write_bytes(b"PK")
    assert "cannot be read" in str(paired.compare(folders[0], folders[1], (0, 1)))
    assert json.loads((folders[0] / verdict.VERDICT).read_text())["paired_metric"] == "accuracy"
