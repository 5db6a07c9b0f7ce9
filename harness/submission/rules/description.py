"""What a submission says in words and settings: systems/, measurements/ and code/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from harness.errors import UsageError
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import ScenarioRules
from harness.submission.loadgen_conf import LoadGenConf, read_conf
from harness.submission.path_pattern import fill, match_path
from harness.submission.rules.finding import Problem, Rule
from harness.submission.rules.loadgen_test import LoadGenTest, shown
from harness.submission.system_description import read_json_object, system_errors
from harness.submission.tree import Place, SubmissionTree, folder_rules

_REQUESTED = {
    "min_duration": "min_duration_ms",
    "max_duration": "max_duration_ms",
    "min_query_count": "min_query_count",
    "max_query_count": "max_query_count",
    "performance_sample_count_override": "performance_sample_count_override",
    "sample_concatenate_permutation": "sample_concatenate_permutation",
}
"""user.conf's keys → the detail log's, after ``requested_``, in every scenario."""
_OF_SCENARIO: dict[str, dict[str, tuple[str, float]]] = {
    "single_stream": {
        "target_latency": ("single_stream_expected_latency_ns", 1e6),
        "target_latency_percentile": ("single_stream_target_latency_percentile", 0.01),
    },
    "multi_stream": {
        "target_latency": ("multi_stream_expected_latency_ns", 1e6),
        "target_latency_percentile": ("multi_stream_target_latency_percentile", 0.01),
        "samples_per_query": ("multi_stream_samples_per_query", 1),
    },
    "server": {
        "target_latency": ("server_target_latency_ns", 1e6),
        "target_latency_percentile": ("server_target_latency_percentile", 0.01),
        "target_qps": ("server_target_qps", 1),
    },
    "offline": {"target_qps": ("offline_expected_qps", 1)},
}
"""Likewise in one scenario, with the factor from user.conf's unit to the log's."""
_RETRAINED = ("y", "yes", "true")
_ALWAYS = {
    "single_stream": ("target_latency",),
    "multi_stream": ("target_latency",),
    "server": ("target_qps",),
    "offline": ("target_qps",),
}
"""What each system says for itself: it must be in one of the two files."""
_OF_THE_ROUND = {"mode", "accuracy_log_rng_seed", "accuracy_log_probability", "accuracy_log_sampling_target"}
_UNLOGGED = {"coalesce_queries", "max_async_queries", "target_duration", "target_latency_percentile"}


@dataclass(frozen=True)
class System:
    """One systems JSON: the tree it is in, its ``DIVISION/SUBMITTER`` and the name of its file."""

    tree: SubmissionTree
    owner: str
    name: str

    @property
    def path(self) -> str:
        """The system description's path from the tree's root."""
        return f"{self.owner}/systems/{self.name}.json"


def system_fields(system: System) -> Iterator[Problem]:
    """Every field is there and has a value that the round takes."""
    try:
        data = read_json_object(system.tree.root / system.path)
    except UsageError as error:
        yield Problem(system.path, error.what, "a JSON object", "mend the file; `ssd-harness doctor system` writes one")
        return
    for wrong in system_errors(data, system.tree.round.submission):
        if wrong.unknown:
            found = f"{wrong.field}, of which the round does not know"
            yield Problem(
                system.path, found, "its own fields", f"remove {wrong.field}, or see that it is spelled right", "WARN"
            )
            continue
        yield Problem(system.path, f"{wrong.field} {wrong.found}", wrong.required, f"mend the field {wrong.field}")


def system_owner(system: System) -> Iterator[Problem]:
    """The folders' division and submitter."""
    try:
        data = read_json_object(system.tree.root / system.path)
    except UsageError:
        return  # `system_fields` says so
    division, submitter = system.owner.split("/")
    for field, folder in (("division", division), ("submitter", submitter)):
        found = data.get(field)
        if isinstance(found, str) and found.lower() != folder.lower():  # as the official checker compares
            yield Problem(system.path, f"{field} {json.dumps(found)}", f"{folder!r} as the folder", "make them equal")


SYSTEM_RULES: dict[str, Rule[System]] = {"system fields": system_fields, "division and submitter": system_owner}


