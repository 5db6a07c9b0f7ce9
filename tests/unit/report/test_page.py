"""report.html holds every section, LoadGen's figures and no name that a browser would run."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
import pytest

from harness import cli
from harness.errors import LogError
from harness.report.page import report_html, write_report
from harness.runs.recorded_run import load_run
from tests.support.made_runs import made_manifest, made_record, made_run, made_samples

COLUMNS = (
    "session",
    "sample_id",
    "sample_index",
    "issued_ns",
    "started_ns",
    "inferred_ns",
    "decoded_ns",
    "completed_ns",
)
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>"
DETAIL = ':::MLLOG {"key": "x", "value": 1, "metadata": {}}\n'


class Names(HTMLParser):
    """The elements of a page that could act or fetch, and the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.sources: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given)
        self.sources += [str(given[name]) for name in ("src", "href") if given.get(name)]
        assert not any(name.startswith("on") for name in given), given
        if given.get("id"):
            self.ids.append(str(given["id"]))


def with_accuracy(folder: Path, name: str = "1.jpg", category: str = "cat") -> Path:
    """Adds an accuracy test with one image to a made run."""
    manifest = json.loads((folder / "manifest.json").read_text())
    test = made_record("offline", "accuracy")
    manifest["tests"].append(test)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    where = folder / "offline" / "accuracy"
    (where / "gallery").mkdir(parents=True)
    (where / "mlperf_log_detail.txt").write_text(DETAIL)
    figures = dict.fromkeys(("mAP", "AP50", "AP75", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"), 0.25)
    more = {"APs": -1.0, "images": 1, "detections": 2, "evaluator": "pycocotools 2"}
    (where / "accuracy.json").write_text(json.dumps(figures | more))
    (where / "accuracy.txt").write_text("mAP=25.000%\nhash=" + "cd" * 32 + "\n")
    curve = [1 - k / 100 for k in range(101)]
    evaluation = {
        "per_class": [{"label": 1, "category_id": 1, "name": category, "AP": 0.25, "objects": 3}],
        "precision_recall": {"0.50": curve, "0.75": curve, "0.50:0.95": curve},
    }
    (where / "evaluation.json").write_text(json.dumps(evaluation))
    columns = "sample_index,image_id,file_name,width,height,objects,detections,AP50"
    (where / "images.csv.gz").write_bytes(gzip.compress(f'{columns}\n0,7,"{name}",80,40,1,2,0.5\n'.encode()))
    entry = {
        "kind": "best",
        "file_name": name,
        "image_id": 7,
        "sample_index": 0,
        "width": 80,
        "height": 40,
        "AP50": 0.5,
        "thumbnail": "best_1.jpg",
        "objects": [{"box": [1, 1, 20, 20], "category": category, "crowd": False}],
        "detections": [{"box": [1, 1, 20, 20], "category": category, "score": 0.9, "correct": True}],
    }
    (where / "gallery" / "gallery.json").write_text(json.dumps([entry]))
    cv2.imwrite(str(where / "gallery" / "best_1.jpg"), np.full((40, 80, 3), 128, np.uint8))
    return folder


def whole(folder: Path, **changes: Any) -> Path:
    scenarios = {
        "single_stream": made_samples(3000),
        "multi_stream": made_samples(800, sessions=4, per_query=8),
        "server": made_samples(300, sessions=2),
        "offline": made_samples(1000, sessions=2, offline=True),
    }
    return with_accuracy(made_run(folder, scenarios), **changes)


def figures_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="plot-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures: dict[str, Any] = json.loads(found[1])
    return figures


def test_every_section_is_there_and_nothing_is_fetched(tmp_path: Path) -> None:
    path = write_report(whole(tmp_path / "r"))
    assert path == tmp_path / "r" / "report.html"
    page = path.read_text(encoding="utf-8")
    assert len(page.encode()) < 6_000_000
    names = Names()
    names.feed(page)
    wanted = {"targets", "single_stream", "multi_stream", "server", "offline", "accuracy", "gallery", "configuration"}
    assert wanted | {"system"} <= set(names.ids)
    assert len(names.ids) == len(set(names.ids))
    assert all(source.startswith(("#", "data:image/jpeg;base64,")) for source in names.sources)
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    for key in figures_of(page):
        assert f'id="{key}" role="img" aria-label="' in page
        assert f'id="{key}-title"' in page
    assert page.count('class="plot"') == page.count("<details><summary>Table") == len(figures_of(page))


def test_every_plot_is_one_that_plotly_knows(tmp_path: Path) -> None:
    figures = figures_of(report_html(load_run(whole(tmp_path / "r"))))
    assert {"single_stream-histogram", "offline-throughput", "precision-recall", "classes"} <= set(figures)
    for figure in figures.values():
        assert go.Figure(figure).data  # raises for a property that plotly does not have


def test_percentiles_are_loadgens_to_the_last_digit(tmp_path: Path) -> None:
    run = load_run(whole(tmp_path / "r"))
    page = report_html(run)
    figures = figures_of(page)
    for scenario in ("single_stream", "multi_stream", "server"):
        latency = run.summary.scenarios[scenario].latency_ms
        markers = figures[f"{scenario}-distribution"]["data"][1]
        assert dict(zip(markers["text"], markers["x"], strict=True)) == {
            name: value for name, value in latency.items() if name != "mean"
        }
        lines = [shape["x0"] for shape in figures[f"{scenario}-histogram"]["layout"]["shapes"]]
        assert lines == [latency["p50"], latency["p90"], latency["p99"]]
        for value in latency.values():
            assert f">{value:.6f}<" in page


def test_stacked_stages_are_as_long_as_the_percentile(tmp_path: Path) -> None:
    run = load_run(whole(tmp_path / "r"))
    latency = run.summary.scenarios["single_stream"].latency_ms
    traces = figures_of(report_html(run))["single_stream-stages"]["data"]
    for place, name in enumerate(traces[0]["y"]):
        assert sum(trace["x"][place] for trace in traces) == pytest.approx(latency[name], rel=0.02)


def test_names_from_files_are_text(tmp_path: Path) -> None:
    folder = whole(tmp_path / f"r {NASTY.replace('/', '_')}", name=NASTY, category=NASTY)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["system"]["processor"] = NASTY
    manifest["command"] = ["ssd-harness", NASTY]
    manifest["settings"]["name"] = NASTY
    manifest["versions"][NASTY] = NASTY
    for test in manifest["tests"]:
        for session in test["sessions"]:
            session["name"] += NASTY
        test["retired"] = [{"session": NASTY, "sample_index": 0, "image": NASTY, "reason": NASTY}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    page = report_html(load_run(folder))
    names = Names()
    names.feed(page)
    assert len(names.scripts) == 3  # plotly, the figures, the page's own
    assert "<script>alert" not in page
    assert "<img" not in page.split("<main>")[1].split("</main>")[0]
    figures = json.dumps(figures_of(page))
    assert "<script" not in figures  # plotly reads some HTML of its own in texts
    assert "&lt;script&gt;" in figures


def test_the_same_directory_gives_the_same_page(tmp_path: Path) -> None:
    folder = whole(tmp_path / "r")
    assert report_html(load_run(folder)) == report_html(load_run(folder))


def test_measurements_come_before_the_rounds_requirements(tmp_path: Path) -> None:
    page = report_html(load_run(whole(tmp_path / "r")))
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections.index("offline") < sections.index("accuracy") < sections.index("targets")


@pytest.mark.parametrize(("figure", "said"), [(0.0, "Nothing was found"), (-1.0, "mAP is not defined")])
def test_a_map_without_curves_is_a_sentence(tmp_path: Path, figure: float, said: str) -> None:
    folder = whole(tmp_path / "r")
    path = folder / "offline/accuracy/accuracy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mAP": figure, "AP50": figure}))
    page = report_html(load_run(folder))
    assert said in page
    assert not {"classes", "precision-recall"} & set(figures_of(page))


