"""What a run does: the keys of ``configs/runs/*.yaml``, validated, and where the user's cache is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from harness import setting_errors
from harness.errors import UsageError
from harness.records import Decoding, Nms
from harness.scenarios import Scenario, scenario_named
from harness.setting_paths import put
from harness.suggestions import did_you_mean
from harness.yaml_text import YamlError, parse_yaml

Division = Literal["closed", "open"]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A mapping of a configuration file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def default_model_name() -> str:
    """The model where none is named: ``model_name`` of ``configs/defaults.yaml``."""
    return str(read_yaml(configs_dir() / "defaults.yaml")["model_name"])


class ModelSettings(Section):
    """Which model, and how its raw outputs become detections."""

    name: str = Field(default_factory=default_model_name)
    """Of `harness.model.registry`: a folder of ``harness/model``, or ``package.module:object``."""
    path: Path | None = None
    """An ONNX file (or what the backend takes); none: the default model."""
    precision: Literal["int8", "float32"] = "int8"
    """The precision of the default model."""
    decoder: Literal["native", "numpy", "none"] = "native"
    """none: nothing is decoded and every answer is empty, to measure the queue alone."""
    nms: Nms | None = None
    """This and the next three: none: the model's own."""
    score_threshold: Fraction | None = None
    iou_threshold: Fraction | None = None
    max_detections: PositiveInt | None = None

    def decoding(self, default: Decoding) -> Decoding:
        """What is set here, and for the rest the model's own."""
        names = [field.name for field in fields(default)]
        return replace(default, **{name: value for name in names if (value := getattr(self, name)) is not None})


class SyntheticSettings(Section):
    """A made-up dataset, generated from a seed."""

    images: PositiveInt = 64
    """The number of images that are made."""
    seed: int = 2017
    """The same seed gives the same images."""


class DatasetSettings(Section):
    """COCO: a folder of images and an annotations file, or else the synthetic set."""

    images: Path | None = None
    """The folder of the images; none: the synthetic set."""
    annotations: Path | None = None
    """COCO's JSON of those images."""
    count: PositiveInt | None = None
    """Take the first N images only."""
    synthetic: SyntheticSettings = SyntheticSettings()
    workers: PositiveInt | None = None
    """Processes that preprocess; none: one per core."""
    photographs: bool = False
    """Images and annotations have to be given: the synthetic set would make no sense here."""

    @model_validator(mode="after")
    def _are_there(self) -> DatasetSettings:
        if self.photographs and self.images is None and "synthetic" not in self.model_fields_set:
            what = "this configuration is of photographs: images and annotations are missing"
            raise PydanticCustomError(setting_errors.PHOTOGRAPHS_MISSING, what)
        return self

    @model_validator(mode="after")
    def _both_or_neither(self) -> DatasetSettings:
        if (self.images is None) != (self.annotations is None):
            what = "images and annotations go together: give both, or neither for the synthetic dataset"
            raise PydanticCustomError(setting_errors.ONE_OF_TWO, what)
        return self


class BackendSettings(Section):
    """The device runtime and its sessions."""

    name: str = "onnxruntime"
    devices: str | None = None
    """e.g. ``cpu*2`` or ``warboy(2)*4``; none: what suits the scenario."""
    threads: PositiveInt | None = None
    """Of each session; none: its share of the cores."""
    warmup: Annotated[int, Field(ge=0)] = 10
    """Inferences of each session before the measured part."""
    options: dict[str, Any] = {}
    """Handed to the backend, which rejects what it does not know."""
    on_device_failure: Literal["stop", "continue"] = "stop"
    """When a session fails or hangs: stop the run, or go on with the others; the results then say so."""
    warm_ahead: bool = True
    """SingleStream, where a device leaves the host idle: be awake when it is done; 0.4 ms of a processor an image."""


