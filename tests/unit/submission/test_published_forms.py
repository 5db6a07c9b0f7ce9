"""What published logs and files have, and what a check must not take for a fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import LogError
from harness.loadgen.log import read_detail
from harness.rounds import load_round
from harness.submission.accuracy_log import read_log_in_tree
from harness.submission.rules.figures import is_as_printed
from harness.submission.rules.finding import Finding, grouped
from harness.submission.system_description import system_errors
from harness.submission.tree import scenario_of

RULES = load_round("v2.0").submission
ENTRY = ':::MLLOG {"key": "%s", "value": %s, "time_ms": 1.5, "metadata": {"is_error": false, "is_warning": false}}\n'


def detail(folder: Path, text: str) -> Path:
    path = folder / "mlperf_log_detail.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_nul_in_a_name_is_read(tmp_path: Path) -> None:
    # LoadGen 1.0 and 1.1 wrote the end of a C string
    log = read_detail(detail(tmp_path, ENTRY % ("sut_name", '"SUT\0"')))
    assert log.values["sut_name"] == "SUT\0"


def test_a_count_that_was_written_as_text_is_a_number(tmp_path: Path) -> None:
    # commits of LoadGen 2.0 before loadgen.cc:1056
    assert read_detail(detail(tmp_path, ENTRY % ("result_query_count", '"270336"'))).values == {
        "result_query_count": 270336
    }


def test_a_line_that_is_no_entry_is_kept_and_cannot_hide_an_error(tmp_path: Path) -> None:
    error = ENTRY.replace('"is_error": false', '"is_error": true') % ("error_runtime", '"lost"')
    log = read_detail(detail(tmp_path, f"{ENTRY % ('a', 1)} {error}\ufeff{ENTRY % ('b', 2)}edited by hand\n\n"))
    assert log.errors == ("error_runtime: lost",)
    assert (log.values["a"], log.values["b"]) == (1, 2)
    assert [number for number, _ in log.other] == [2, 3, 4]
    assert log.times_ms["a"] == 1.5


@pytest.mark.parametrize("time_ms", ['"x"', "[1]", "{}"])
def test_an_entry_whose_time_is_no_number_is_no_entry(tmp_path: Path, time_ms: str) -> None:
    with pytest.raises(LogError, match="line 1 is not a LoadGen entry"):
        read_detail(detail(tmp_path, ENTRY.replace("1.5", time_ms) % ("a", 1)))


def test_a_file_that_is_not_utf8_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "mlperf_log_detail.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(LogError, match="utf-8"):
        read_detail(tmp_path / "mlperf_log_detail.txt")


@pytest.mark.parametrize(
    ("text", "value"), [("109.99", 109.995), ("10896.95", 10897), ("247.00", 247.0), ("6161.92", 6161.9213)]
)
def test_a_figure_is_compared_by_the_digits_that_were_printed(text: str, value: float) -> None:
    # two decimals of verify_performance.txt; six digits of LoadGen's detail log
    assert is_as_printed(text, value)


@pytest.mark.parametrize(("text", "value"), [("109.97", 109.995), ("6470.05", 7096.1), ("?", 1.0)])
def test_another_figure_is_another_figure(text: str, value: float) -> None:
    assert not is_as_printed(text, value)


def system(**changes: str) -> dict[str, str | int]:
    known: dict[str, str | int] = {**dict.fromkeys(RULES.system_fields, "x"), "number_of_nodes": 1}
    return {**known, "division": "closed", "status": "available", "system_type": "edge", **changes}


def test_the_fields_of_a_measured_power_are_a_systems_own_affair() -> None:
    assert system_errors(system(**dict.fromkeys(RULES.system_fields_of_power, "")), RULES) == []


def test_another_field_is_unknown_and_no_error_of_the_field() -> None:
    [wrong] = system_errors(system(psu_details="two"), RULES)
    assert (wrong.field, wrong.unknown) == ("psu_details", True)


def test_a_field_of_v6_that_says_nothing_is_wrong() -> None:
    rules = load_round("v6.1").submission
    empty = {**dict.fromkeys(rules.system_fields, "x"), "number_of_nodes": "1", "division": "open", "status": "rdi"}
    found = system_errors({**empty, "system_type": "edge", "cooling": ""}, rules)
    assert [wrong.field for wrong in found] == ["cooling"]
    # the checker refuses the number 0 of a system without accelerators, and takes the text
    assert system_errors({**empty, "system_type": "edge", "accelerators_per_node": 0}, rules)
    assert not system_errors({**empty, "system_type": "edge", "accelerators_per_node": "0"}, rules)


@pytest.mark.parametrize("folder", ["offline", "Offline", "OFFLINE"])
def test_a_scenarios_folder_is_known_in_any_case(folder: str) -> None:
    assert scenario_of(folder) == "offline"
    assert scenario_of("Interactive") is None


def record(index: int, sequence: int, keys: list[str], **other: str) -> str:
    data = "".join(f"{index:08X}" for _ in range(7))
    import struct

    data = struct.pack("<7f", index, 0.1, 0.1, 0.9, 0.9, 0.5, 1.0).hex().upper()
    fields = {"seq_id": sequence, "qsl_idx": index, "data": data, **other}
    return json.dumps({key: fields[key] for key in keys}, indent=1)


def test_a_cut_log_of_sorted_keys_and_other_spaces_is_a_log(tmp_path: Path) -> None:
    keys = ["data", "qsl_idx", "seq_id"]
    text = "[\n" + ",\n".join(record(k, k, keys) for k in range(3)) + "\n\n...\n\n"
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text(text + record(9, 9, keys) + "\n]\n")
    log = read_log_in_tree(path, RULES.accuracy_log)
    assert log.cut
    assert log.damage is None
    assert log.indices == ((0, 0), (1, 1), (2, 2), (9, 9))


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        ("00", "which are no detections of 28 bytes each"),
        ("0000C07F" * 7, "numbers that are not finite"),
        ("0000803F" * 7, "has detections of image 1"),
        ("00000000" * 5 + "0000A040" + "0000803F", "a score outside 0 to 1"),
    ],
)
def test_data_of_a_cut_log_that_is_no_detection_is_damage(tmp_path: Path, data: str, damage: str) -> None:
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text("[\n" + record(0, 0, ["seq_id", "qsl_idx", "data"], data=data) + "\n\n...\n\n" + "} ]")
    assert damage in str(read_log_in_tree(path, RULES.accuracy_log).damage)


def test_a_record_that_the_cut_goes_through_is_not_read_across_it(tmp_path: Path) -> None:
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text('[\n{ "seq_id" : 0, "qsl_idx" : 41\n\n...\n\n"qsl_idx" : 7, "data" : "" } ]\n')
    assert read_log_in_tree(path, RULES.accuracy_log).indices == ()


def test_one_cause_is_one_line_with_its_first_three_places() -> None:
    findings = [Finding("FAIL", "seeds", f"place {k}", "1", "2", "run again") for k in range(5)]
    findings.append(Finding("FAIL", "seeds", "other", "3", "2", "run again"))
    findings.append(findings[0])  # of a folder that two results share
    many, one = grouped(findings)
    assert many.paths == tuple(f"place {k}" for k in range(5))
    expected = "[FAIL] place 0, place 1, place 2 and 2 more: seeds: found 1, required 2; next: run again (5 places)"
    assert str(many) == expected
    assert str(one) == "[FAIL] other: seeds: found 3, required 2; next: run again"
