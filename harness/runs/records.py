"""``manifest.json`` and ``test.json``: what a run is, how far it came, and what each of its tests was."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from harness.errors import LogError
from harness.loadgen.plan import Mode
from harness.runs.documents import SCHEMA, Document, checked, read_document
from harness.runs.layout import RunLayout
from harness.scenarios import Scenario


class ModelRecord(Document):
    """The model of a run.

    ``default`` is the harness's own one, which ``precision`` is of. ``title`` is its name for people,
    ``closed_division`` why it is none for a closed submission, and ``decoding`` how its outputs became detections.
    """

    name: str
    title: str | None = None
    benchmark: str
    closed_division: str | None = None
    decoding: dict[str, JsonValue] | None = None
    path: str | None = None
    sha256: str | None = None
    default: bool
    precision: str | None = None

    @property
    def shown(self) -> str:
        """For people: which model it is, and the benchmark whose rules it followed."""
        return f"{self.title}, {self.benchmark}" if self.title else self.benchmark


class DatasetRecord(Document):
    """The dataset of a run: the first ``images`` of its annotations; ``sha256`` is of the list of images."""

    annotations: str
    images_dir: str
    sha256: str
    images_sha256: str | None = None
    images: int
    synthetic: bool


class BackendRecord(Document):
    """The backend of a run, its options, and what it says of itself."""

    name: str
    simulated: bool
    options: dict[str, JsonValue] = Field(default_factory=dict)


class ResultKey(Document):
    """Where LoadGen's detail log has a figure; a latency where the unit is "ns"."""

    key: str
    unit: str


class TestRules(Document):
    """The lengths and percentiles that a test was made with; see `harness.rounds.ScenarioRules`."""

    __test__ = False

    min_duration_s: float
    min_queries: int
    latency_percentile: float | None = None
    samples_per_query: int = 1
    latency_ms: float | None = None
    expected_latency_ms: float | None = None
    result: ResultKey | None = None
    compared: ResultKey | None = None
    early_stopping: bool = False
    inferred_from: dict[str, JsonValue] = Field(default_factory=dict)


class SessionRecord(Document):
    """A device session of a test, the cores of its thread (empty: not pinned), and its node (empty: this machine)."""

    index: int | None = None
    device: str | None = None
    cores: tuple[int, ...] = ()
    node: str = ""
    name: str


class Retirement(Document):
    """A session that failed or hung at a sample and was taken out; without a sample, it could not be opened."""

    session: str
    sample_index: int | None = None
    image: str | None = None
    reason: str

    @property
    def place(self) -> str:
        """Where it happened, for people."""
        return "before the test" if self.sample_index is None else f"at sample {self.sample_index} ({self.image})"


class MachineRecord(Document):
    """What else the machine did during a test; None is what the system does not say.

    ``others_cores`` is how many cores other programs kept busy, ``steal_percent`` the time that a host gave to other
    guests, ``throttled_s`` the time that a container was stopped by its quota, ``cpu_quota`` in cores.
    ``energy_joules`` has the energy of the measured part by counter (RAPL's zones, NVIDIA's devices), ``clocks_mhz``
    the mean clocks in it; both only where they could be read.
    """

    cores: int | None = None
    cpu_quota: float | None = None
    load_before: float | None = None
    load_after: float | None = None
    others_cores: float | None = None
    steal_percent: float | None = None
    throttled_s: float | None = None
    involuntary_switches: int | None = None
    frequency_before_mhz: float | None = None
    frequency_after_mhz: float | None = None
    temperature_celsius: float | None = None
    energy_joules: dict[str, float] = Field(default_factory=dict)
    clocks_mhz: dict[str, float] = Field(default_factory=dict)


class NodeRecord(Document):
    """What a node of a cluster did in a test.

    ``way_ms`` is what a call took on its way there and back in the mean, and ``way_share`` that of all the time of the
    calls: the host's duration less the node's own, never a difference of two clocks. ``cpu_s`` and
    ``peak_memory_bytes`` are of the node's process; ``channel``: its samples went through Ray's channels, not by calls;
    ``lost``: it was taken out; ``system`` is what it says of itself.
    """

    name: str
    samples: int
    calls: int = 0
    way_ms: float | None = None
    way_share: float | None = None
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    channel: bool = False
    lost: bool = False
    system: dict[str, JsonValue] = Field(default_factory=dict)


