"""The round of a tree is read where it is written; else a likely one is assumed, and said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cli
from harness.submission.stated_round import likely_round, stated_round

SENTENCE = "MLPerf Inference {}, closed division, submitted by Org."


def write_readme(root: Path, round_: str, scenario: str = "Offline", part: str = "measurements") -> None:
    path = root / "closed" / "Org" / part / "npu" / "ssd-resnet34" / scenario / "README.md"
    path.parent.mkdir(parents=True)
    path.write_text(f"# ssd-resnet34\n\n{SENTENCE.format(round_)}\n")


@pytest.mark.parametrize("part", ["measurements", "results"])
def test_a_built_tree_says_its_round(part: str, tmp_path: Path) -> None:
    write_readme(tmp_path, "v1.1", part=part)
    assert stated_round(tmp_path) == "v1.1"


def test_the_name_of_a_published_tree_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "inference_results_v6.0"
    tree.mkdir()
    assert stated_round(tree) == "v6.0"
    monkeypatch.chdir(tree)
    assert stated_round(Path()) == "v6.0"
    write_readme(tree, "v2.0")
    assert stated_round(tree) == "v2.0"  # what is in it is of more weight than its name


def test_a_tree_that_says_nothing_known_says_nothing(tmp_path: Path) -> None:
    assert stated_round(tmp_path / "results_v0.5") is None
    write_readme(tmp_path, "my-own")
    assert stated_round(tmp_path) is None
    write_readme(tmp_path, "v2.0", "SingleStream")
    assert stated_round(tmp_path) is None  # two rounds


@pytest.mark.parametrize(("model", "round_"), [("ssd-resnet34", "v2.0"), ("yolo-99", "v6.1"), ("bert", "v2.0")])
def test_the_benchmarks_say_which_round_is_likely(model: str, round_: str, tmp_path: Path) -> None:
    (tmp_path / "closed" / "Org" / "results" / "npu" / model).mkdir(parents=True)
    assert likely_round(tmp_path) == round_


def test_an_assumed_round_is_told_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "closed").mkdir()
    assert cli.main(["submission", "check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "does not say which round it is of: v2.0 is assumed, --round names another" in said
    assert cli.main(["submission", "truncate", str(tmp_path), "--round", "v2.0"]) == 0
    assert "assumed" not in capsys.readouterr().err