@dataclass(frozen=True)
class Measurement:
    """The measurements of a place, and its performance test where its logs can be read."""

    tree: SubmissionTree
    place: Place
    test: LoadGenTest | None

    @property
    def folder(self) -> str:
        """The folder's path from the tree's root."""
        return self.tree.folder("measurements", self.place)

    def implementations(self) -> list[tuple[str, str]]:
        """(path, implementation) of the JSON files that describe it; "" where the name does not say which it is."""
        place = self.place
        known = {"system": place.system, "benchmark": place.benchmark, "scenario": place.folder}
        rules = folder_rules(self.tree.round, "measurements")
        found = []
        for pattern in rules.files or ():
            if pattern.endswith(".json"):
                for path in self.tree.below(self.folder):
                    if match_path(f"{self.folder}/{fill(pattern, **known)}", path) is not None:
                        fields = match_path(f"{self.folder}/{fill(rules.described or pattern, **known)}", path) or {}
                        found.append((path, fields.get("implementation", "")))
        return found


def implementation_fields(measurement: Measurement) -> Iterator[Problem]:
    """One JSON file describes the implementation, with every field of the round."""
    found = measurement.implementations()
    if len(found) > 1:
        yield Problem(
            measurement.folder, f"{len(found)} implementation files", "one", "remove what is not of this result"
        )
    for path, _ in found:
        try:
            data = read_json_object(measurement.tree.root / path)
        except UsageError as error:
            yield Problem(path, error.what, "a JSON object", "mend the file")
            continue
        for field in measurement.tree.round.submission.implementation_fields:
            value = data.get(field)
            if not isinstance(value, str) or not value.strip() or not value.isascii():
                yield Problem(path, f"{field} {json.dumps(value)}", "a text in ASCII", f"fill in {field}")
        if measurement.place.division == "closed" and str(data.get("retraining", "")).strip().lower() in _RETRAINED:
            remedy = "submit to the open division, or use the round's weights"
            yield Problem(path, f"retraining {json.dumps(data['retraining'])}", "none in the closed division", remedy)
        for field in sorted(set(data) - set(measurement.tree.round.submission.implementation_fields)):
            yield Problem(path, f"a field {field!r}", "no such field", "remove it", "WARN")


def code(measurement: Measurement) -> Iterator[Problem]:
    """The code that the measurements name is there."""
    for path, implementation in measurement.implementations():
        pattern = folder_rules(measurement.tree.round, "code").path
        of_benchmark = pattern.removesuffix("/{implementation}")
        names = {"benchmark": measurement.place.benchmark, "implementation": implementation}
        folder, whole = (f"{measurement.place.owner}/{fill(path, **names)}" for path in (pattern, of_benchmark))
        files = measurement.tree.below(folder)
        if not files and measurement.tree.below(whole):
            if implementation:
                remedy = f"name its folder {PurePosixPath(folder).name}, or the file after the folder"
                found = f"code, but none called {implementation}"
                yield Problem(whole, found, f"that of {PurePosixPath(path).name}", remedy, "WARN")
            files = measurement.tree.below(whole)
        if not any(
            (measurement.tree.root / file).stat().st_size for file in files if PurePosixPath(file).name[0] != "."
        ):
            found = "no file with anything in it" if files else "nothing"
            yield Problem(folder, found, f"the code of {PurePosixPath(path).name}", "put the code there")


def round_settings(measurement: Measurement) -> Iterator[Problem]:
    """mlperf.conf is the round's: its seeds, and no counts or durations below its own."""
    path = f"{measurement.folder}/mlperf.conf"
    conf = _conf(measurement, path)
    if conf is None:
        return
    yield from _ignored(path, conf)
    remedy = "take the round's mlperf.conf, unchanged"
    scenario = LOADGEN_SCENARIOS[measurement.place.scenario]
    settings = conf.settings(_loadgen_model(measurement), scenario)
    for name, value in measurement.tree.round.seeds.model_dump().items():
        found = settings.get(f"{name}_rng_seed")
        if found != str(value):
            yield Problem(path, f"{name}_rng_seed {shown(found)}", f"{value} of the round", remedy)
    for key, needed in _minima(
        measurement, measurement.tree.rules(measurement.place).scenario(measurement.place.scenario)
    ).items():
        found = settings.get(key)
        if found is not None and not _number(found) >= needed:
            yield Problem(path, f"{key} {found}", f"at least {needed:g}", remedy)


