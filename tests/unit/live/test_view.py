"""The picture fits where it is drawn, whatever the number of devices, the size and the colours."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import pytest
from rich.console import Console

from harness.live.figures import Device, Figures, Node
from harness.live.view import LiveView, number_text


def figures(devices: int | Sequence[Device] = 4, **changes: object) -> Figures:
    values: dict[str, object] = {
        "title": "Server performance",
        "phase": "running",
        "elapsed_s": 12.0,
        "done": 12_345,
        "samples": 20_000,
        "remaining_s": 8.0,
        "share": 0.6,
        "samples_per_second": 1028.75,
        "recent_per_second": 1031.0,
        "history": tuple(1000.0 + k for k in range(60)),
        "latency_from": "issue",
        "latency_ms": {"p50": 5.14, "p90": 5.73, "p99": 51.6},
        "stages_ms": {"queue": 1.35, "inference": 5.43, "postprocess": 0.112, "complete": 0.0295},
        "waiting": 17,
        "devices": tuple(device(k) for k in range(devices)) if isinstance(devices, int) else tuple(devices),
        "accuracy": None,
        "warnings": (),
    }
    return Figures(**values | changes)  # type: ignore[arg-type]


def device(k: int, **changes: object) -> Device:
    values: dict[str, object] = {
        "name": f"warboy(2)*1:npu{k}#{k}",
        "samples": 100 + k,
        "per_second": 80.0,
        "busy": 0.5,
        "inference_ms": 10.0 + k / 100,
        "at_sample": k,
        "at_it_s": 0.0,
    }
    return Device(**values | changes)  # type: ignore[arg-type]


def drawn(state: Figures, width: int = 80, height: int = 24, encoding: str = "utf-8") -> str:
    file = StringIO()
    console = Console(file=file, emoji=False, width=width, height=height)
    options = console.options.update(width=width)
    options.encoding = encoding
    for line in console.render_lines(LiveView(state, "ssd-resnet34 on simulated, SIMULATED"), options, pad=False):
        console.print("".join(segment.text for segment in line), markup=False, highlight=False, no_wrap=True)
    return file.getvalue()


def test_it_shows_what_a_person_asks_of_a_running_test() -> None:
    text = drawn(figures(accuracy=(0.2131, 128), warnings=("npu#3 was retired",)), height=40)
    for expected in (
        "Server performance",
        "60 %  12 s, 8.0 s left",
        "12,345 of 20,000",
        "1,029  now 1,031",
        "p50 5.14 ms   p90 5.73 ms   p99 51.6 ms",
        "inference      5.43 ms",
        "17 waiting, 4 of 4 at work",
        "21.31 % on 128 images",
        "⚠ npu#3 was retired",
        "1:npu3#3      103       80.0",
        "SIMULATED",
    ):
        assert expected in text, text


@pytest.mark.parametrize("devices", [1, 4, 8, 16, 64, 256])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 20), (120, 50), (200, 10)])
def test_it_fits(devices: int, width: int, height: int) -> None:
    lines = drawn(figures(devices, warnings=("a warning " * 30, "another")), width, height).splitlines()
    assert len(lines) < height or height < 20  # a terminal of ten lines shows the upper part
    assert all(len(line) <= width for line in lines)


def test_many_devices_become_a_column_each_and_the_slowest_are_named() -> None:
    many = [device(k) for k in range(255)] + [device(255, inference_ms=99.0, busy=1.0)]
    text = drawn(figures(many), 100, 40)
    assert "256 devices   busy 50 % median, 50 least, 100 most" in text
    assert text.count("▄") == 255
    assert text.count("▇") >= 1
    slowest = text.splitlines()[[line.strip("│ ").startswith("slowest") for line in text.splitlines()].index(True) + 1]
    assert "npu255#255" in slowest
    assert "99.0 ms" in slowest


def test_a_device_that_is_long_at_a_sample_comes_first_among_many() -> None:
    many = [device(k) for k in range(63)] + [device(63, at_it_s=31.0)]
    assert "63 for 31 s" in drawn(figures(many), 80, 30)


def test_where_unicode_cannot_be_shown_it_is_ascii() -> None:
    text = drawn(figures(64, warnings=("w",)), encoding="ascii")
    assert text.isascii(), text
    assert "! w" in text


def test_offline_leaves_out_the_queue_whose_time_is_that_of_the_test() -> None:
    text = drawn(figures(latency_from="start"))
    assert "device time" in text
    assert "queue  " in text
    assert "1.35 ms" not in text


def test_before_the_first_answer_it_says_what_goes_on() -> None:
    opening = figures(phase="opening sessions", done=0, latency_ms={}, stages_ms={}, samples_per_second=None)
    assert "opening sessions 12 s" in drawn(opening)
    waiting = figures(phase="running", done=0, latency_ms={}, stages_ms={}, samples_per_second=None)
    assert "waiting for the first answer 12 s" in drawn(waiting)


def test_a_test_that_shows_nothing_yet_of_a_device_has_dashes() -> None:
    idle = device(0, per_second=None, busy=None, inference_ms=None, at_sample=None, samples=0)
    row = next(line for line in drawn(figures([idle])).splitlines() if "npu0#0" in line)
    assert row.split()[2:-1] == ["0", "–", "–", "–", "idle"]


def test_names_are_shown_as_they_are() -> None:
    text = drawn(figures([device(0, name="npu[0]:x:")], title="[bold]", warnings=("[red]gone",)))
    for name in ("npu[0]:x:", "[bold]", "[red]gone"):
        assert name in text


def test_a_long_warning_has_two_lines() -> None:
    warning = "simulated#5 was retired at sample 53 (000000000054.jpg): RuntimeError: device lost " + "word " * 40
    text = drawn(figures(warnings=(warning,)), height=40)
    assert "RuntimeError:" in text
    assert "  device lost word" in text
    assert "word…" in text


def test_more_warnings_than_fit_are_counted() -> None:
    text = drawn(figures(warnings=tuple(f"warning {k}" for k in range(7))), height=40)
    assert "warning 6" in text
    assert "warning 3" not in text
    assert "and 4 earlier" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6234.4, "6,234"), (251.2, "251"), (12.61, "12.6"), (5.3, "5.30"), (0.0612, "0.061"), (0, "0.000")],
)
def test_numbers_have_the_digits_that_are_worth_reading(value: float, text: str) -> None:
    assert number_text(value) == text


NODES = (
    Node("server-1", 8_000, per_second=640.0, busy=0.5, way_share=0.041, lost=False),
    Node("server-2", 4_345, per_second=None, busy=None, way_share=None, lost=True),
)


def test_each_node_of_a_cluster_has_a_line() -> None:
    lines = drawn(figures(nodes=NODES), height=40).splitlines()
    [first] = [line for line in lines if "server-1" in line]
    [second] = [line for line in lines if "server-2" in line]
    assert all(text in first for text in ("8,000", "640", "50 %", "4.1 %"))
    assert "4,345" in second and "lost" in second


def test_where_nodes_have_no_room_their_number_is_told() -> None:
    nodes = tuple(Node(f"n{k}", 1, 1.0, 0.5, 0.1, lost=k == 3) for k in range(64))
    text = drawn(figures(nodes=nodes), height=40)
    assert "64 nodes, 1 lost" in text
    assert "1:npu3#3" in text
    assert len(text.splitlines()) <= 40