class ClusterSettings(Section):
    """Nodes that have the sessions; `address` alone may stand for the whole section."""

    address: Annotated[str, Field(pattern=setting_errors.CLUSTER_ADDRESS)] | None = None
    """``local:N``: processes here; ``auto``, ``HOST:PORT``, ``ray://HOST:PORT``: a running cluster; none: no nodes."""
    single_stream: bool = False
    """SingleStream goes to a node too; else its one session is in the test's own process."""
    silent_s: Positive = 3
    """A node that gives no answer for so long is lost."""
    channels: bool = True
    """To nodes of the host's machine, but in Offline, where devices leave it idle: quicker than calls; they spin."""


class ScenarioSettings(Section):
    """One scenario's LoadGen settings; what is left out is the round's."""

    min_duration_s: Annotated[float, Field(ge=0)] | None = None
    """The test lasts at least so long."""
    min_queries: PositiveInt | None = None
    """The test has at least so many queries; in Offline, samples."""
    expected_latency_ms: Positive | None = None
    """What LoadGen is told of a query in SingleStream and MultiStream; none: calibrated before the test."""
    expected_qps: Positive | None = None
    """What LoadGen is told of the rate in Offline; none: calibrated before the test."""
    target_qps: Positive | None = None
    """The rate of the queries in Server; none: half of what calibration finds."""
    latency_ms: Positive | None = None
    """The latency bound in Server; none: the round's."""
    latency_percentile: Fraction | None = None
    """The percentile whose value counts; none: the round's. A lower one needs fewer queries."""

    @property
    def rules(self) -> dict[str, float]:
        """Those that replace the round's."""
        names = ("min_duration_s", "min_queries", "latency_ms", "latency_percentile")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class SubmissionSettings(Section):
    """Whose submission a run is for."""

    division: Division
    submitter: Annotated[str, Field(pattern=rf"^{setting_errors.NAME}$")]
    """The organisation: the name of a folder of the submission."""
    system: Path
    """The system's description, JSON; its file name without .json is the system's name in the submission."""

    @model_validator(mode="after")
    def _system_is_named(self) -> SubmissionSettings:
        if not re.fullmatch(setting_errors.NAME, self.system.stem):
            raise ValueError(f"system: {self.system.stem!r} cannot be a system's name: letters, digits, . _ and - can")
        return self


