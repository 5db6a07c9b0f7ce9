"""Edits of a submission tree below ``closed/ORG``, for tests that plant a defect."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from tests.support.made_logs import log_text, rows

BENCHMARK = "ssd-resnet34"
LOGS = ("mlperf_log_detail.txt", "mlperf_log_summary.txt")


def system_of(owner: Path) -> str:
    return next((owner / "systems").glob("*.json"), Path("simulated")).stem


def results(owner: Path, scenario: str) -> Path:
    return owner / "results" / system_of(owner) / BENCHMARK / scenario


def run_1(owner: Path, scenario: str) -> Path:
    return results(owner, scenario) / "performance" / "run_1"


def accuracy(owner: Path, scenario: str) -> Path:
    return results(owner, scenario) / "accuracy"


def measurements(owner: Path, scenario: str) -> Path:
    return owner / "measurements" / system_of(owner) / BENCHMARK / scenario


def compliance(owner: Path, scenario: str, test: str) -> Path:
    return owner / "compliance" / system_of(owner) / BENCHMARK / scenario / test


def entry(folder: Path, key: str, value: Any) -> None:
    """Gives a key of a detail log another value, wherever it is."""
    path = folder / "mlperf_log_detail.txt"
    lines = path.read_text().splitlines()
    changed = [with_value(line, value) if f'"key": "{key}"' in line else line for line in lines]
    assert changed != lines, f"no {key} with another value in {path}"
    path.write_text("\n".join(changed) + "\n")


def with_value(line: str, value: Any) -> str:
    """A line of a detail log with another value."""
    return f":::MLLOG {json.dumps({**json.loads(line.removeprefix(':::MLLOG ')), 'value': value})}"


def value_of(folder: Path, key: str) -> Any:
    """The last value of a key of a detail log."""
    lines = (folder / "mlperf_log_detail.txt").read_text().splitlines()
    return [json.loads(line[9:])["value"] for line in lines if f'"key": "{key}"' in line][-1]


def setting(folder: Path, key: str, value: Any) -> None:
    """Changes a setting as a test run with it would have it: as requested, as used, and in the summary."""
    entry(folder, f"requested_{key}", value)
    entry(folder, f"effective_{key}", value)
    name = re.sub(r"_(ms|ns)$", r" (\1)", key)
    replace(folder / "mlperf_log_summary.txt", rf"(?m)^{re.escape(name)} ?: .*$", f"{name} : {int(value)}")


def replace(path: Path, pattern: str, new: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, lambda _: new, text)
    assert changed != text, f"{pattern} changes nothing in {path}"
    path.write_text(changed)


def add_error(folder: Path) -> None:
    path = folder / "mlperf_log_detail.txt"
    metadata = {"is_error": True, "is_warning": False}
    path.write_text(
        path.read_text()
        + ":::MLLOG "
        + json.dumps({"key": "error_runtime", "value": "planted", "metadata": metadata})
        + "\n"
    )


def edit_json(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            del data[key]
        else:
            data[key] = value
    path.write_text(json.dumps(data, indent=2))


def system_json(owner: Path) -> Path:
    return owner / "systems" / f"{system_of(owner)}.json"


def implementation_json(owner: Path, scenario: str) -> Path:
    return next(measurements(owner, scenario).glob("*.json"))


def untruncated(owner: Path) -> None:
    path = accuracy(owner, "Offline") / "mlperf_log_accuracy.json"
    path.write_text(log_text([(k, rows(k, (0.1, 0.1, 0.9, 0.9, 0.5, 1.0))) for k in range(400)]))


def fewer_images(owner: Path) -> None:
    path = accuracy(owner, "Offline") / "mlperf_log_accuracy.json"
    path.write_text(
        '[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "" },\n{ "seq_id" : 1, "qsl_idx" : 1, "data" : "" }\n]\n'
    )


def fewer_images_loaded(owner: Path) -> None:
    path = accuracy(owner, "Offline") / "mlperf_log_detail.txt"
    lines = path.read_text().splitlines(keepends=True)
    loaded = [k for k, line in enumerate(lines) if '"key": "loaded_qsl_set"' in line]
    del lines[loaded[-1]]
    path.write_text("".join(lines))


def half(folder: Path, key: str) -> None:
    """A figure that is half of what it was, in both logs."""
    was = value_of(folder, key)
    entry(folder, key, was / 2 if isinstance(was, float) else was // 2)


def swap(one: Path, other: Path) -> None:
    kept = one.with_name("kept")
    one.rename(kept)
    other.rename(one)
    kept.rename(other)


def copy_over(source: Path, target: Path) -> None:
    shutil.rmtree(target)
    shutil.copytree(source, target)


def logs_of(owner: Path, scenario: str, test: str) -> Path:
    return compliance(owner, scenario, test) / "performance" / "run_1"


def both_rates(folder: Path) -> None:
    entry(folder, "result_samples_per_second", 99999.0)
    replace(folder / "mlperf_log_summary.txt", r"Samples per second: .*", "Samples per second: 99999")


def twice(folder: Path, key: str, value: Any) -> None:
    path = folder / "mlperf_log_detail.txt"
    line = next(line for line in path.read_text().splitlines() if f'"key": "{key}"' in line)
    path.write_text(f"{with_value(line, value)}\n{path.read_text()}")


def setting_in_detail(folder: Path, key: str, value: Any) -> None:
    entry(folder, f"requested_{key}", value)
    entry(folder, f"effective_{key}", value)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def empty_code(owner: Path) -> None:
    for path in (owner / "code" / BENCHMARK).iterdir():
        shutil.rmtree(path)
        path.mkdir()


def copy_to(source: Path, name: str) -> None:
    shutil.copytree(source, source.with_name(name))


def drop(owner: Path, scenario: str) -> None:
    for folder in (
        results(owner, scenario),
        measurements(owner, scenario),
        compliance(owner, scenario, "TEST01").parent,
    ):
        shutil.rmtree(folder)


def link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(os.path.relpath(target, path.parent))


def copy_logs(source: Path, target: Path) -> None:
    """LoadGen's two logs of one test in the place of another's."""
    for name in LOGS:
        shutil.copyfile(source / name, target / name)


def summary(folder: Path) -> Path:
    return folder / "mlperf_log_summary.txt"


def txt(owner: Path, scenario: str) -> Path:
    return accuracy(owner, scenario) / "accuracy.txt"


def move(source: Path, name: str) -> None:
    source.rename(source.with_name(name))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def drop_entry(folder: Path, key: str) -> None:
    """Removes a key from a detail log."""
    path = folder / "mlperf_log_detail.txt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if f'"key": "{key}"' not in line))