def user_settings(measurement: Measurement) -> Iterator[Problem]:
    """user.conf is what the test was run with, and sets nothing that is the round's to set."""
    path = f"{measurement.folder}/user.conf"
    conf = _conf(measurement, path)
    if conf is None or measurement.test is None:
        return
    yield from _ignored(path, conf)
    scenario = LOADGEN_SCENARIOS[measurement.test.scenario]
    settings = conf.settings(_loadgen_model(measurement), scenario)
    if not settings:
        remedy = "put the user.conf there that the test was run with"
        yield Problem(path, "no setting", f"{_loadgen_model(measurement)}.{scenario}.… = …", remedy)
    logged = {**{k: (v, 1.0) for k, v in _REQUESTED.items()}, **_OF_SCENARIO[measurement.test.scenario]}
    for key in settings:
        if key.endswith("_rng_seed") or key in _OF_THE_ROUND:
            yield Problem(path, f"the key {key}", "only a system's own settings", "remove it and run again without it")
        elif key not in logged and key not in _UNLOGGED:
            remedy = "remove it; LoadGen does not know it"
            yield Problem(path, f"the key {key}", "only a system's own settings", remedy, "WARN")
    # what user.conf does not say is mlperf.conf's
    round_conf = _conf(measurement, f"{measurement.folder}/mlperf.conf")
    below = {} if round_conf is None else round_conf.settings(_loadgen_model(measurement), scenario)
    for key, (name, factor) in logged.items():
        text = settings.get(key, below.get(key))
        found = measurement.test.detail.values.get(f"requested_{name}")
        if text is None and key not in _ALWAYS.get(measurement.test.scenario, ()):
            continue
        if text is None or not _same(_number(text) * factor, found):
            here = text if key in settings else f"nothing, and {shown(text)} in mlperf.conf"
            required = f"{_in_conf(found, factor)} as requested_{name} in the detail log"
            remedy = "put the user.conf there that the test was run with"
            # what neither file says may have been set by the harness that was run
            level: Literal["FAIL", "WARN"] = "FAIL" if key in settings else "WARN"
            yield Problem(path, f"{key} {here}", required, remedy, level)
    for key, needed in _minima(measurement, measurement.test.rules).items():
        if key in settings and not _number(settings[key]) >= needed:
            found, short = f"{key} {settings[key]}", _number(settings[key]) < needed
            yield Problem(path, found, f"at least {needed:g}", "run again with the round's", short=short)


RULES: dict[str, Rule[Measurement]] = {
    "implementation fields": implementation_fields,
    "code": code,
    "mlperf.conf": round_settings,
    "user.conf": user_settings,
}


def _loadgen_model(measurement: Measurement) -> str:
    """LoadGen's name of the benchmark in its configuration files."""
    return measurement.tree.rules(measurement.place).loadgen_model or measurement.place.benchmark


def _conf(measurement: Measurement, path: str) -> LoadGenConf | None:
    """None where the file is missing, which the layout's rules say."""
    return read_conf(measurement.tree.root / path) if path in measurement.tree.there else None


def _ignored(path: str, conf: LoadGenConf) -> Iterator[Problem]:
    for number, line in conf.ignored:
        required = "model.scenario.key = value, with the spaces"
        yield Problem(path, f"line {number} {line!r}, which LoadGen ignores", required, "mend the line and run again")


def _minima(measurement: Measurement, rules: ScenarioRules) -> dict[str, float]:
    """The least that a scenario's counts and durations may be."""
    return {
        "min_duration": rules.min_duration_s * 1000,
        "min_query_count": rules.min_queries,
        "performance_sample_count_override": measurement.tree.rules(measurement.place).performance_sample_count,
    }


def _in_conf(found: object, factor: float) -> str:
    """A value of the detail log as user.conf would have it: latencies in milliseconds, percentiles in percent."""
    return f"{found / factor:.10g}" if isinstance(found, (int, float)) else shown(found)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _same(value: float, found: object) -> bool:
    """As far as LoadGen prints it: six significant digits."""
    return isinstance(found, (int, float)) and abs(value - found) <= 1e-5 * max(abs(value), abs(found))