def test_few_queries_are_a_sentence(tmp_path: Path) -> None:
    scenarios = {"single_stream": made_samples(3), "offline": made_samples(3, offline=True)}
    page = report_html(load_run(made_run(tmp_path / "r", scenarios)))
    assert page.count("are too few to draw over time") == 2


def test_an_image_that_is_gone_is_said(tmp_path: Path) -> None:
    folder = whole(tmp_path / "r")
    assert "the image is gone" not in report_html(load_run(folder)).split("<main>")[1]
    (folder / "offline/accuracy/gallery/best_1.jpg").unlink()
    assert "the image is gone" in report_html(load_run(folder))


def test_a_run_of_before_has_a_report_too(tmp_path: Path) -> None:
    folder = whole(tmp_path / "r")
    for name in ("evaluation.json", "images.csv.gz", "gallery/gallery.json"):
        (folder / "offline" / "accuracy" / name).unlink()
    page = report_html(load_run(folder))
    assert "No images were kept with this run." in page
    assert "made before categories and curves were kept" in page


def test_the_verdict_is_in_words(tmp_path: Path) -> None:
    valid = report_html(load_run(made_run(tmp_path / "a", {"single_stream": made_samples(100)})))
    assert "✓ VALID" in valid
    assert "SIMULATED device: its times are of no real system." in valid
    assert "Not submittable to MLPerf v2.0" in valid
    invalid = report_html(load_run(made_run(tmp_path / "b", {"offline": made_samples(100, offline=True)}, valid=False)))
    assert "✗ INVALID" in invalid
    assert "it ended before its 600 s" in invalid
    failed = made_run(tmp_path / "c", {"offline": made_samples(100, offline=True)}, status="failed", reason="no power")
    page = report_html(load_run(failed))
    assert "✗ FAILED" in page
    assert "no power" in page


def test_many_devices_are_drawn_in_part_and_told_in_full(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "r", {"offline": made_samples(400, sessions=100, offline=True)})
    page = report_html(load_run(folder))
    assert len(figures_of(page)["offline-devices"]["data"][0]["y"]) == 64
    assert page.count(">simulated#") == 100


