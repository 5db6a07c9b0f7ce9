"""A plan becomes LoadGen's settings: what user.conf says, and what LoadGen makes of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import pytest

from harness.errors import UsageError
from harness.loadgen.plan import Calibration, Plan
from harness.loadgen.settings import expected_samples, loadgen_settings, user_conf
from harness.rounds import load_round
from harness.scenarios import Scenario
from harness.settings import BackendSettings, ModelSettings, ScenarioSettings

ROUND = load_round("v2.0")
CALIBRATION = Calibration(latency_s=0.003, samples_per_second=200)


class NoSource:
    def load(self, indices: Any) -> Any:
        raise NotImplementedError


def plan(folder: Path, scenario: Scenario, **changes: Any) -> Plan:
    rules = ROUND.benchmark("ssd-resnet34").scenario(scenario)
    given = Plan(
        folder=folder,
        scenario=scenario,
        mode="performance",
        benchmark="ssd-resnet34",
        seeds=ROUND.seeds,
        rules=rules.model_copy(update={"min_duration_s": 60.0, "min_queries": 1000}),
        performance_sample_count=64,
        scenario_settings=ScenarioSettings(),
        model=ModelSettings(),
        model_file=None,
        backend=BackendSettings(),
        slots=(),
        source=NoSource(),
        sample_names=("a.jpg",) * 100,
    )
    return dataclasses.replace(given, **changes)


def values(text: str) -> dict[str, str]:
    """The last part of each key → its value."""
    return {line.split(" = ")[0].rsplit(".", 1)[1]: line.split(" = ")[1] for line in text.splitlines()}


def test_user_conf_has_the_lengths_and_the_calibrated_expectation(tmp_path: Path) -> None:
    text = user_conf(plan(tmp_path, "single_stream"), CALIBRATION)
    assert all(line.startswith("ssd-resnet34.SingleStream.") for line in text.splitlines())
    assert values(text) == {
        "performance_sample_count_override": "64",
        "min_duration": "60000",
        "min_query_count": "1000",
        "target_latency_percentile": "90",
        "target_latency": "2",  # 3 ms / 1.5: who expects less makes queries enough
    }


def test_multi_stream_expects_a_query_of_eight_samples(tmp_path: Path) -> None:
    found = values(user_conf(plan(tmp_path, "multi_stream"), CALIBRATION))
    assert found["samples_per_query"] == "8"
    assert float(found["target_latency"]) == pytest.approx(8 / 200 * 1e3 / 1.5, abs=1e-6)


def test_server_aims_at_half_of_what_calibration_found(tmp_path: Path) -> None:
    found = values(user_conf(plan(tmp_path, "server"), CALIBRATION))
    assert (found["target_latency"], found["target_qps"]) == ("100", "100")


@pytest.mark.parametrize(
    ("scenario", "settings", "key", "value"),
    [
        ("single_stream", {"expected_latency_ms": 7.5}, "target_latency", "7.500000"),
        ("multi_stream", {"expected_latency_ms": 40}, "target_latency", "40"),
        ("offline", {"expected_qps": 80}, "target_qps", "80"),
        ("server", {"target_qps": 33}, "target_qps", "33"),
    ],
)
def test_what_was_set_comes_before_calibration(
    tmp_path: Path, scenario: Scenario, settings: dict[str, float], key: str, value: str
) -> None:
    asked = plan(tmp_path, scenario, scenario_settings=ScenarioSettings.model_validate(settings))
    assert values(user_conf(asked, CALIBRATION))[key] == value


def test_a_device_of_no_latency_is_not_believed(tmp_path: Path) -> None:
    found = values(user_conf(plan(tmp_path, "offline"), Calibration(1e-9, 1e9)))
    assert float(found["target_qps"]) == pytest.approx(500_000 * 1.05 / 1.1)  # beside LoadGen's own slack


@pytest.mark.parametrize("scenario", ["single_stream", "multi_stream", "server", "offline"])
def test_loadgen_takes_over_every_value(tmp_path: Path, scenario: Scenario) -> None:
    settings = loadgen_settings(plan(tmp_path, scenario), CALIBRATION)
    assert settings.mode == lg.TestMode.PerformanceOnly
    assert settings.min_duration_ms == 60_000
    assert settings.performance_sample_count_override == 64
    assert settings.qsl_rng_seed == ROUND.seeds.qsl
    assert settings.sample_index_rng_seed == ROUND.seeds.sample_index
    assert settings.schedule_rng_seed == ROUND.seeds.schedule
    expected = {"single_stream": 1000, "multi_stream": 8000, "server": 6000, "offline": 12_600}
    assert expected_samples(plan(tmp_path, scenario), settings) == expected[scenario]


def test_an_accuracy_test_asks_for_every_sample(tmp_path: Path) -> None:
    accuracy = plan(tmp_path, "offline", mode="accuracy")
    settings = loadgen_settings(accuracy, CALIBRATION)
    assert settings.mode == lg.TestMode.AccuracyOnly
    assert expected_samples(accuracy, settings) == 100


def test_a_compliance_test_leaves_an_audit_file(tmp_path: Path) -> None:
    loadgen_settings(plan(tmp_path, "offline", audit={"mode": 2, "accuracy_log_sampling_target": 256}), CALIBRATION)
    assert (tmp_path / "audit.config").read_text() == "*.*.mode = 2\n*.*.accuracy_log_sampling_target = 256\n"


def test_a_file_that_loadgen_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.loadgen.settings.user_conf", lambda *_: "not a key\n")
    with pytest.raises(UsageError, match=r"user.conf: LoadGen refuses the configuration"):
        loadgen_settings(plan(tmp_path, "offline"), CALIBRATION)
