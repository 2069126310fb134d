"""export: convert the accepted model to all formats, check and time them, write the model card, and publish."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import registry as published_models
from components import storage
from components.core import choices, devices, sources
from components.core.artifacts import Artifact
from components.core.config import validated
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.files import write_atomically
from components.core.inference import Predictor, traced
from components.export import card as cards
from components.export import parity, runtime
from components.export.accepted import PREDICTIONS, Verdict
from components.export.settings import ExportSettings
from components.tasks import contract

if TYPE_CHECKING:
    import keras


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
    """Export the model and publish it as the champion, if each format passes its check, or the settings allow to
    leave it out.

    Args:
        examples: the prepared data.
        trained: a folder with ``model.keras`` and ``training.json``.
        verdict: a folder with ``verdict.json`` and ``predictions.npz``.
        export: the export section.
        registry: of this model's versions.
        exported: for the version's folder: ``model.keras``, the formats, ``card.md``, ``card.html``, ``version.json``,
            and ``assets.json`` if contents are encoded; its metadata have the version and the replaced champion.
        card: for the model card in Markdown.
        card_page: for the model card as a page.
        benchmark: for size, difference and latencies of each format, flat (``litert_p50_us_batch1``).

    Raises:
        StepError: the verdict refuses the model or belongs to another one, a format cannot be written or differs from
            the model, or another champion was published meanwhile.
    """
    settings: ExportSettings = validated("export", export)
    data = PreparedData.read(examples.path)
    decided = Verdict.read(Path(verdict.path), data.fingerprint)
    task = contract.Task(data.task, data.info, validated("evaluation", decided.settings, data.task))
    training = _training(Path(trained.path))
    folder = Path(exported.path)
    shutil.rmtree(folder, ignore_errors=True)
    with devices.configured(backend="tensorflow", precision="float32"):
        model = _model(Path(trained.path), training)
        assets = task.evaluation.assets(model)
        predictor = Predictor(traced(model), model)
        sample = parity.sample(data, task.evaluation, predictor, assets, settings.parity_examples)
        # evaluate runs in the precision of training.
        parity.check_recorded(
            sample, task.evaluation, Path(verdict.path) / PREDICTIONS, "mixed" in training.get("precision", "")
        )
        left_out = _write_formats(model, task, data, assets, settings, folder)
        measured = _measure(folder, sample, task.evaluation, settings, left_out)
    shutil.copyfile(Path(trained.path) / MODEL, folder / MODEL)
    if assets:
        write_atomically(folder / ASSETS, _json(assets))

    facts = _facts(folder / MODEL, data, training, decided, settings)
    # Equal models exported by equal code are one version, so measurements are not part of the id.
    version = published_models.version_id(facts)
    content = cards.card(
        name=registry.rstrip("/").rpartition("/")[2],
        version=version,
        task=task,
        data=data,
        training=training,
        verdict=decided,
        formats=measured,
        left_out=left_out,
        fingerprints=facts["fingerprints"],
    )
    for path, text in ((card.path, cards.markdown(content)), (card_page.path, cards.html(content))):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), text)
    shutil.copyfile(card.path, folder / "card.md")
    shutil.copyfile(card_page.path, folder / "card.html")
    # Last: a folder without them is not complete.
    described = {name: _without_latencies(values) for name, values in measured.items()}
    write_atomically(folder / "version.json", _json(facts | {"formats": described, "left_out": left_out}))
    write_atomically(folder / storage.MANIFEST, storage.Manifest.from_folder(folder).text())
    benchmark.metadata.update(_flat(measured))
    _publish(registry, folder, version, decided)
    exported.metadata.update({"version": version, "replaced": decided.champion, "formats": list(measured)})


def _training(folder: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((folder / "training.json").read_text())
    except (OSError, ValueError) as error:
        raise StepError(f"training.json of the trained model cannot be read: {error}", advice="train again") from None
    return values


def _model(folder: Path, training: Mapping[str, Any]) -> "keras.Model":
    # Custom layers of a model's file register with Keras when it is imported.
    if training.get("name") in choices.names("models"):
        choices.load("models", training["name"])
    return runtime.keras_model(folder / MODEL)


def _write_formats(
    model: "keras.Model",
    task: contract.Task,
    data: PreparedData,
    assets: dict[str, Any],
    settings: ExportSettings,
    folder: Path,
) -> dict[str, str]:
    """Write the formats; returns format -> reason for those that cannot represent the model.

    Raises:
        StepError: there is such a format, and the settings are strict.
    """
    from components.export import formats  # it imports TensorFlow, before which the device is configured

    batch = parity.first_examples(data, "train", formats.CALIBRATION, seed=0)
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


def _measure(
    folder: Path,
    sample: parity.Sample,
    role: contract.Evaluation[Any, Any],
    settings: ExportSettings,
    left_out: dict[str, str],
) -> dict[str, dict[str, Any]]:
    """Format -> size, differences and latencies; all formats are checked before any is timed.

    Args:
        left_out: format -> reason; formats that fail are added, and their files removed.

    Raises:
        StepError: a format fails and the settings are strict, or all formats fail.
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
        serving = runtime.load_signature(folder / runtime.PATHS[name]) if name == "saved_model" else None
        checked[name] = parity.compare(name, runners[name], sample, role, settings, serving)
        if checked[name].problem:
            failing[name] = checked[name].problem
    if failing and (settings.strict or len(failing) + len(left_out) == len(settings.formats)):
        raise _unfit(failing)
    for failed in failing:
        runtime.remove(folder / runtime.PATHS[failed])
    left_out |= failing
    if len(left_out) == len(settings.formats):
        raise _unfit(left_out)
    for missing, reason in left_out.items():
        print(f"{missing} is left out: {reason}", flush=True)
    measured: dict[str, dict[str, Any]] = {}
    for name in (name for name in settings.formats if name not in left_out):
        result = checked[name]
        times = parity.latencies(runners[name].run, sample.inputs, settings.timing_seconds)
        measured[name] = {
            "path": runtime.PATHS[name],
            "bytes": runtime.size(folder / runtime.PATHS[name]),
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
    model: Path, data: PreparedData, training: Mapping[str, Any], decided: Verdict, settings: ExportSettings
) -> dict[str, Any]:
    """The content of ``version.json`` without measurements."""
    chosen: sources.Chosen = {"tasks": data.task, "models": training.get("name", "")}
    return {
        "schema_version": 1,
        "task": data.task,
        "info": data.info,
        "model": training.get("name", ""),
        "training": dict(training),
        "evaluation": decided.settings,
        "metrics": decided.metrics,
        "paired_metric": decided.metric,
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


def _without_latencies(values: Mapping[str, Any]) -> dict[str, Any]:
    """The measurements of a format without latencies, which differ between runs."""
    return {name: value for name, value in values.items() if "_us_" not in name}


def _flat(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {
        f"{name}_{key}": value for name, values in measured.items() for key, value in values.items() if key != "path"
    }


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _publish(uri: str, folder: Path, version: str, decided: Verdict) -> None:
    published_models.publish(uri, folder, version, decided.champion, decided.difference)
    replaced = f", in place of {decided.champion}" if decided.champion not in {"", version} else ""
    print(f"published {version} as the champion{replaced}", flush=True)
