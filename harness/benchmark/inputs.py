"""Everything a run stands on, found and checked before any test begins: model, dataset, backend, sessions."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from harness.accuracy.ground_truth import GroundTruth, ground_truth_of
from harness.benchmark.session_check import devices_of, input_dtype
from harness.child_process import Say, run_in_child
from harness.cluster.membership import Cluster, cluster_at
from harness.cluster.messages import ClusterPlan
from harness.cluster.places import first_devices, place_sessions
from harness.dataset.coco_index import CocoIndex, read_annotations
from harness.dataset.synthetic import cached_synthetic
from harness.dataset.tensor_cache import TensorCache
from harness.dataset.tensors import CachedTensors, DirectTensors
from harness.errors import DatasetError, ModelError
from harness.loadgen.plan import Mode, Plan, SampleSource
from harness.loadgen.process import check_loadgen, check_shared_memory
from harness.model.file_hash import sha256_of_model
from harness.model.protocol import DetectionModel
from harness.model.registry import load_model
from harness.pipeline.devices import DeviceSlot, parse_devices, place
from harness.rounds import BenchmarkRules, Round, load_round
from harness.runs.documents import Document
from harness.runs.records import BackendRecord, DatasetRecord, ModelRecord
from harness.scenarios import Scenario
from harness.sessions.registry import Backend, load_backend
from harness.settings import RunSettings, ScenarioSettings, cache_dir
from harness.terminal import Terminal


@dataclass(frozen=True)
class Inputs:
    """What the tests of a run share.

    Attributes:
        benchmark: its name in the round.
        model_file: None where the backend needs none.
        model_sha256: of the file's bytes; None without a file.
        truth: the annotations of the dataset's images; None where nothing will be evaluated.
        images: the folder that the images lie in.
        images_sha256: of the contents of all image files, in the dataset's order.
        source: gives the samples' tensors; picklable.
        synthetic: the dataset was made up.
        cluster: where the nodes are that have the sessions; None: they are on this machine.
    """

    settings: RunSettings
    round: Round
    benchmark: str
    rules: BenchmarkRules
    model: DetectionModel
    model_file: Path | None
    model_sha256: str | None
    backend: Backend
    dataset: CocoIndex
    truth: GroundTruth | None
    images: Path
    images_sha256: str
    source: SampleSource
    synthetic: bool
    cluster: Cluster | None = None

    def slots(self, scenario: Scenario) -> list[DeviceSlot]:
        """The sessions of a scenario's tests on this machine, and their cores. SingleStream uses one."""
        # with a cluster: as the first of its nodes
        devices = (first_devices if self.settings.cluster.address else parse_devices)(self._devices(scenario))
        return place(devices[:1] if scenario == "single_stream" else devices)

    def _devices(self, scenario: Scenario) -> str:
        return devices_of(self.settings, self.backend, scenario)

    def _cluster_plan(self, scenario: Scenario) -> ClusterPlan | None:
        """The nodes that there are now, with their sessions; None: the sessions are on this machine."""
        wanted, single = self.settings.cluster, scenario == "single_stream"
        if self.cluster is None or (single and not wanted.single_stream):
            return None
        places = place_sessions(self._devices(scenario), self.cluster.find())
        if single:
            first = places[0]
            places = (replace(first, slots=first.slots[:1]),)
        address, round_, model = self.cluster.address, self.settings.round, self.model_sha256
        return ClusterPlan(address, places, round_, model, wanted.silent_s, wanted.channels)

    def plan(self, folder: Path, scenario: Scenario, mode: Mode, lengths: ScenarioSettings | None = None) -> Plan:
        """One test.

        Args:
            folder: of its logs.
            lengths: none: the settings' own.
        """
        lengths = self.settings.test(scenario) if lengths is None else lengths
        cluster = self._cluster_plan(scenario)
        slots = self.slots(scenario) if cluster is None else [slot for at in cluster.places for slot in at.slots]
        return Plan(
            folder=folder,
            scenario=scenario,
            mode=mode,
            benchmark=self.rules.loadgen_model or self.benchmark,
            label_ids=self.label_ids,
            seeds=self.round.seeds,
            rules=self.rules.scenario(scenario).model_copy(update=lengths.rules),
            performance_sample_count=min(self.rules.performance_sample_count, len(self.dataset)),
            scenario_settings=lengths,
            model=self.settings.model,
            model_file=self.model_file,
            backend=self.settings.backend,
            slots=tuple(slots),
            source=self.source,
            sample_names=tuple(image.file_name for image in self.dataset.images),
            watchdog_s=self.settings.watchdog_s,
            startup_s=self.settings.startup_s,
            trace=self.settings.trace and mode == "performance",
            profile=self.settings.profile and mode == "performance",
            image_sizes=self._image_sizes,
            cluster=cluster,
        )

    @property
    def _image_sizes(self) -> tuple[tuple[int, int], ...]:
        if not self.model.needs_image_size:
            return ()
        return tuple((image.width, image.height) for image in self.dataset.images)

    @property
    def label_ids(self) -> tuple[int, ...] | None:
        """What an accuracy log writes for the labels 1, 2, …; None where that is the label itself."""
        if self.rules.labels == "contiguous":
            return None
        return self.dataset.category_ids

    @property
    def subtitle(self) -> str:
        """What the tests run on, for people."""
        simulated = ", SIMULATED" if self.backend.SIMULATED else ""
        return f"{self.model.title} on {self.settings.backend.name}{simulated}"

    def describe(self) -> dict[str, Document]:
        """The model, the dataset and the backend, for the manifest."""
        model, dataset = self.settings.model, self.dataset
        return {
            "model": ModelRecord(
                name=self.model.name,
                title=self.model.title,
                benchmark=self.benchmark,
                path=str(self.model_file) if self.model_file else None,
                sha256=self.model_sha256,
                default=model.path is None,
                closed_division=self.model.closed_division,
                decoding=asdict(model.decoding(self.model.decoding)),
                precision=model.precision if model.path is None else None,
            ),
            "dataset": DatasetRecord(
                annotations=str(dataset.annotations),
                images_dir=str(self.images),
                sha256=dataset.sha256,
                images_sha256=self.images_sha256,
                images=len(dataset),
                synthetic=self.synthetic,
            ),
            "backend": BackendRecord.model_validate(
                {
                    "name": self.settings.backend.name,
                    "simulated": self.backend.SIMULATED,
                    "options": self.settings.backend.options,
                    **self.backend.describe(),
                }
            ),
        }


