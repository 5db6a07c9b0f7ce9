"""``mlperf.conf`` and ``user.conf``: ``model.scenario.key = value`` lines, read, looked up and written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LogError
from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import Round

_LINE = re.compile(r"^\s*([^\s.=#]+)\.([^\s.=#]+)\.([^\s=#]+)\s+=\s+(\S+)\s*(?:#.*)?$")


@dataclass(frozen=True)
class LoadGenConf:
    """What a LoadGen configuration file says.

    Attributes:
    entries: (model, scenario, key, value) in the file's order; model and scenario may be ``*``.
    ignored: lines that LoadGen does not understand, with their numbers.
    """

    entries: tuple[tuple[str, str, str, str], ...]
    ignored: tuple[tuple[int, str], ...]

    def settings(self, model: str, scenario: str) -> dict[str, str]:
        """Key → value for one model and scenario.

        LoadGen looks for the exact names first, then for ``*.Scenario.key``, ``model.*.key`` and ``*.*.key``.
        """
        found: dict[str, tuple[int, str]] = {}
        for of_model, of_scenario, key, value in self.entries:
            if of_model in (model, "*") and of_scenario in (scenario, "*"):
                rank = (of_model == model) + 2 * (of_scenario == scenario)
                if rank >= found.get(key, (0, ""))[0]:
                    found[key] = (rank, value)
        return {key: value for key, (_, value) in found.items()}


def read_conf(path: Path) -> LoadGenConf:
    """Reads a configuration file of LoadGen.

    Raises:
        LogError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise LogError(f"cannot be read: {error.strerror}", where=str(path)) from error
    entries, ignored = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match:
            entries.append((match[1], match[2], match[3], match[4]))
        else:
            ignored.append((number, line.strip()))
    return LoadGenConf(tuple(entries), tuple(ignored))


def mlperf_conf(round_: Round) -> str:
    """The round's mlperf.conf, as far as its data go: seeds, and every benchmark's lengths and percentiles."""
    lines = [
        f"# MLPerf Inference {round_.round}, from the round's data in ssd-harness; source: {round_.sources['conf']}",
        *(f"*.*.{name}_rng_seed = {value}" for name, value in round_.seeds.model_dump().items()),
    ]
    for benchmark, rules in round_.benchmarks.items():
        lines.append(f"{benchmark}.*.performance_sample_count_override = {rules.performance_sample_count}")
        for scenario, needed in rules.scenarios.items():
            values: dict[str, float] = {
                "min_duration": needed.min_duration_s * 1000,
                "min_query_count": needed.min_queries,
            }
            if needed.latency_percentile is not None:
                values["target_latency_percentile"] = needed.latency_percentile * 100
            if needed.samples_per_query > 1:
                values["samples_per_query"] = needed.samples_per_query
            bound_ms = needed.latency_ms or needed.expected_latency_ms
            if bound_ms is not None:
                values["target_latency"] = bound_ms
            prefix = f"{benchmark}.{LOADGEN_SCENARIOS[scenario]}"
            lines += [f"{prefix}.{key} = {value:.10g}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