class RunSettings(Section):
    """What `ssd-harness run` does. Every key is documented in configs/runs/demo.yaml."""

    name: Annotated[str, Field(pattern=rf"^{setting_errors.NAME}$", max_length=100)] = "run"
    """Of the run: its folder in results/ begins with it."""
    round: str = ""
    """``configs/rounds/<round>.yaml``, or a YAML file; empty: the model's own."""
    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1)] = ("single_stream", "offline")
    """The scenarios that are run, in this order."""
    mode: Literal["performance", "accuracy", "both", "find-peak", "submission"] = "both"
    """find-peak: Server's highest valid rate, and what Offline must expect. submission: all scenarios in both modes."""
    submission: SubmissionSettings | None = None
    repeat: PositiveInt = 1
    """How often each performance test is made; the spread says what is noise. The first one is the result."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    dataset: DatasetSettings = DatasetSettings()
    backend: BackendSettings = BackendSettings()
    cluster: ClusterSettings = ClusterSettings()
    tests: dict[Scenario, ScenarioSettings] = {}
    trace: bool = False
    """Performance tests leave a trace for Perfetto, which costs them some of their speed."""
    profile: bool = False
    """Performance tests count each layer's time by the backend's own profiler, which costs them speed too."""
    min_map_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Exit with status 1 when the mAP is below this."""
    expected_map_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """What this file's model reaches on this file's images; the command line drops it with either of them."""
    watchdog_s: Positive = 120
    """A session that is at one sample for so long, or a test that shows no sign of life, hangs."""
    startup_s: Positive = 900
    """End the run when the sessions are not ready after so long."""

    @field_validator("scenarios", mode="before")
    @classmethod
    def _scenarios_in_any_spelling(cls, value: Any) -> Any:
        return [_scenario(name) for name in value] if isinstance(value, (list, tuple)) else value

    @field_validator("cluster", mode="before")
    @classmethod
    def _cluster_by_its_address(cls, value: Any) -> Any:
        return {"address": value} if isinstance(value, str) else value

    @field_validator("tests", mode="before")
    @classmethod
    def _tests_in_any_spelling(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {_scenario(name): test for name, test in value.items()}
        return value

    @model_validator(mode="after")
    def _decoder_for_accuracy(self) -> RunSettings:
        if self.model.decoder == "none" and self.mode in ("accuracy", "both", "submission"):
            raise ValueError("model.decoder none finds nothing: mode must be performance or find-peak")
        return self

    @model_validator(mode="after")
    def _something_to_trace(self) -> RunSettings:
        for name in ("trace", "profile"):
            if getattr(self, name) and self.mode not in ("performance", "both"):
                what = f"{name} is of performance tests, and mode is {self.mode}"
                raise PydanticCustomError(setting_errors.PERFORMANCE_ONLY, "{what}", {"what": what})
        return self

    @model_validator(mode="after")
    def _submission_with_its_mode(self) -> RunSettings:
        if self.mode == "submission" and self.submission is None:
            what = "mode submission needs a division, a submitter and a system's description"
            raise PydanticCustomError(setting_errors.SUBMISSION_MISSING, what)
        if self.mode != "submission" and self.submission is not None:
            what = "division, submitter and system go with mode submission only"
            raise PydanticCustomError(setting_errors.SUBMISSION_UNASKED, what)
        return self

    def test(self, scenario: Scenario) -> ScenarioSettings:
        """The scenario's own settings, empty where none were given."""
        return self.tests.get(scenario, ScenarioSettings())


def _scenario(name: Any) -> Any:
    """The scenario of any usual spelling; what is no text is left to the validation."""
    try:
        return scenario_named(name) if isinstance(name, str) else name
    except UsageError as error:
        raise ValueError(f"{error.what}; {error.hint}") from None


SectionT = TypeVar("SectionT", bound=Section)


def load_run(path: Path, overrides: Mapping[str, Any]) -> RunSettings:
    """Reads and validates a run configuration.

    Args:
        path: a YAML file. Where it does not exist but ``configs/runs/<path>.yaml`` does, that one is meant.
        overrides: dotted key → value, laid over the file.

    Raises:
        UsageError: no such file, not YAML, an unknown key (with the nearest known one) or a bad value.
    """
    data = read_yaml(run_config(path))
    for key, value in overrides.items():
        put(data, key, value)
    return validate(RunSettings, data, str(path))


def run_config(path: Path) -> Path:
    """The file that a user's CONFIG argument means."""
    if path.is_file():
        return path
    shipped = configs_dir() / "runs"
    named = shipped / f"{path.name.removesuffix('.yaml')}.yaml"
    if named.is_file() and path.parent in (Path(), Path("configs/runs")):
        return named
    known = sorted(p.stem for p in shipped.glob("*.yaml"))
    hint = did_you_mean(path.stem, known, f"give a YAML file, or one of: {', '.join(known)}")
    raise UsageError("no such configuration file", where=str(path), hint=hint)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        what = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        raise UsageError(what, where=str(path), hint="`ssd-harness config new FILE` writes one") from error
    if not isinstance(data, dict | None):
        raise UsageError(f"expected keys and values, found a {type(data).__name__}", where=str(path))
    return data or {}


def validate(kind: type[SectionT], data: Mapping[str, Any], where: str) -> SectionT:
    """``data`` as a section.

    Raises:
        UsageError: names the key, says what was expected, and for an unknown key the nearest known one.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise setting_errors.setting_error(kind, error, where) from error


def configs_dir() -> Path:
    """Where the shipped configuration is: ``configs/`` of the checkout or of the installed package."""
    return Path(str(files("harness.configs")))


def cache_dir() -> Path:
    """Where models, tensors and synthetic data are kept: $SSD_HARNESS_CACHE, or the user's cache folder."""
    chosen = os.environ.get("SSD_HARNESS_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("ssd-harness", appauthor=False))
