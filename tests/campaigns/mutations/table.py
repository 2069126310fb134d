"""The most important lines, each with a way to break it and the tests that have to notice."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A change in one line.

    Attributes:
        file: in the checkout.
        old: a part of one line, which the file holds exactly once.
        new: what replaces it.
        tests: pytest's arguments, separated by blanks: the narrowest that should fail.
    """

    file: str
    old: str
    new: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {self.old} -> {self.new}"


STORE, LEASE, LINEAGE = (f"train/test_{name}.py" for name in ("checkpoint_store", "lease", "lineage"))
# File -> part of a line, replacement, tests below tests/components, unless they name their folder.
TABLE: dict[str, tuple[tuple[str, str, str], ...]] = {
    "components/evaluate/gate.py": (
        (
            "settings.error_rate / max(1, sum(size >= settings.min_slice for size in sizes.values()))",
            "settings.error_rate",
            "evaluate/test_gate.py",
        ),
        ("if compared.above(-margin)", "if compared.above(-2 * margin)", "evaluate/test_gate.py"),
        ("if anchor and settings.margin and not anchor.identical", "if False", "evaluate/test_gate.py"),
        ("if paired.below(-settings.slice_margin)", "if paired.below(-1)", "evaluate/test_gate.py"),
        (
            "if not bound.holds(low) and not bound.holds(high)",
            "if not bound.holds(low) or not bound.holds(high)",
            "evaluate/test_gate.py",
        ),
    ),
    "components/evaluate/statistics.py": (
        (
            "low = bounded_mean.lower_bound(sums, sizes, -span, error_rate)",
            "low = bounded_mean.lower_bound(sums, sizes, -span, 2 * error_rate)",
            "evaluate/test_statistics.py",
        ),
        (
            "p_value(pairs, null, error_rate) <= error_rate",
            "p_value(pairs, null, error_rate) <= 2 * error_rate",
            "evaluate/test_statistics.py",
        ),
    ),
    "components/metrics/bounded_mean.py": (("(floor - null) * sizes.max()", "0.0", "metrics/test_bounded_mean.py"),),
    "components/metrics/confidence.py": (
        ("[error_rate / 2, error_rate]", "[error_rate, 2 * error_rate]", "metrics/test_confidence.py"),
    ),
    "components/export/settings.py": (
        (
            "max_difference: Annotated[float, Field(gt=0)] = 1e-3",
            "max_difference: Annotated[float, Field(gt=0)] = 1e-2",
            "export/test_formats.py -k may_differ",
        ),
    ),
    "components/export/parity.py": (
        (
            "if not -parity.metric_change <= settings.max_accuracy_drop",
            "if not parity.metric_change <= settings.max_accuracy_drop",
            "export/test_formats.py -k may_lose",
        ),
        (
            "differences(sample.outputs[:1], alone)",
            "differences(sample.outputs[:1], outputs[:1])",
            "export/test_formats.py -k strays",
        ),
        ("MAX_TYPICAL = 0.5", "MAX_TYPICAL = 5", "export/test_parity.py"),
        (
            "typical = differences(values, stored[rows])[1]",
            "typical = 0 * differences(values, stored[rows])[1]",
            "export/test_parity.py -k judged_one",
        ),
    ),
    "components/train/inputs.py": (
        ("np.random.default_rng([seed, epoch])", "np.random.default_rng([seed, 0])", "train/test_inputs.py"),
        (
            "order.reshape(steps, batch_size)[done:]",
            "order.reshape(steps, batch_size)[: steps - done]",
            "train/test_inputs.py",
        ),
        ("data.enumerate(done)", "data.enumerate()", "train/test_inputs.py"),
        ("skip=done", "skip=0", "train/test_inputs.py"),
    ),
    "components/train/settings.py": (
        (
            "count // batch_size if whole_batches",
            "-(-count // batch_size) if whole_batches",
            "train/test_inputs.py train/test_settings.py",
        ),
    ),
    "components/train/loop.py": (
        ("state.waited >= settings.patience", "state.waited > settings.patience", "train/test_logic.py -k patience"),
        ("model.set_weights(state.best_weights)", "model.get_weights()", "train/test_logic.py -k patience"),
    ),
    "components/train/checkpoint_store.py": (
        ("self._remove_older(self.count)", "self._remove_older(self.count + 1)", STORE),
        ("self._lease.check() if ask", "self._lease.uri if ask", f"{STORE} -k taken_over"),
        ("self.check()  # before anything is published", "pass", f"{STORE} -k taken_over"),
        ("self.check()  # sending a large one", "pass  # sending a large one", f"{STORE} -k takeover"),
        ("if checkpoint.token <= self.token:", "if True:", f"{STORE} -k later_one"),
        ("error.errno != errno.EIO", "False", f"{STORE} -k cannot_read"),
        ("if folder == self.uri:", "if True:", f"{STORE} -k other_code"),
    ),
    "components/train/checkpoint_file.py": (
        ("*model.optimizer.variables, ", "", STORE),
        ('raise MismatchError("its variables', 'raise UnusableError("its variables', f"{STORE} -k variables"),
    ),
    "components/train/lease.py": (
        ('if holder.get("id") != self._holder["id"]', 'if not holder.get("id")', LEASE),
        ("storage.write_text(self.uri, text, generation=generation)", "storage.write_text(self.uri, text)", LEASE),
        ("if _clock() - self._renewed > STEP_DOWN_S", "if False", f"{LEASE} -k beats_fail"),
        ("or now - self._seen[1] > EXPIRY_S", "or now - self._seen[1] > 0", f"{LEASE} -k living"),
        ("self.token = _token(holder) + 1", "self.token = 1", f"{LEASE} -k token"),
        ('self.lost = self._read()[0].get("id") != self._holder["id"]', "self.lost = False", f"{LEASE} -k next_beat"),
        ('kind="preempted",', 'kind="conflict",', f"{LEASE} -k given_up"),
    ),
    "components/train/lineage.py": (
        ("self.versions, self.backend, self.precision]", "self.versions, self.backend]", LINEAGE),
        (", *filter(None, [self.origin])", "", LINEAGE),
        ('if same.folder == noted["folder"]:', "if True:", LINEAGE),
        ("if other or not noted.get(ALLOWED):", "if not noted.get(ALLOWED):", LINEAGE),
        ("if stored[0][0] or not any(", "if True or not any(", LINEAGE),
    ),
    "components/train/environment.py": (('", from {origin}" * bool(origin)', '""', LINEAGE),),
    "pipelines/local/session.py": (
        ("if changed and not other_code:", "if False:", "tests/pipelines/local/test_session.py"),
    ),
    "components/core/devices.py": (
        ('((8, "mixed_bfloat16")', '((7, "mixed_bfloat16")', "core/test_devices.py"),
        ('if "amx_bf16" in', 'if "avx512_bf16" in', "core/test_devices.py"),
        ("visible_devices.count >= int(accelerator_count)", "visible_devices.count >= 1", "core/test_devices.py"),
    ),
    "components/core/errors.py": (
        (
            'HOPELESS = frozenset({"settings", "data", "memory",',
            'HOPELESS = frozenset({"settings", "data",',
            "core/test_errors.py",
        ),
        ('"preempted": 75', '"preempted": 76', "core/test_errors.py"),
    ),
    "components/core/retry.py": (
        ("or pause > self.remaining", "or pause > self._timeout", "core/test_retry.py"),
        ("self._first * 2.0 ** min(attempt, 30)", "self._first * 1.0 ** min(attempt, 30)", "core/test_retry.py"),
    ),
    "components/storage/client.py": (
        (
            "TRANSIENT_CODES = frozenset({408, 429, 500, 502, 503, 504})",
            "TRANSIENT_CODES = frozenset({408, 429, 403, 500, 502, 503, 504})",
            "storage/test_faults.py -k stay_the_same",
        ),
    ),
    "pipelines/cluster/kubeflow/request.py": (
        (
            "self.status in (429, 502, 503, 504)",
            "self.status in (429, 500, 502, 503, 504)",
            "tests/pipelines/cluster/kubeflow/test_runs.py tests/pipelines/cluster/kubeflow/test_api.py",
        ),
    ),
    "components/storage/local.py": (
        (
            "refuse(str(folder), manifest.differences(list_checksums(str(staged))))",
            "refuse(str(folder), manifest.differences(list_files(str(staged))))",
            "storage/test_storage.py -k local",
        ),
        (
            "refuse(uri, expected.differences(list_checksums(str(folder))))",
            "refuse(uri, expected.differences(list_files(str(folder))))",
            "storage/test_storage.py -k local",
        ),
    ),
    "components/storage/manifest.py": (
        ('not {"", ".", ".."} & set(parts)', 'not {"", "."} & set(parts)', "storage/test_manifest.py"),
        ('values["digest"] == _digest(values["files"])', 'values["digest"]', "storage/test_manifest.py"),
    ),
    "components/storage/cloud.py": (
        (
            '{} if generation is None else {"if_generation_match": generation}',
            "{}",
            "storage/test_storage.py -k two_writers_over",
        ),
        (
            "write_text(join(uri, MANIFEST), manifest.text(), 0)",
            "write_text(join(uri, MANIFEST), manifest.text())",
            "storage/test_storage.py -k first_to_write",
        ),
    ),
    "components/registry/pointer.py": (
        ("generation=before.generation", "generation=None", "registry/test_cloud.py -k exactly_one"),
    ),
    "components/registry/history.py": (
        ("max(reversed(succession(entries).lineage)", "max(succession(entries).lineage[-1:]", "evaluate/test_gate.py"),
    ),
    "components/registry/publishing.py": (
        (
            "_check(before.incumbent, expected, *SINCE_EVALUATED)",
            "_check(expected, expected, *SINCE_EVALUATED)",
            "registry/test_publishing.py",
        ),
        ("return lineage[-2]", "return lineage[0]", "registry/test_publishing.py"),
        (
            "_refuse_withdrawn(registry, before, folder, version)",
            "versions.version_uri(registry, version)",
            "registry/test_publishing.py",
        ),
    ),
    "components/registry/versions.py": (
        ("if model and recorded not in", "if not model and recorded not in", "registry/test_versions.py"),
    ),
    "components/core/files.py": (
        ("os.O_CREAT | os.O_NOFOLLOW", "os.O_CREAT | 0", "core/test_files.py"),
        ("sync(path.parent)", "sync(path)", "core/test_files.py"),
    ),
    "components/prepare/filling.py": (
        (
            'shares["test"], shares["test"] + shares["validation"]',
            'shares["validation"], shares["test"] + shares["validation"]',
            "prepare/test_filling.py",
        ),
        ("CUT = np.array([2, 1, 0])", "CUT = np.array([1, 2, 0])", "prepare/test_filling.py"),
        ("bits = keys ^ np.uint64(start)", "bits = keys ^ np.uint64(0)", "prepare/test_filling.py"),
        (
            'for origin in ("test", "validation", "train")',
            'for origin in ("train", "test", "validation")',
            "prepare/test_filling.py",
        ),
        (
            "if len(bad) <= self.settings.quarantine",
            "if len(bad) <= self.settings.quarantine + 1",
            "prepare/test_filling.py",
        ),
    ),
    "components/core/cache.py": (
        ('"state": state', '"state": ""', "core/test_step.py"),
        ("not 0 <= age <=", "not age <=", "core/test_step.py"),
        ('"versions": sources.versions(step, chosen)', '"versions": {}', "core/test_step.py"),
        ("digest_of(Path(artifact.path)) for name", "Path(artifact.path).name for name", "core/test_step.py"),
    ),
    "components/core/config.py": (
        ('NOT_IN_RESULT = ("checkpoint_", "stall_")', 'NOT_IN_RESULT = ("checkpoint_",)', "core/test_config.py"),
    ),
    "components/core/sources.py": (("files.append(lock)", "files.append(ROOT / TABLE)", "core/test_sources.py"),),
    "components/core/archives.py": (
        ('and ".." not in path.parts', 'and ".." != path.name', "tests/safety/test_archives.py"),
        (
            "max(FREE_BYTES, MAX_RATIO * size)",
            "max(FREE_BYTES, 11 * MAX_RATIO * size)",
            "tests/safety/test_archives.py",
        ),
    ),
    "components/layers/saved_model.py": (
        ("with SafeModeScope(True)", "with SafeModeScope(False)", "tests/safety/test_saved_models.py"),
    ),
    "components/core/folders.py": (
        (
            "if not path.resolve().is_relative_to(folder.resolve())",
            "if not path.absolute().is_relative_to(folder.absolute())",
            "tests/safety/test_pictures.py -k link",
        ),
    ),
    "components/core/secrets.py": (('rf"(?:pass|pwd){GATE}"', 'rf"(?:passw){GATE}"', "tests/safety/test_secrets.py"),),
    "pipelines/cluster/scheduling/cron.py": (
        ('f"0 {self.five}"', 'f"* {self.five}"', "tests/pipelines/cluster/scheduling/test_cron.py -k five_fields"),
        (
            'if both and "*" in fields[2] + fields[4]',
            'if both and "*" in fields[2]',
            "tests/pipelines/cluster/scheduling/test_cron.py -k something_else",
        ),
        (
            "timedelta(hours=3)",
            "timedelta(hours=0)",
            "tests/pipelines/cluster/scheduling/test_cron.py -k repeats",
        ),
    ),
    "pipelines/cluster/scheduling/zones.py": (
        (
            "(weekday + min(days)) % 7",
            "(weekday - min(days)) % 7",
            "tests/pipelines/cluster/scheduling/test_cron.py -k zone",
        ),
    ),
    "pipelines/hardware/placement.py": (
        (
            '"operator": "DoesNotExist"',
            '"operator": "Exists"',
            "tests/pipelines/hardware/test_placement.py -k no_other_step",
        ),
        (
            "kubernetes.add_toleration_json(task, tolerations)",
            "pass",
            "tests/pipelines/hardware/test_placement.py -k tolerated",
        ),
        ("min(RETRIES, variant.retries)", "RETRIES", "tests/pipelines/hardware/test_placement.py -k retries"),
        ("run_as_non_root=True", "run_as_non_root=False", "tests/safety/test_pods.py"),
    ),
    "pipelines/hardware/placement_parameters.py": (
        (
            "[*rungs[0].row.taints, *capacity_taints(rungs)]",
            "[*rungs[0].row.taints]",
            "tests/pipelines/hardware/test_nodepool.py -k tolerate",
        ),
        ("tightest = min(", "tightest = max(", "tests/pipelines/hardware/test_placement.py -k smallest_machine"),
        (
            'str(row.count) if row.resource else "0"',
            'row.count if row.resource else "0"',
            "tests/pipelines/hardware/test_placement.py -k never_an_int",
        ),
    ),
}


def _tests(words: str) -> str:
    folder = "" if words.startswith("tests/") else "tests/components/"
    return " ".join(f"{folder}{word}" if word.endswith(".py") else word for word in words.split())


MUTATIONS = tuple(
    Mutation(file, old, new, _tests(tests)) for file, changes in TABLE.items() for old, new, tests in changes
)
