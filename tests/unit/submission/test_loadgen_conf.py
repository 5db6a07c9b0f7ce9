"""mlperf.conf and user.conf are read as LoadGen reads them."""

from __future__ import annotations

from pathlib import Path

import mlperf_loadgen as lg
import pytest

from harness.loadgen.plan import LOADGEN_SCENARIOS
from harness.rounds import load_round
from harness.submission.loadgen_conf import mlperf_conf, read_conf


def written(folder: Path, text: str) -> Path:
    path = folder / "user.conf"
    path.write_text(text)
    return path


def test_a_name_counts_for_more_than_a_star_and_a_later_line_for_more_than_an_earlier(tmp_path: Path) -> None:
    conf = read_conf(
        written(
            tmp_path,
            "# a remark\n\n*.*.min_duration = 1\nssd.*.min_duration = 2\n*.Offline.min_duration = 3\n"
            "ssd.Offline.target_qps = 4\nssd.Offline.target_qps = 5\nother.Offline.target_qps = 6\n",
        )
    )
    # the exact names first, then the scenario's, then the model's: measured with LoadGen 6.0.17
    assert conf.settings("ssd", "Offline") == {"min_duration": "3", "target_qps": "5"}
    assert conf.settings("ssd", "Server") == {"min_duration": "2"}
    assert conf.settings("resnet", "Offline") == {"min_duration": "3"}
    assert conf.settings("resnet", "Server") == {"min_duration": "1"}
    assert conf.ignored == ()


def test_lines_that_loadgen_ignores_are_named(tmp_path: Path) -> None:
    # without the spaces LoadGen says nothing and takes the default
    assert read_conf(written(tmp_path, "a.Offline.target_qps=4\n")).ignored == ((1, "a.Offline.target_qps=4"),)


def test_the_words_of_a_line_may_be_any_white_space_apart(tmp_path: Path) -> None:
    path = written(tmp_path, "ssd.Offline.target_qps\t=   7  \n  ssd.Offline.min_duration  =\t9\r\n")
    assert read_conf(path).settings("ssd", "Offline") == {"target_qps": "7", "min_duration": "9"}
    assert read_conf(path).ignored == ()
    settings = lg.TestSettings()
    settings.FromConfig(str(path), "ssd", "Offline", 2)
    assert (settings.offline_expected_qps, settings.min_duration_ms) == (7, 9)


@pytest.mark.parametrize("scenario", list(LOADGEN_SCENARIOS))
def test_the_rounds_mlperf_conf_gives_loadgen_its_numbers(tmp_path: Path, scenario: str) -> None:
    round_ = load_round("v2.0")
    path = written(tmp_path, mlperf_conf(round_))
    settings = lg.TestSettings()
    settings.FromConfig(str(path), "ssd-resnet34", LOADGEN_SCENARIOS[scenario], 2)  # type: ignore[index]
    rules = round_.benchmarks["ssd-resnet34"].scenarios[scenario]  # type: ignore[index]
    assert settings.min_duration_ms == rules.min_duration_s * 1000
    assert settings.min_query_count == rules.min_queries
    assert settings.performance_sample_count_override == 64
    assert read_conf(path).settings("ssd-resnet34", "Offline")["qsl_rng_seed"] == "6655344265603136530"