def find_inputs(settings: RunSettings, terminal: Terminal, cluster: Cluster | None = None) -> Inputs:
    """Checks cheap things first; builds the default model, the synthetic dataset and the tensor cache when missing.

    Raises:
        UsageError: the settings ask for what there is not.
        DataError: the model, the dataset, the backend or the disk cannot be used.
    """
    check_loadgen()
    check_shared_memory()
    settings = with_round(settings)
    round_ = load_round(settings.round)
    model = load_model(settings.model.name)
    division = None if settings.submission is None else settings.submission.division
    benchmark = round_.benchmark_of(model.benchmarks, division)
    rules = round_.benchmark(benchmark)
    for scenario in settings.scenarios:
        rules.scenario(scenario)
    backend = load_backend(settings.backend.name)
    given = settings.model.path
    if given is not None and not given.is_file():
        raise ModelError("no such model", where=str(given), hint="give --model an existing file")
    annotations, images, synthetic = _dataset_files(settings, terminal)
    annotations_file = read_annotations(annotations)
    dataset = CocoIndex.of(annotations_file, images, settings.dataset.count)
    if not synthetic:
        dataset.check_sizes()
    truth = None
    if settings.mode != "performance":  # what evaluation will need must not be missed after the tests
        truth = ground_truth_of(annotations, annotations_file.document).first(len(dataset))
        _check_labels(model, truth)
    del annotations_file  # of 5000 images it is large
    model_file, sha256 = _model_file(settings, model, backend, terminal)
    model = load_model(settings.model.name, model_file)
    dtype = input_dtype(settings, model_file, cluster)
    source = _source(settings, model, dataset, dtype, terminal)
    return Inputs(
        settings=settings,
        round=round_,
        benchmark=benchmark,
        rules=rules,
        model=model,
        model_file=model_file,
        model_sha256=sha256,
        backend=backend,
        dataset=dataset,
        truth=truth,
        images=images,
        images_sha256=source.sha256,
        source=source,
        synthetic=synthetic,
        cluster=cluster,
    )


