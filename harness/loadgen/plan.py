"""One LoadGen test, decided in full before it begins: what the parent gives to the child."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.cluster.messages import ClusterPlan
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.system_under_test import SystemUnderTest
from harness.rounds import ScenarioRules, Seeds
from harness.scenarios import TITLES, Scenario
from harness.settings import BackendSettings, ModelSettings, ScenarioSettings

Mode = Literal["performance", "accuracy"]

LOADGEN_SCENARIOS: dict[Scenario, str] = TITLES
"""Our names of the scenarios → LoadGen's."""


class SampleSource(Protocol):
    """Where the samples' tensors come from. Picklable."""

    def load(self, indices: Sequence[int]) -> Sequence[npt.NDArray[np.uint8] | npt.NDArray[np.float32]]:
        """The (1, 3, H, W) tensors of these samples, in memory."""
        ...


@dataclass(frozen=True)
class Calibration:
    """What a short run before the test says, from the fastest of its runs.

    Attributes:
        latency_s: inference and decoding of one sample on the fastest session.
        samples_per_second: of all sessions at once; in Offline, as many as they may reach: a test that is too short is
            INVALID.
    """

    latency_s: float
    samples_per_second: float


@dataclass(frozen=True)
class Plan:
    """Everything one test depends on.

    Attributes:
        folder: where the logs go; exists.
        benchmark: LoadGen's name of the benchmark.
        rules: the lengths and percentiles that this test uses.
        scenario_settings: what was set for it; lengths are in ``rules`` already, expectations are here only.
        sample_names: file name of each sample of the dataset, in the order of LoadGen's index.
        image_sizes: width and height of each sample's image, for a model whose decoder needs them; else empty.
        cluster: the nodes that have the sessions; None: they are in the test's own process.
        performance_sample_count: how many samples are in memory at once.
        model_file: what the sessions load; None where the backend needs none.
        watchdog_s: a session that is at one sample for longer than this hangs.
        trace: LoadGen writes its own trace too, which costs the test some of its speed.
        profile: sessions count where their inferences' time goes, which costs them some of their speed.
        audit: settings of a compliance test, as LoadGen's audit.config has them; they override all others.
        compliance: the name of that test.
        expected_messages: parts of the warnings and errors that LoadGen logs because of those settings.
        label_ids: what the accuracy log writes for the labels 1, 2, …; None: the label itself.
        calibration: of an earlier test whose settings this one is to have; none: measured before the test.
    """

    folder: Path
    scenario: Scenario
    mode: Mode
    benchmark: str
    seeds: Seeds
    rules: ScenarioRules
    performance_sample_count: int
    scenario_settings: ScenarioSettings
    model: ModelSettings
    model_file: Path | None
    backend: BackendSettings
    slots: tuple[DeviceSlot, ...]
    source: SampleSource
    sample_names: tuple[str, ...]
    watchdog_s: float = 120.0
    trace: bool = False
    profile: bool = False
    audit: Mapping[str, int] = field(default_factory=dict)
    compliance: str | None = None
    expected_messages: tuple[str, ...] = ()
    label_ids: tuple[int, ...] | None = None
    calibration: Calibration | None = None
    image_sizes: tuple[tuple[int, int], ...] = ()
    cluster: ClusterPlan | None = None

    @property
    def system(self) -> SystemUnderTest:
        """What the sessions depend on, here or on a node."""
        return SystemUnderTest(
            title=self.title,
            scenario=self.scenario,
            accuracy=self.mode == "accuracy",
            model=self.model,
            model_file=self.model_file,
            backend=self.backend,
            watchdog_s=self.watchdog_s,
            profile=self.profile,
            label_ids=self.label_ids,
            image_sizes=self.image_sizes,
        )

    @property
    def title(self) -> str:
        """The test's title for people."""
        return f"{LOADGEN_SCENARIOS[self.scenario]} {self.compliance or self.mode}"