class TestRecord(Document):
    """``test.json``, and the same in the manifest: a test that was finished.

    ``number`` counts the repetitions of a performance test from 1; ``fingerprint`` is a hash of everything that the
    test's result depends on; ``latency_s`` and ``samples_per_second`` are calibration's; ``logs`` has the sha256 of
    LoadGen's logs.
    """

    __test__ = False

    scenario: Scenario
    mode: Mode
    number: int = Field(1, ge=1)
    fingerprint: str = ""
    rules: TestRules
    performance_sample_count: int
    sessions: tuple[SessionRecord, ...]
    samples_per_session: dict[str, int] = Field(default_factory=dict)
    latency_s: float | None = None
    samples_per_second: float | None = None
    peak_memory_bytes: int | None = None
    retired: tuple[Retirement, ...] = ()
    nodes: tuple[NodeRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    machine: MachineRecord | None = None
    logs: dict[str, str] = Field(default_factory=dict)

    @property
    def session_names(self) -> list[str]:
        """The names of the sessions, by their index."""
        return [session.name for session in self.sessions]


class SubmissionRecord(Document):
    """Whose submission a run is for; ``rehearsal_because`` says what keeps it from being one."""

    division: Literal["closed", "open"]
    submitter: str
    system_id: str
    system: dict[str, JsonValue] = Field(default_factory=dict)
    rehearsal: bool = False
    rehearsal_because: tuple[str, ...] = ()


class PeakTry(Document):
    """One short test of a search for the peak.

    ``qps`` is the target in Server, and what LoadGen was told to expect in Offline; ``p50_ms`` and ``p99_ms``
    are of Server's latency, ``latency_bound_ms`` is what it had to keep; ``folder`` has the logs, in the run directory.
    """

    qps: float
    valid: bool
    samples_per_second: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    latency_bound_ms: float | None = None
    folder: str


class Peak(Document):
    """What a search for the peak found in a scenario; ``qps`` is None where no rate was valid."""

    valid: bool
    qps: float | None = None
    tries: tuple[PeakTry, ...] = ()


class Manifest(Document):
    """``manifest.json``: what a run is and how far it came.

    ``status`` is "running", "complete" or "failed"; ``model``, ``dataset``, ``backend`` and ``tests`` are None until
    its inputs have been found.
    """

    schema_: int = Field(SCHEMA, alias="schema")
    status: str
    started: str | None = None
    resumed: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    directory: str | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    round: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    code_sha256: str | None = None
    system: dict[str, JsonValue] = Field(default_factory=dict)
    model: ModelRecord | None = None
    dataset: DatasetRecord | None = None
    backend: BackendRecord | None = None
    tests: tuple[TestRecord, ...] | None = None
    submission: SubmissionRecord | None = None
    peak: dict[Scenario, Peak] = Field(default_factory=dict)
    reason: str | None = None
    ended: str | None = None

    @property
    def traced(self) -> bool:
        """Whether the performance tests were traced."""
        return bool(self.settings.get("trace"))

    @property
    def profiled(self) -> bool:
        """Whether the sessions of performance tests counted where their time goes."""
        return bool(self.settings.get("profile"))

    @property
    def division(self) -> str | None:
        """The division that the run is for; None where it is for no submission."""
        submission = self.settings.get("submission")
        return str(submission["division"]) if isinstance(submission, dict) and "division" in submission else None

    @property
    def decoder(self) -> str | None:
        """What turned raw outputs into detections: "native", "numpy" or "none"."""
        model = self.settings.get("model")
        return str(model["decoder"]) if isinstance(model, dict) and "decoder" in model else None


class StartedManifest(Manifest):
    """A manifest of a run whose inputs were found: one that can have results."""

    round: str
    model: ModelRecord
    dataset: DatasetRecord
    backend: BackendRecord
    tests: tuple[TestRecord, ...]

    def first_performance_tests(self) -> dict[Scenario, TestRecord]:
        """Scenario → its performance test, of several the first: the one that a submission shows."""
        first: dict[Scenario, TestRecord] = {}
        for test in self.tests:
            if test.mode == "performance":
                first.setdefault(test.scenario, test)
        return first


NO_RUN_HINT = "give the --output of a run; `ssd-harness results` lists those below results/"


def read_manifest(folder: Path) -> Manifest:
    """``manifest.json`` of a run directory.

    Raises:
        LogError: there is none, or it is damaged.
    """
    path = RunLayout(folder).manifest
    if not path.is_file():
        raise LogError(f"is not a run directory: it has no {path.name}", where=str(folder), hint=NO_RUN_HINT)
    return read_document(Manifest, path)


def started(manifest: Manifest, folder: Path) -> StartedManifest:
    """The manifest as one of a run whose inputs were found.

    Raises:
        LogError: it ended before its first test, or is still looking for its inputs.
    """
    if manifest.tests is None:
        text = f"the run {manifest.status} before its first test: {manifest.reason}"
        raise LogError(text, where=str(folder))
    return checked(StartedManifest, manifest.as_json(), RunLayout(folder).manifest)
