"""export: write the accepted model in every format, check and time each, describe it, and publish it."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import registry
from components.core import choices, devices, sources
from components.core.artifacts import Artifact
from components.core.config import fingerprint, validated
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.files import write_atomically
from components.core.inference import Predictor, traced
from components.export import card as cards
from components.export import parity, runtime
from components.export.accepted import PREDICTIONS, Verdict
from components.tasks import contract

if TYPE_CHECKING:
    import keras

    from components.export.settings import ExportSettings

MODEL, ASSETS = "model.keras", "assets.json"


def export(
    examples: Artifact,
    trained: Artifact,
    verdict: Artifact,
    export: Mapping[str, Any],
    registry: str,
    exported: Artifact,
    card: Artifact,
    card_page: Artifact,
    benchmark: Artifact,
) -> None:
    """Export the model and publish it as the champion. Nothing is published unless every format passes its check,
    or is left out by the settings' leave.

    Args:
        examples: the prepared data.
        trained: a folder with ``model.keras`` and ``training.json``.
        verdict: a folder with ``verdict.json`` and ``predictions.npz``.
        export: the export section.
        registry: where this model's versions are published.
        exported: becomes the version's folder: ``model.keras``, the formats, ``card.md``, ``card.html``,
            ``version.json``, and ``assets.json`` where contents are turned into the network's input; its metadata name
            the version and the champion that it replaced.
        card: becomes the model card in Markdown.
        card_page: becomes the model card as a page.
        benchmark: gets size, difference and latencies of each format, flat (``litert_p50_us_batch1``).

    Raises:
        StepError: the verdict refuses the model or belongs to another one, a format cannot be written or is not the
            model, or another champion was published meanwhile.
    """
    settings: ExportSettings = validated("export", export)
    data = PreparedData.read(examples.path)
    judged = Verdict.read(Path(verdict.path), data.fingerprint)
    task = contract.Task(data.task, data.info, validated("evaluation", judged.settings, data.task))
    training = _training(Path(trained.path))
    folder = Path(exported.path)
    shutil.rmtree(folder, ignore_errors=True)
    with devices.configured(backend="tensorflow", precision="float32"):
        model = _model(Path(trained.path), training)
        assets = task.evaluation.assets(model)
        predictor = Predictor(traced(model), model)
        found = parity.sample(data, task.evaluation, predictor, assets, settings.parity_examples)
        # bfloat16 or float16 in training means the same in evaluate.
        parity.check_recorded(
            found, task.evaluation, Path(verdict.path) / PREDICTIONS, "mixed" in training.get("precision", "")
        )
        left_out = _write_formats(model, task, data, assets, settings, folder)
        measured = _measured(folder, found, task.evaluation, settings, left_out)
    shutil.copyfile(Path(trained.path) / MODEL, folder / MODEL)
    if assets:
        write_atomically(folder / ASSETS, _json(assets))

    facts = _facts(folder / MODEL, data, training, judged, settings)
    # An equal model exported by equal code is one version, whoever made it when: what was measured is left out.
    version = fingerprint(facts)[:12]
    content = cards.card(
        name=registry.rstrip("/").rpartition("/")[2],
        version=version,
        task=task,
        data=data,
        training=training,
        verdict=judged,
        formats=measured,
        left_out=left_out,
        fingerprints=facts["fingerprints"],
    )
    for path, text in ((card.path, cards.markdown(content)), (card_page.path, cards.html(content))):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), text)
    shutil.copyfile(card.path, folder / "card.md")
    shutil.copyfile(card_page.path, folder / "card.html")
    # Last: a folder without it is not complete.
    described = {name: _lasting(values) for name, values in measured.items()}
    write_atomically(folder / "version.json", _json(facts | {"formats": described, "left_out": left_out}))
    benchmark.metadata.update(_flat(measured))
    _publish(registry, folder, version, judged)
    exported.metadata.update({"version": version, "replaced": judged.champion, "formats": list(measured)})


def _training(folder: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((folder / "training.json").read_text())
    except (OSError, ValueError) as error:
        raise StepError(f"training.json of the trained model cannot be read: {error}", advice="train again") from None
    return values


def _model(folder: Path, training: Mapping[str, Any]) -> "keras.Model":
    # A team's own layers register themselves with Keras when their file is imported.
    if training.get("name") in choices.names("models"):
        choices.load("models", training["name"])
    return runtime.keras_model(folder / MODEL)


def _write_formats(
    model: "keras.Model",
    task: contract.Task,
    data: PreparedData,
    assets: dict[str, Any],
    settings: "ExportSettings",
    folder: Path,
) -> dict[str, str]:
    """Write the formats; format -> why it cannot hold the model, for those that cannot.

    Raises:
        StepError: there is one of those, and the settings are strict.
    """
    # Not at the top: it imports TensorFlow, which the device is set up before.
    from components.export import formats

    batch = parity.first(data, "train", formats.CALIBRATION, seed=0)
    calibration = task.evaluation.encode(batch[task.evaluation.content], assets)
    origin = formats.source(model, task.serving, assets, calibration)
    failed = formats.write(origin, folder, settings.formats)
    if failed and settings.strict:
        name, reason = next(iter(failed.items()))
        raise StepError(
            f"the model cannot be written as {name}: {reason}",
            advice=f"leave {name} out of export.formats, set export.strict=false, or build the model of other layers",
            kind="model",
        )
    return {name: f"cannot be written: {reason}" for name, reason in failed.items()}


def _measured(
    folder: Path,
    found: parity.Sample,
    role: contract.Evaluation[Any, Any],
    settings: "ExportSettings",
    left_out: dict[str, str],
) -> dict[str, dict[str, Any]]:
    """Format -> size, differences and latencies; every format is checked before any is timed.

    Args:
        left_out: format -> why it is not there; those are added that are not the model, and their files removed.

    Raises:
        StepError: what is wrong with the first that is not the model, where the settings are strict, or with all.
    """
    runners: dict[str, Predictor] = {}
    checked: dict[str, parity.Parity] = {}
    failing: dict[str, str] = {}
    for name in settings.formats:
        if name in left_out:
            continue
        try:
            runners[name] = runtime.load(folder, name)
        except StepError as error:
            failing[name] = error.message
            continue
        serving = runtime.served(folder / runtime.PLACES[name]) if name == "saved_model" else None
        checked[name] = parity.compare(name, runners[name], found, role, settings, serving)
        if checked[name].problem:
            failing[name] = checked[name].problem
    if failing and (settings.strict or len(failing) + len(left_out) == len(settings.formats)):
        raise _unfit(failing)
    for failed in failing:
        runtime.remove(folder / runtime.PLACES[failed])
    left_out |= failing
    if len(left_out) == len(settings.formats):
        raise _unfit(left_out)
    for missing, reason in left_out.items():
        print(f"{missing} is left out: {reason}", flush=True)
    measured: dict[str, dict[str, Any]] = {}
    for name in (name for name in settings.formats if name not in left_out):
        result = checked[name]
        times = parity.timed(runners[name].run, found.inputs, settings.timing_seconds)
        measured[name] = {
            "path": runtime.PLACES[name],
            "bytes": runtime.size(folder / runtime.PLACES[name]),
            "difference": float(f"{result.difference:.2g}"),
            "metric_change": round(result.metric_change, 6),
            **times,
        }
        print(
            f"{name}: largest difference {result.difference:.1e}, "
            f"{role.settings.paired_metric} {result.metric_change:+.4f}, "
            f"{times['p50_us_batch1']:,.0f} microseconds an input",
            flush=True,
        )
    return measured


def _unfit(failing: Mapping[str, str]) -> StepError:
    name, *others = failing
    also = f"; {', '.join(others)} fail too" if others else ""
    return StepError(
        f"parity: {failing[name]}{also}",
        advice=f"the champion stays; leave {name} out of export.formats, set export.strict=false, or allow more "
        "(export.max_difference, export.max_accuracy_drop)",
        kind="model",
    )


def _facts(
    model: Path, data: PreparedData, training: Mapping[str, Any], judged: Verdict, settings: "ExportSettings"
) -> dict[str, Any]:
    """What ``version.json`` says, but for what was measured here."""
    chosen: sources.Chosen = {"tasks": data.task, "models": training.get("name", "")}
    return {
        "schema_version": 1,
        "task": data.task,
        "info": data.info,
        "model": training.get("name", ""),
        "training": dict(training),
        "evaluation": judged.settings,
        "metrics": judged.metrics,
        "paired_metric": judged.metric,
        "examples": data.splits,
        "source": data.source,
        "export": settings.parameters(),
        "fingerprints": {
            **training.get("fingerprints", {}),
            "data": data.fingerprint,
            "export code": sources.digest(sources.digests("export", chosen)),
            MODEL: hashlib.sha256(model.read_bytes()).hexdigest()[:16],
        },
    }


def _lasting(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is measured of a format, without the latencies, which differ from run to run."""
    return {name: value for name, value in values.items() if "_us_" not in name}


def _flat(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {
        f"{name}_{what}": value for name, values in measured.items() for what, value in values.items() if what != "path"
    }


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _publish(place: str, folder: Path, version: str, judged: Verdict) -> None:
    registry.publish(place, folder, version, judged.champion)
    replaced = f", in place of {judged.champion}" if judged.champion not in {"", version} else ""
    print(f"published {version} as the champion{replaced}", flush=True)
