"""Defects that people really bring into a submission tree, each planted into a copy of a sound one.

``plant`` changes the tree below ``closed/ORG``; ``words`` are what the checker's line must hold, and ``level`` is its
level.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.tree_edits import (
    BENCHMARK,
    accuracy,
    add_error,
    append,
    both_rates,
    compliance,
    copy_logs,
    copy_over,
    copy_to,
    drop,
    drop_entry,
    edit_json,
    empty_code,
    entry,
    fewer_images,
    fewer_images_loaded,
    half,
    implementation_json,
    link,
    logs_of,
    measurements,
    move,
    replace,
    results,
    run_1,
    setting,
    setting_in_detail,
    summary,
    system_json,
    system_of,
    twice,
    txt,
    untruncated,
    value_of,
    write,
)


@dataclass(frozen=True)
class Defect:
    name: str
    plant: Callable[[Path], object]
    words: str
    level: str = "FAIL"


DEFECTS: list[Defect] = [
    # performance logs
    Defect(
        "wrong qsl seed",
        lambda o: setting(run_1(o, "Offline"), "qsl_rng_seed", 1),
        "seeds: found requested_qsl_rng_seed 1",
    ),
    Defect(
        "seeds of another round",
        lambda o: setting(run_1(o, "SingleStream"), "schedule_rng_seed", 10051496985653635065),
        "seeds: found requested_schedule_rng_seed 10051496985653635065",
    ),
    Defect(
        "too few Offline samples",
        lambda o: ([entry(run_1(o, "Offline"), f"{kind}_samples_per_query", 1) for kind in ("effective", "generated")]),
        "query counts: found effective_samples_per_query 1,",
    ),
    Defect(
        "too short by its setting",
        lambda o: setting(run_1(o, "Offline"), "min_duration_ms", 1),
        "duration: found requested_min_duration_ms 1,",
    ),
    Defect(
        "too short by the clock",
        lambda o: entry(run_1(o, "SingleStream"), "power_end", value_of(run_1(o, "SingleStream"), "power_begin")),
        "duration: found power_end 0 ms after power_begin",
    ),
    Defect(
        "63 samples in memory",
        lambda o: entry(run_1(o, "SingleStream"), "effective_performance_sample_count", 63),
        "samples in memory: found effective_performance_sample_count 63",
    ),
    Defect(
        "a loaded set of fewer samples",
        lambda o: entry(run_1(o, "Offline"), "loaded_qsl_set", list(range(63))),
        "samples in memory: found samples in loaded_qsl_set 63",
    ),
    Defect(
        "INVALID",
        lambda o: entry(run_1(o, "Offline"), "result_validity", "INVALID"),
        "LoadGen's verdict: found result_validity INVALID",
    ),
    Defect(
        "VALID with a condition that was not met",
        lambda o: entry(run_1(o, "Offline"), "result_min_duration_met", False),
        "LoadGen's verdict: found result_min_duration_met False",
    ),
    Defect(
        "early stopping not met",
        lambda o: entry(run_1(o, "SingleStream"), "early_stopping_met", False),
        "LoadGen's verdict: found early_stopping_met False",
    ),
    Defect("an error entry", lambda o: add_error(run_1(o, "Offline")), "no error entries: found the error entry"),
    Defect(
        "another percentile",
        lambda o: entry(run_1(o, "MultiStream"), "effective_target_latency_percentile", 0.5),
        "latency percentile: found effective_target_latency_percentile 0.5",
    ),
    Defect(
        "4 samples a query in MultiStream",
        lambda o: entry(run_1(o, "MultiStream"), "effective_samples_per_query", 4),
        "query counts: found effective_samples_per_query 4",
    ),
    Defect(
        "a result run with the audit's setting",
        lambda o: setting(run_1(o, "Offline"), "performance_issue_same", True),
        "special settings: found requested_performance_issue_same True",
    ),
    Defect(
        "an accuracy run as performance",
        lambda o: copy_logs(accuracy(o, "Offline"), run_1(o, "Offline")),
        "scenario and mode: found requested_test_mode AccuracyOnly",
    ),
    Defect(
        "logs of another scenario",
        lambda o: copy_over(run_1(o, "SingleStream"), run_1(o, "Offline")),
        "copy of the scenario it is inferred from: found another",
    ),
    Defect(
        "performance of SingleStream under MultiStream, and nothing else of it",
        lambda o: copy_over(run_1(o, "SingleStream"), run_1(o, "MultiStream")),
        "copy of the scenario it is inferred from: found another",
    ),
    Defect(
        "a percentile in the summary changed",
        lambda o: replace(
            summary(run_1(o, "SingleStream")),
            r"(?m)^90\.00 percentile.*$",
            "90.00 percentile latency (ns) : 9",
        ),
        "summary and detail log agree: found 90.00 percentile latency (ns) 9",
    ),
    Defect(
        "a percentile in the detail log changed",
        lambda o: half(run_1(o, "SingleStream"), "result_90.00_percentile_latency_ns"),
        "summary and detail log agree: found 90.00 percentile latency (ns)",
    ),
    Defect(
        "the headline of the summary changed",
        lambda o: replace(summary(run_1(o, "Offline")), r"Samples per second: .*", "Samples per second: 99999"),
        "summary and detail log agree: found Samples per second 99999",
    ),
    Defect(
        "a rate that its latencies do not make, in both logs",
        lambda o: both_rates(run_1(o, "Offline")),
        "rates follow: found result_samples_per_second 99999",
    ),
    Defect(
        "an estimate below what was measured",
        lambda o: entry(run_1(o, "SingleStream"), "early_stopping_latency_ss", 5),
        "estimates follow: found early_stopping_latency_ss 5",
    ),
    Defect(
        "an estimate of its own in MultiStream",
        lambda o: entry(run_1(o, "MultiStream"), "early_stopping_latency_ms", 5),
        "estimates follow: found early_stopping_latency_ms 5",
    ),
    Defect(
        "a key twice",
        lambda o: twice(run_1(o, "Offline"), "result_samples_per_second", 99999.0),
        "one value of each: found result_samples_per_second with",
    ),
    Defect(
        "a summary without its parameters",
        lambda o: replace(summary(run_1(o, "Offline")), r"(?m)^qsl_rng_seed : .*\n", ""),
        "summary and detail log agree: found no line for effective_qsl_rng_seed",
    ),
    Defect(
        "a summary that counts an error",
        lambda o: replace(
            summary(run_1(o, "Offline")),
            "No errors encountered during test.",
            "1 ERROR encountered. See detailed log.",
        ),
        "summary and detail log agree: found 1 errors",
    ),
    Defect(
        "a damaged detail log",
        lambda o: append(run_1(o, "Offline") / "mlperf_log_detail.txt", ":::MLLOG {\n"),
        "logs can be read: found line",
    ),
    Defect(
        "a detail log that is empty",
        lambda o: (run_1(o, "Offline") / "mlperf_log_detail.txt").write_text(""),
        "required files: found an empty file",
    ),
    # accuracy
    Defect("an untruncated log", untruncated, "accuracy log: found"),
    Defect(
        "the hash of another log",
        lambda o: replace(txt(o, "Offline"), r"hash=\w+", f"hash={'0' * 64}"),
        "hash of the accuracy log: found hash=0000",
    ),
    Defect(
        "a hash that is none",
        lambda o: replace(txt(o, "Offline"), r"hash=\w+", "hash=1234"),
        "hash of the accuracy log: found hash=1234",
    ),
    Defect(
        "no hash",
        lambda o: replace(txt(o, "Offline"), r"hash=\w+\n", ""),
        "hash of the accuracy log: found no hash= line",
    ),
    Defect(
        "mAP as a fraction",
        lambda o: replace(txt(o, "Offline"), r"mAP=[\d.]+%", "mAP=0.221%"),
        "accuracy: found mAP=0.221%",
    ),
    Defect(
        "mAP above what COCO's line says",
        lambda o: replace(txt(o, "Offline"), r"mAP=[\d.]+%", "mAP=22.9%"),
        "accuracy: found mAP=22.9%",
    ),
    Defect(
        "mAP below the gate",
        lambda o: (
            [
                replace(txt(o, "Offline"), r"mAP=[\d.]+%", "mAP=19.700%"),
                replace(txt(o, "Offline"), r"(maxDets=100 \] = )[\d.]+", "maxDets=100 ] = 0.197"),
            ]
        ),
        "accuracy: found mAP=19.7%, required at least 19.8 percent",
    ),
    Defect(
        "no mAP",
        lambda o: replace(txt(o, "Offline"), r"mAP=.*\n", ""),
        "accuracy: found 0 lines mAP=",
    ),
    Defect("an accuracy log of fewer images", fewer_images, "accuracy log: found 2 images"),
    Defect("an accuracy run of fewer images", fewer_images_loaded, "every image: found images loaded"),
    Defect(
        "an accuracy run of another dataset",
        lambda o: entry(accuracy(o, "Offline"), "qsl_reported_total_count", 4999),
        "every image: found qsl_reported_total_count 4999",
    ),
    Defect(
        "a performance run as accuracy",
        lambda o: copy_logs(run_1(o, "Offline"), accuracy(o, "Offline")),
        "mode: found requested_test_mode PerformanceOnly",
    ),
    Defect(
        "an error entry in the accuracy run", lambda o: add_error(accuracy(o, "Offline")), "no error entries: found"
    ),
    Defect(
        "the accuracy run with other seeds",
        lambda o: setting_in_detail(accuracy(o, "Offline"), "qsl_rng_seed", 7),
        "seeds: found requested_qsl_rng_seed 7",
    ),
    Defect(
        "no accuracy.txt",
        lambda o: (txt(o, "Offline")).unlink(),
        "Offline/accuracy/accuracy.txt: required files: found nothing",
    ),
    Defect(
        "an accuracy log of something else",
        lambda o: (accuracy(o, "Offline") / "mlperf_log_accuracy.json").write_text("{}"),
        "accuracy log: found record 1",
    ),
    # systems
    Defect(
        "a system field missing",
        lambda o: edit_json(system_json(o), cooling=None),
        "system fields: found cooling nothing",
    ),
    Defect("a bad status", lambda o: edit_json(system_json(o), status="soon"), 'system fields: found status "soon"'),
    Defect(
        "a bad system type",
        lambda o: edit_json(system_json(o), system_type="phone"),
        'system fields: found system_type "phone"',
    ),
    Defect(
        "another submitter",
        lambda o: edit_json(system_json(o), submitter="Somebody"),
        'division and submitter: found submitter "Somebody"',
    ),
    Defect(
        "another division",
        lambda o: edit_json(system_json(o), division="open"),
        'division and submitter: found division "open"',
    ),
    Defect("unreadable JSON", lambda o: append(system_json(o), "}"), "system fields: found cannot be read"),
    Defect(
        "a system that is not ASCII",
        lambda o: replace(system_json(o), r'"cooling": "[^"]*"', '"cooling": "W\u00e4rme"'),
        "system fields: found cooling",
    ),
    Defect(
        "the type of a datacenter without its scenarios",
        lambda o: edit_json(system_json(o), system_type="datacenter"),
        "required scenarios: found nothing, required Server",
    ),
    Defect(
        "no systems JSON",
        lambda o: system_json(o).rename(o / "systems" / "x.json"),
        "required files: found nothing",
    ),
    # measurements and code
    Defect(
        "a measurement field missing",
        lambda o: edit_json(implementation_json(o, "Offline"), retraining=None),
        "implementation fields: found retraining null",
    ),
    Defect(
        "a measurement of another scenario",
        lambda o: implementation_json(o, "Offline").rename(measurements(o, "Offline") / "x_y_Server.json"),
        "required files: found nothing",
    ),
    Defect(
        "no README",
        lambda o: (measurements(o, "Offline") / "README.md").unlink(),
        "Offline/README.md: required files: found nothing",
    ),
    Defect(
        "an empty user.conf",
        lambda o: (measurements(o, "Offline") / "user.conf").write_text(""),
        "Offline/user.conf: required files: found an empty file",
    ),
    Defect(
        "a user.conf of another run",
        lambda o: replace(measurements(o, "Offline") / "user.conf", r"target_qps = .*", "target_qps = 1"),
        "user.conf: found target_qps 1,",
    ),
    Defect(
        "a user.conf with seeds",
        lambda o: append(measurements(o, "Offline") / "user.conf", f"{BENCHMARK}.Offline.qsl_rng_seed = 1\n"),
        "user.conf: found the key qsl_rng_seed",
    ),
    Defect(
        "a user.conf that LoadGen ignores",
        lambda o: replace(measurements(o, "Offline") / "user.conf", r"target_qps = ", "target_qps="),
        "which LoadGen ignores",
    ),
    Defect(
        "an mlperf.conf of another round",
        lambda o: replace(measurements(o, "Offline") / "mlperf.conf", r"qsl_rng_seed = \d+", "qsl_rng_seed = 3"),
        "mlperf.conf: found qsl_rng_seed 3",
    ),
    Defect("no code", lambda o: shutil.rmtree(o / "code"), "code: found nothing"),
    Defect("an empty code folder", empty_code, "code: found nothing"),
    # compliance
    Defect(
        "a compliance test missing",
        lambda o: shutil.rmtree(compliance(o, "Offline", "TEST05")),
        "Offline/TEST05: required files: found nothing",
    ),
    Defect("no compliance", lambda o: shutil.rmtree(o / "compliance"), "TEST01: required files: found nothing"),
    Defect(
        "TEST05 with the round's seeds",
        lambda o: (
            [
                setting(
                    logs_of(o, "Offline", "TEST05"),
                    f"{name}_rng_seed",
                    value_of(run_1(o, "Offline"), f"effective_{name}_rng_seed"),
                )
                for name in ("qsl", "sample_index", "schedule")
            ]
        ),
        "TEST05/performance/run_1/mlperf_log_detail.txt: seeds: found requested_qsl_rng_seed",
    ),
    Defect(
        "TEST01 without sampling",
        lambda o: setting(logs_of(o, "Offline", "TEST01"), "accuracy_log_sampling_target", 0),
        "special settings: found requested_accuracy_log_sampling_target 0",
    ),
    Defect(
        "TEST04-B of different samples",
        lambda o: setting(logs_of(o, "Offline", "TEST04-B"), "performance_issue_same", False),
        "special settings: found requested_performance_issue_same False",
    ),
    Defect(
        "compliance performance out of bounds",
        lambda o: entry(logs_of(o, "SingleStream", "TEST05"), "result_90.00_percentile_latency_ns", 1000),
        "performance of the compliance test: found result_90.00_percentile_latency_ns",
    ),
    Defect(
        "a verification that failed",
        lambda o: replace(
            compliance(o, "Offline", "TEST01") / "verify_performance.txt", "TEST PASS", "TEST FAIL: score"
        ),
        "verify_performance.txt: found no line TEST PASS",
    ),
    Defect(
        "a verification of other figures",
        lambda o: replace(
            compliance(o, "Offline", "TEST01") / "verify_performance.txt",
            r"(?m)^(reference score = ).*",
            "reference score = 1",
        ),
        "verify_performance.txt: found reference score 1",
    ),
    Defect(
        "answers that differ",
        lambda o: replace(compliance(o, "Offline", "TEST01") / "verify_accuracy.txt", "TEST PASS", "TEST FAIL"),
        "verify_accuracy.txt: found no line TEST PASS",
    ),
    Defect(
        "the run's own logs as a compliance test's",
        lambda o: copy_logs(run_1(o, "Offline"), logs_of(o, "Offline", "TEST05")),
        "a run of its own: found the logs of performance",
    ),
    Defect(
        "an error entry in a compliance test",
        lambda o: add_error(logs_of(o, "Offline", "TEST05")),
        "TEST05/performance/run_1/mlperf_log_detail.txt: no error entries",
    ),
    Defect(
        "an INVALID compliance test",
        lambda o: entry(logs_of(o, "Offline", "TEST05"), "result_validity", "INVALID"),
        "TEST05/performance/run_1/mlperf_log_detail.txt: LoadGen's verdict",
    ),
    # layout
    Defect(
        "an extra file",
        lambda o: (run_1(o, "Offline") / "notes.txt").write_text("x"),
        "only files that belong there",
    ),
    Defect(
        "a second run",
        lambda o: copy_to(run_1(o, "Offline"), "run_2"),
        "run_2/mlperf_log_detail.txt: only files that belong",
    ),
    Defect(
        "a hidden file", lambda o: (o / ".DS_Store").write_text("x"), ".DS_Store: only files that belong there", "WARN"
    ),
    Defect(
        "an empty folder",
        lambda o: (results(o, "Offline") / "power").mkdir(),
        "power: only files that belong there",
        "WARN",
    ),
    Defect(
        "a scenario in lower case",
        lambda o: results(o, "Offline").rename(results(o, "offline")),
        "names of scenarios: found a folder offline, required Offline",
        "WARN",
    ),
    Defect(
        "a benchmark that there is not",
        lambda o: (o / "results" / system_of(o) / BENCHMARK).rename(o / "results" / system_of(o) / "ssd-resnet43"),
        "ssd-resnet43",
    ),
    Defect(
        "a scenario missing",
        lambda o: drop(o, "SingleStream"),
        "required scenarios: found nothing, required SingleStream",
    ),
    Defect(
        "a symbolic link",
        lambda o: link(txt(o, "Offline"), txt(o, "SingleStream")),
        "no links: found a symbolic link",
    ),
    Defect(
        "a name that is not ASCII",
        lambda o: (o / "code" / BENCHMARK / "\u00fcber.py").write_text("x"),
        "plain names: found a name with odd characters",
        "WARN",
    ),
    Defect("a division that there is not", lambda o: copy_to(o.parent, "Closed"), "Closed/"),
    Defect(
        "measurements of a scenario without results",
        lambda o: shutil.rmtree(results(o, "Offline")),
        "Offline: only files that belong there: found files of a scenario without results",
        "WARN",
    ),
    Defect(
        "a system's folder without its JSON",
        lambda o: copy_to(o / "results" / system_of(o), "other"),
        "systems/other.json: required files: found nothing",
    ),
    Defect(
        "a compliance test that there is not",
        lambda o: copy_to(compliance(o, "Offline", "TEST05"), "TEST06"),
        "TEST06/verify_performance.txt: only files that belong there",
    ),
    # what follows from other figures, and files that look right
    Defect(
        "times that are not there",
        lambda o: drop_entry(run_1(o, "Offline"), "power_end"),
        "duration: found no power_begin and power_end",
    ),
    Defect(
        "no count of the queries",
        lambda o: drop_entry(run_1(o, "SingleStream"), "result_query_count"),
        "query counts: found result_query_count nothing",
    ),
    Defect(
        "latencies that do not fill the time",
        lambda o: entry(run_1(o, "MultiStream"), "result_query_count", 5),
        "latencies fill the time: found",
    ),
    Defect(
        "early stopping in other words in the summary",
        lambda o: replace(summary(run_1(o, "SingleStream")), r"Would discard \d+", "Would discard 98765"),
        "summary and detail log agree: found early stopping",
    ),
    Defect(
        "results in the accuracy run's summary",
        lambda o: append(summary(accuracy(o, "Offline")), "Samples per second: 5\n"),
        "summary and detail log agree: found the line 'Samples per second'",
    ),
    Defect(
        "the accuracy log of another run",
        lambda o: entry(accuracy(o, "Offline"), "loaded_qsl_set", list(range(5000, 5064))),
        "required an image of the first loaded_qsl_set",
    ),
    Defect(
        "answers in a performance test's folder",
        lambda o: write(run_1(o, "Offline") / "mlperf_log_accuracy.json", '[\n{ "seq_id" : 0 }\n]\n'),
        "performance logs without records: found records",
    ),
    Defect(
        "SingleStream's compliance under MultiStream",
        lambda o: copy_over(compliance(o, "SingleStream", "TEST05"), compliance(o, "MultiStream", "TEST05")),
        "the run's scenario: found effective_scenario SingleStream, required MultiStream",
    ),
    Defect(
        "a verification that passes and fails",
        lambda o: append(compliance(o, "Offline", "TEST01") / "verify_accuracy.txt", "TEST FAIL\n"),
        "verify_accuracy.txt: found",
    ),
    Defect(
        "answers compared with those of fewer images",
        lambda o: append(compliance(o, "Offline", "TEST01") / "verify_accuracy.txt", "num_acc_log_entries = 5\n"),
        "verify_accuracy.txt: found num_acc_log_entries 5",
    ),
    Defect(
        "two implementations",
        lambda o: shutil.copyfile(
            implementation_json(o, "Offline"), measurements(o, "Offline") / f"{system_of(o)}_other_Offline.json"
        ),
        "implementation fields: found 2 implementation files",
    ),
    Defect(
        "measurements that name other code",
        lambda o: move(implementation_json(o, "Offline"), f"{system_of(o)}_other_Offline.json"),
        "code: found code, but none called other",
        "WARN",
    ),
    Defect(
        "a key twice in a systems JSON",
        lambda o: replace(system_json(o), r'"cooling":', '"cooling": "", "cooling":'),
        "system fields: found cannot be read: the key 'cooling' is there twice",
    ),
    Defect(
        "a system field of a name that there is not",
        lambda o: edit_json(system_json(o), colour="red"),
        "system fields: found colour, of which the round does not know",
        "WARN",
    ),
    Defect(
        "answers of another device in a compliance test",
        lambda o: replace(
            compliance(o, "Offline", "TEST01") / "accuracy" / "mlperf_log_accuracy.json", r"0000803F\"", '00000040"'
        ),
        "TEST01/accuracy/mlperf_log_accuracy.json: files as they were built: found",
    ),
    Defect(
        "a log that agrees with itself and was edited all the same",
        lambda o: entry(run_1(o, "Offline"), "loadgen_git_log_message", "another"),
        "files as they were built: found a file that was changed",
    ),
    Defect(
        "a user.conf without its target",
        lambda o: replace(measurements(o, "Offline") / "user.conf", r"(?m)^.*target_qps = .*\n", ""),
        "user.conf: found target_qps nothing, and ",
        "WARN",
    ),
    Defect(
        "retraining in the closed division",
        lambda o: edit_json(implementation_json(o, "Offline"), retraining="Yes"),
        'implementation fields: found retraining "Yes", required none',
    ),
]