@contextmanager
def cluster_of(settings: RunSettings, terminal: Terminal) -> Iterator[Cluster | None]:
    """The cluster that the settings name; None: they name none.

    Raises:
        BackendError: it cannot be started or joined.
    """
    if settings.cluster.address is None:
        yield None
        return
    with cluster_at(settings.cluster.address) as cluster:
        names = [node.name for node in cluster.find()]
        terminal.say(f"Cluster {settings.cluster.address}: {len(names)} nodes: {', '.join(names)}")
        yield cluster


def with_round(settings: RunSettings) -> RunSettings:
    """The settings with the model's own round where they name none."""
    if settings.round:
        return settings
    return settings.model_copy(update={"round": load_model(settings.model.name).round})


def _check_labels(model: DetectionModel, truth: GroundTruth) -> None:
    """Whether every class that the model can name is one of the annotations': else a mAP cannot be worked out.

    Raises:
        DatasetError: there are fewer categories than classes.
    """
    classes, categories = len(model.labels) - 1, len(truth.category_ids)
    if categories < classes:
        what = f"has {categories} categories; {model.title} tells {classes} classes apart"
        hint = "give the annotations that the model was trained for, or --mode performance"
        raise DatasetError(what, where=str(truth.path), hint=hint)


def _model_file(
    settings: RunSettings, model: DetectionModel, backend: Backend, terminal: Terminal
) -> tuple[Path | None, str | None]:
    path = settings.model.path
    if backend.SIMULATED and path is None:
        return None, None
    if path is None:
        with terminal.task("Default model") as report:
            path = run_in_child(
                _default_file, model.name, settings.model.precision, say=lambda doing: report(0, None, doing)
            )
    return path.resolve(), sha256_of_model(path)


def _dataset_files(settings: RunSettings, terminal: Terminal) -> tuple[Path, Path, bool]:
    """Annotations, images folder, and whether they are the synthetic set."""
    wanted = settings.dataset
    if wanted.annotations is not None and wanted.images is not None:
        return wanted.annotations, wanted.images, False
    made = wanted.synthetic
    with terminal.task("Synthetic dataset", "images") as report:
        images, annotations = cached_synthetic(images=made.images, seed=made.seed, progress=report)
    return annotations, images, True


def _default_file(name: str, precision: Literal["int8", "float32"], say: Say) -> Path:
    return load_model(name).default_file(precision, say)


def _source(
    settings: RunSettings, model: DetectionModel, dataset: CocoIndex, dtype: str, terminal: Terminal
) -> CachedTensors | DirectTensors:
    """Tensors from the cache; float32 ones, 17 MB each, are made when they are loaded, which LoadGen does not time."""
    preprocess = functools.partial(model.tensor, dtype=dtype)
    with terminal.task("Preprocessing", "images") as report:
        if dtype != "uint8":
            # a backend may change the working directory
            direct = DirectTensors([path.absolute() for path in dataset.paths], preprocess)
            direct.check(report)
            return direct
        cache = TensorCache(cache_dir().absolute() / "tensors", preprocess, model.preprocess_key, model.input.shape[1:])
        return cache.build(dataset.paths, report, settings.dataset.workers)