def test_a_search_for_the_peak_has_its_tries(tmp_path: Path) -> None:
    tries = [{"qps": 10.0, "samples_per_second": 9.5, "p99_ms": None, "valid": False, "folder": "x"}]
    folder = made_run(tmp_path / "r", {}, peak={"server": {"valid": True, "qps": None, "tries": tries}})
    page = report_html(load_run(folder))
    assert "Search for the peak" in page
    assert "no rate was valid" in page


def gallery_of(folder: Path, **parts: object) -> Path:
    """The run's gallery with one image that is changed like that."""
    path = folder / "offline/accuracy/gallery/gallery.json"
    path.write_text(json.dumps([json.loads(path.read_text())[0] | parts]))
    return folder


ACCURACY = "offline/accuracy"
PERFORMANCE = "offline/performance/run_1"
DAMAGES: dict[str, tuple[str, str | bytes]] = {
    "accuracy is a list": (f"{ACCURACY}/accuracy.json", "[]"),
    "accuracy has no mAP": (f"{ACCURACY}/accuracy.json", "{}"),
    "gallery is an object": (f"{ACCURACY}/gallery/gallery.json", "{}"),
    "gallery holds numbers": (f"{ACCURACY}/gallery/gallery.json", "[1]"),
    "evaluation is text": (f"{ACCURACY}/evaluation.json", '"x"'),
    "evaluation is deep": (f"{ACCURACY}/evaluation.json", "[" * 5000),
    "samples have other columns": (f"{PERFORMANCE}/samples.csv.gz", gzip.compress(b"a,b\n1,2\n")),
    "samples are text": (f"{PERFORMANCE}/samples.csv.gz", gzip.compress(",".join(COLUMNS).encode() + b"\nx" * 9)),
    "no samples": (f"{PERFORMANCE}/samples.csv.gz", gzip.compress(",".join(COLUMNS).encode() + b"\n")),
    "samples are cut": (f"{PERFORMANCE}/samples.csv.gz", gzip.compress(b"a,b\n" * 999)[:-9]),
    "a list as a key": (f"{PERFORMANCE}/mlperf_log_detail.txt", ':::MLLOG {"key": [], "value": 1, "metadata": {}}\n'),
    "text as metadata": (
        f"{PERFORMANCE}/mlperf_log_detail.txt",
        ':::MLLOG {"key": "x", "value": 1, "metadata": "x"}\n',
    ),
    "no rate": (
        f"{PERFORMANCE}/mlperf_log_detail.txt",
        ':::MLLOG {"key": "result_validity", "value": "VALID", "metadata": {}}\n',
    ),
    "manifest without a model": ("manifest.json", json.dumps(made_manifest() | {"model": None})),
    "manifest is null": ("manifest.json", "null"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_one_error_of_the_data(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = with_accuracy(made_run(tmp_path / "run", {"offline": made_samples(100, offline=True)}))
    assert cli.main(["report", str(run)]) == 1  # the log of the accuracy test is no real one
    capsys.readouterr()
    file, content = DAMAGES[name]
    (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["report", str(run)]) == 3
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert str(run / file) in said


def test_a_report_that_can_be_made_is_made(tmp_path: Path) -> None:
    run = with_accuracy(made_run(tmp_path / "run", {"offline": made_samples(100, offline=True)}))
    (run / ACCURACY / "accuracy.txt").write_bytes(b"\xff\xfe")
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["system"], manifest["started"], manifest["versions"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert cli.main(["report", str(run)]) == 1
    (run / "manifest.json").write_text(json.dumps(manifest | {"status": "failed", "reason": "disk full"}))
    assert cli.main(["report", str(run)]) == 4


@pytest.mark.parametrize("thumbnail", ["../../../../secret.jpg", "/etc/passwd", "..", "a/b.jpg"])
def test_a_gallery_takes_its_own_files_only(tmp_path: Path, thumbnail: str) -> None:
    run = with_accuracy(made_run(tmp_path / "run", {"offline": made_samples(100, offline=True)}))
    with pytest.raises(LogError, match=r"gallery\.json: is damaged: thumbnail"):
        write_report(gallery_of(run, thumbnail=thumbnail))


def test_a_thumbnail_that_is_a_link_or_no_jpeg_is_gone(tmp_path: Path) -> None:
    run = with_accuracy(made_run(tmp_path / "run", {"offline": made_samples(100, offline=True)}))
    (tmp_path / "secret").write_bytes(b"\xff\xd8\xffsecret")
    gallery = run / ACCURACY / "gallery"
    (gallery / "linked.jpg").symlink_to(tmp_path / "secret")
    (gallery / "text.jpg").write_text("root:x:0:0")
    for name in ("linked.jpg", "text.jpg"):
        page = write_report(gallery_of(run, thumbnail=name)).read_text()
        assert "the image is gone" in page
        assert "data:image/jpeg" not in page
