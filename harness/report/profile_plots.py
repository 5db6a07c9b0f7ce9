"""Where an inference goes, by the backend's own profiler: its parts, its operators and its longest layers."""

from __future__ import annotations

from harness.report.plot import BLUE, Plot, axes, bars_height, text_of
from harness.report.tables import Cell, Table
from harness.runs.profiles import MeanLayer, ProfileRecord, mean_layers, mean_parts
from harness.runs.recorded_run import Test

MOST_LAYERS = 20


def profile_plots(test: Test) -> list[Plot]:
    """The longest layers as bars; none without a profile that has layers."""
    profile = test.profile
    layers = [] if profile is None else mean_layers(profile.sessions.values())
    if profile is None or not layers:
        return []
    ordered = sorted(layers, key=lambda layer: -layer.mean_ms)
    shown = ordered[:MOST_LAYERS]
    whole = sum(layer.mean_ms for layer in layers)
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [text_of(layer.name) for layer in reversed(shown)],
        "x": [layer.mean_ms for layer in reversed(shown)],
        "customdata": [text_of(layer.kind) for layer in reversed(shown)],
        "marker": {"color": BLUE},
        "hovertemplate": "%{y} (%{customdata}): %{x:.4f} ms<extra></extra>",
    }
    note = f"Mean of {_inferences(profile)}, together {whole:.4g} ms; {_sources(profile)}."
    if len(shown) < len(ordered):
        note += f" The {MOST_LAYERS} longest of {len(ordered)} layers; the table has all, in their order."
    return [
        Plot(
            key=f"{test.scenario}-layers",
            title="Layers of an inference",
            alt=f"Mean milliseconds of the longest of {len(layers)} layers, from {ordered[0].name} with"
            f" {ordered[0].mean_ms:.3g} ms on.",
            traces=[bars],
            layout=axes("ms of an inference", "", bargap=0.25)
            | {"yaxis": {"type": "category", "automargin": True, "dtick": 1}},
            columns=("layer", "operator", "mean ms", "share, %"),
            rows=[(layer.name, layer.kind, *_time(layer.mean_ms, whole)) for layer in layers],
            note=note,
            height_px=bars_height(len(shown)) - 4 * len(shown),
            wide=True,
        )
    ]


def profile_tables(test: Test) -> list[Table]:
    """The parts of an inference (transfer in, compute, transfer out), and its operators; none without a profile."""
    profile = test.profile
    if profile is None:
        return []
    note = f"Means of {_inferences(profile)}; {_sources(profile)}."
    sessions = list(profile.sessions.values())
    parts, layers = mean_parts(sessions), mean_layers(sessions)
    tables = []
    if parts:
        whole = sum(parts.values())
        rows: list[tuple[Cell, ...]] = [(name, *_time(mean_ms, whole)) for name, mean_ms in parts.items()]
        tables.append(Table("Parts of an inference", ("part", "mean ms", "share, %"), rows, note))
    if layers:
        tables.append(Table("Operators of an inference", *_operators(layers), note))
    return tables


def _operators(layers: list[MeanLayer]) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    by_kind: dict[str, list[float]] = {}
    for layer in layers:
        by_kind.setdefault(layer.kind, []).append(layer.mean_ms)
    whole = sum(layer.mean_ms for layer in layers)
    ordered = sorted(by_kind.items(), key=lambda pair: -sum(pair[1]))
    rows: list[tuple[Cell, ...]] = [(kind, len(times), *_time(sum(times), whole)) for kind, times in ordered]
    return ("operator", "layers", "mean ms", "share, %"), rows


def _time(mean_ms: float, whole_ms: float) -> tuple[float, float]:
    return round(mean_ms, 4), round(100 * mean_ms / whole_ms, 2) if whole_ms else 0.0


def _inferences(profile: ProfileRecord) -> str:
    count = sum(session.inferences for session in profile.sessions.values())
    return f"{count} inferences, calibration and warm-up included"


def _sources(profile: ProfileRecord) -> str:
    return "counted by " + ", ".join(dict.fromkeys(session.source for session in profile.sessions.values()))
