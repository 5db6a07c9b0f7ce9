"""The numbers of a round are data with a source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import harness.rounds
from harness.errors import UsageError
from harness.rounds import load_round, round_names
from harness.settings import configs_dir


def test_v2_0_has_the_numbers_of_its_sources() -> None:
    # mlperf.conf and submission-checker.py of mlcommons/inference, tag v2.0
    round_ = load_round("v2.0")
    rules = round_.benchmark("ssd-resnet34")
    assert round_.seeds.qsl == 6655344265603136530
    assert round_.seeds.sample_index == 15863379492028895792
    assert round_.seeds.schedule == 12662793979680847247
    assert rules.performance_sample_count == 64
    assert rules.accuracy.gate_percent == pytest.approx(19.8)
    assert rules.scenario("offline").min_queries == 24576
    assert rules.scenario("server").latency_ms == 100
    assert {rules.scenario(s).min_duration_s for s in rules.scenarios} == {600}
    assert rules.scenario("single_stream").result.key == "early_stopping_latency_ss"
    assert rules.scenario("multi_stream").inferred_from["single_stream"].key == "early_stopping_latency_ms"
    assert not rules.scenario("offline").early_stopping
    assert rules.required_of("closed", "edge") == ("single_stream", "multi_stream", "offline")
    assert rules.required_of("closed", "datacenter") == ("server", "offline")
    assert rules.required_of("open", "edge") == ()
    assert round_.submission.accuracy_log.most_bytes == 10 * 1024


def test_v1_1_has_the_numbers_of_its_sources() -> None:
    # mlperf.conf and submission-checker.py of mlcommons/inference, branch r1.1
    round_ = load_round("v1.1")
    rules = round_.benchmark("ssd-resnet34")
    assert (round_.seeds.qsl, round_.seeds.sample_index) == (1624344308455410291, 517984244576520566)
    assert round_.seeds.schedule == 10051496985653635065
    assert rules.required_of("closed", "edge") == ("single_stream", "offline")
    assert rules.required_of("closed", "datacenter") == ("offline",)
    assert rules.optional_of("closed", "datacenter") == ("server",)
    assert rules.scenario("single_stream").min_queries == 1024
    assert rules.scenario("single_stream").result.key == "result_90.00_percentile_latency_ns"
    assert not any(scenario.early_stopping for scenario in rules.scenarios.values())


@pytest.mark.parametrize("name", ["v1.1", "v2.0"])
def test_the_compliance_tests_have_the_settings_of_their_audit_files(name: str) -> None:
    # compliance/nvidia/TEST*/audit.config of mlcommons/inference, the same in both rounds
    tests = load_round(name).benchmark("ssd-resnet34").compliance_of("offline")
    assert list(tests) == ["TEST01", "TEST04-A", "TEST04-B", "TEST05"]
    assert tests["TEST01"].audit["accuracy_log_rng_seed"] == 720381539243781796
    assert tests["TEST01"].audit["accuracy_log_sampling_target"] == 256
    assert tests["TEST04-A"].audit["performance_issue_unique"] == 1
    assert tests["TEST04-B"].audit["performance_issue_same_index"] == 3
    assert tests["TEST05"].seeds is not None
    assert tests["TEST05"].seeds.schedule == 413914573387865862
    assert [tests[t].tolerance for t in ("TEST01", "TEST04-B", "TEST05")] == [0.10, 0.10, 0.05]


@pytest.mark.parametrize("name", round_names())
def test_every_scenario_that_is_required_has_rules_and_every_comparison_a_test(name: str) -> None:
    for rules in load_round(name).benchmarks.values():
        for by_type in (*rules.required.values(), *rules.optional.values()):
            assert {scenario for scenarios in by_type.values() for scenario in scenarios} <= set(rules.scenarios)
        for test in rules.compliance.values():
            for other in (test.verified_by, test.compared_with):
                assert other in (None, "performance", *rules.compliance)
            assert (test.compared_with is None) == (test.tolerance is None)


def test_a_round_is_added_by_adding_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.rounds, "configs_dir", lambda: tmp_path)
    data = yaml.safe_load((configs_dir() / "rounds" / "v2.0.yaml").read_text(encoding="utf-8"))
    data["round"], data["seeds"]["qsl"] = "v9.9", 1
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds" / "v9.9.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert round_names() == ["v9.9"]
    assert load_round("v9.9").seeds.qsl == 1


@pytest.mark.parametrize(
    ("file", "rounds"), [("simulated.json", ["v1.1", "v2.0"]), ("simulated-v6.json", ["v6.0", "v6.1"])]
)
def test_the_system_description_that_is_shipped_has_every_field_and_says_that_it_is_simulated(
    file: str, rounds: list[str]
) -> None:
    system = json.loads((configs_dir() / "systems" / file).read_text(encoding="utf-8"))
    for name in rounds:
        assert set(load_round(name).submission.system_fields) == set(system)
        empty = {field for field in load_round(name).submission.system_fields_not_empty if not system[field]}
        assert empty <= {"submitter"}  # which is filled in
    assert "SIMULATED" in system["hw_notes"]


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("v6.0", (2465351861681999779, 14276810075590677512, 3936089224930324775)),
        ("v6.1", (2085463073848966840, 2747215439041700203, 16159082839903944936)),
    ],
)
def test_v6_has_the_numbers_of_its_sources(name: str, seeds: tuple[int, int, int]) -> None:
    # tools/submission/submission_checker/constants.py of mlcommons/inference, August 2026
    round_ = load_round(name)
    assert tuple(round_.seeds.model_dump().values()) == seeds
    rules, easier = round_.benchmark("yolo-99"), round_.benchmark("yolo-95")
    assert rules.accuracy.gate_percent == pytest.approx(52.866)
    assert easier.accuracy.gate_percent == pytest.approx(50.73)
    assert (rules.dataset_images, rules.performance_sample_count, rules.labels) == (1525, 64, "coco")
    assert (rules.loadgen_model, easier.loadgen_model) == ("yolo", "yolo")
    assert [rules.scenario(s).min_queries for s in rules.scenarios] == [64, 662, 1525]
    assert list(rules.compliance) == ["TEST01"]
    assert rules.compliance["TEST01"].audit["accuracy_log_sampling_target"] == 64
    assert "server" not in rules.scenarios
    assert rules.required_of("closed", "edge") == ("single_stream", "multi_stream", "offline")


def test_a_run_takes_the_first_benchmark_of_its_model_that_the_round_and_the_division_have() -> None:
    round_ = load_round("v6.1")
    assert round_.benchmark_of(("ssd-resnet34", "ssd-large")) == "ssd-large"
    assert round_.benchmark("ssd-large").maps_to == "yolo-99"
    with pytest.raises(UsageError, match=r"round v6.1 has no ssd-resnet34 or ssd-large in the closed division"):
        round_.benchmark_of(("ssd-resnet34", "ssd-large"), "closed")


def test_a_result_is_inferred_from_another_scenarios_figure() -> None:
    rules = load_round("v6.1").benchmark("yolo-99")
    offline, multi_stream = rules.scenario("offline"), rules.scenario("multi_stream")
    # 1000/mean of SingleStream and 8000/mean of MultiStream, in milliseconds
    single, multi = offline.inferred_from["single_stream"], offline.inferred_from["multi_stream"]
    assert offline.inferred(20e6, single, 1) == pytest.approx(50)
    assert offline.inferred(100e6, multi, 8) == pytest.approx(80)
    assert multi_stream.inferred(20e6, multi_stream.inferred_from["single_stream"], 1) == 160e6


def test_an_unknown_round_benchmark_or_scenario_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no such round: v9.9\n  next: one of: v1.1, v2.0, v6.0, v6.1"):
        load_round("v9.9")
    with pytest.raises(UsageError, match=r"round v2.0 has no benchmark yolo\n  next: it has: ssd-resnet34"):
        load_round("v2.0").benchmark("yolo")
    rules = load_round("v2.0").benchmark("ssd-resnet34").model_copy(update={"scenarios": {}})
    with pytest.raises(UsageError, match="the round has no server"):
        rules.scenario("server")
