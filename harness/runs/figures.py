"""``summary.json``, and the files that it is made of: what a run measured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.loadgen.plan import Mode
from harness.runs.documents import SCHEMA, Document
from harness.runs.records import BackendRecord, DatasetRecord, ModelRecord, Peak, Retirement, SubmissionRecord
from harness.scenarios import Scenario


class SessionFigures(Document):
    """A session's part in a test; ``busy`` is the share of the test in which it was inferring, in 0..1."""

    samples: int
    inference_ms: float | None = None
    inference_p50_ms: float | None = None
    inference_p99_ms: float | None = None
    busy: float


class NodeFigures(Document):
    """A node's part in a test: samples, the share of the test in which its sessions were inferring, mean stages.

    ``way_ms`` and ``way_share`` are as in `harness.runs.records.NodeRecord`. The stages are durations of the node's own
    clock, but for what comes before and after: that is the host's, and the last one has the way there and back in it.
    """

    sessions: int
    samples: int
    busy: float
    way_ms: float | None = None
    way_share: float | None = None
    stages_ms: dict[str, float] = Field(default_factory=dict)
    lost: bool = False


class RepetitionFigures(Document):
    """One repetition of a performance test: its score, and the rate of Offline or the latencies elsewhere."""

    valid: bool
    score: float | None = None
    samples_per_second: float | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)


class ScenarioFigures(Document):
    """The figures of a performance test.

    ``score`` is what the round publishes, in ``score_unit``, null where the test was too short for ``score_measure``.
    ``latency_ms`` has LoadGen's mean and percentiles ("p50", …), of queries; ``percentile`` is the round's, in 0..1. Of
    Server: ``latency_bound_ms`` is what that percentile may be, ``target_samples_per_second`` what LoadGen was to
    issue, ``scheduled_`` what it did, and ``completed_samples_per_second`` what was answered.
    ``disturbed_by`` says what kept the machine from being quiet, see `harness.runs.quietness`; ``longest_gap_ms`` is
    the longest time between two answers. ``efficiency`` is the share of the test in which the sessions were inferring;
    ``stages_ms`` has the mean and percentiles of the stages; ``peak_memory_bytes`` is the largest resident size of the
    process that ran the test; ``nodes`` is of a cluster; ``runs`` has the repetitions, where there are several.
    """

    valid: bool
    invalid_because: tuple[str, ...] = ()
    score: float | None = None
    score_unit: str | None = None
    score_measure: str | None = None
    samples: int | None = None
    samples_per_second: float | None = None
    queries: int | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)
    percentile: float | None = None
    latency_bound_ms: float | None = None
    target_samples_per_second: float | None = None
    scheduled_samples_per_second: float | None = None
    completed_samples_per_second: float | None = None
    early_stopping_latency_ms: float | None = None
    quiet: bool | None = None
    disturbed_by: tuple[str, ...] = ()
    longest_gap_ms: float | None = None
    duration_s: float
    efficiency: float
    sessions: dict[str, SessionFigures]
    nodes: dict[str, NodeFigures] = Field(default_factory=dict)
    stages_ms: dict[str, dict[str, float]]
    peak_memory_bytes: int | None = None
    runs: tuple[RepetitionFigures, ...] = ()


class AccuracyFigures(Document):
    """``accuracy.json``: the figures of `harness.accuracy.evaluate`, in 0..1, or −1 where there is nothing to find."""

    mAP: float  # noqa: N815 -- the field's own name
    AP50: float
    AP75: float
    APs: float | None = None
    APm: float | None = None
    APl: float | None = None
    AR1: float | None = None
    AR10: float | None = None
    AR100: float | None = None
    ARs: float | None = None
    ARm: float | None = None
    ARl: float | None = None
    images: int
    detections: int
    evaluator: str


class CategoryAccuracy(Document):
    """A category: its label, its AP in 0..1 (−1 where none of it is there), and how many objects of it there are."""

    label: int
    category_id: int
    name: str
    AP: float
    objects: int


class Evaluation(Document):
    """``evaluation.json``: AP by category, and by IoU threshold the precision at the recalls 0, 0.01, … 1."""

    per_class: tuple[CategoryAccuracy, ...]
    precision_recall: dict[str, tuple[float, ...]]


class GalleryObject(Document):
    """An object of an image: its box, left, top, right, bottom in pixels."""

    box: tuple[float, float, float, float]
    category: str
    crowd: bool = False


class GalleryDetection(Document):
    """A detection in an image; ``correct`` where it found an object."""

    box: tuple[float, float, float, float]
    category: str
    score: float
    correct: bool


class GalleryImage(Document):
    """An image that the report shows; ``thumbnail`` is the name of a file in the gallery, None where there is none."""

    kind: Literal["best", "worst", "random"]
    file_name: str
    image_id: int
    sample_index: int
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    AP50: float | None = None
    thumbnail: str | None = Field(None, pattern=r"^[A-Za-z0-9_]+\.jpg$")
    objects: tuple[GalleryObject, ...]
    detections: tuple[GalleryDetection, ...]


class RecordedVerdict(Document):
    """The verdict of a compliance test: its figures in words, why it failed, and what else to know."""

    found: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    passed: bool


class ComplianceVerdicts(Document):
    """``compliance.json``: scenario → compliance test → verdict, and scenario → fingerprint of its performance test."""

    schema_: int = Field(SCHEMA, alias="schema")
    performance_tests: dict[Scenario, str]
    scenarios: dict[Scenario, dict[str, RecordedVerdict]]


class RetiredInTest(Retirement):
    """A session that was taken out, and the test in which it was."""

    scenario: Scenario
    mode: Mode


class Summary(Document):
    """``summary.json``: what a run measured, and what keeps it from being valid or submittable.

    ``stages_ms`` is of SingleStream, or else of the first scenario; ``accuracy`` is of the accuracy test that decides,
    the one with the lowest mAP, and ``accuracies`` has them all where there are several.
    """

    schema_: int = Field(SCHEMA, alias="schema")
    status: str
    round: str
    valid: bool
    submittable: bool
    not_submittable_because: tuple[str, ...] = ()
    backend: BackendRecord
    model: ModelRecord
    dataset: DatasetRecord
    scenarios: dict[Scenario, ScenarioFigures]
    traced: bool = False
    profiled: bool = False
    retired: tuple[RetiredInTest, ...] = ()
    peak: dict[Scenario, Peak] = Field(default_factory=dict)
    stages_ms: dict[str, dict[str, float]] = Field(default_factory=dict)
    compliance: dict[Scenario, dict[str, RecordedVerdict]] = Field(default_factory=dict)
    submission: SubmissionRecord | None = None
    accuracy: AccuracyFigures | None = None
    accuracies: dict[Scenario, AccuracyFigures] = Field(default_factory=dict)
    accuracy_invalid_because: tuple[str, ...] = ()
