"""A run against what its round asks for, and against published results of other systems."""

from __future__ import annotations

from harness.accuracy.evaluate import percent_text
from harness.report.plot import BLUE, GREY, Plot, axes, bars_height, text_of
from harness.report.summary_tables import validity
from harness.report.tables import Cell, Table
from harness.rounds import Round
from harness.runs.figures import Summary
from harness.runs.records import StartedManifest
from harness.runs.score import score_of
from harness.scenarios import TITLES
from harness.settings import Positive, Section, configs_dir, read_yaml, validate

MET, NOT_MET = "met", "NOT met"


class ReferenceResult(Section):
    """A published result; null where a system did not submit the figure."""

    system: str
    samples_per_second: Positive | None = None
    single_stream_p90_ms: Positive | None = None
    accuracy_percent: Positive | None = None


class ReferenceResults(Section):
    """``configs/reference_results.yaml``."""

    source: str
    benchmarks: dict[str, tuple[ReferenceResult, ...]]


def load_references() -> ReferenceResults:
    """The shipped reference results.

    Raises:
        UsageError: the file is not right.
    """
    path = configs_dir() / "reference_results.yaml"
    return validate(ReferenceResults, read_yaml(path), str(path))


def requirements(round_: Round, manifest: StartedManifest, summary: Summary) -> Table:
    """What the round asks for, what this run has, and whether that is enough."""
    rules = round_.benchmark(manifest.model.benchmark)
    rows: list[tuple[Cell, ...]] = []

    def row(what: str, needed: str, had: str, met: bool) -> None:
        rows.append((what, needed, had, MET if met else NOT_MET))

    images, made_up = manifest.dataset.images, manifest.dataset.synthetic
    synthetic = " synthetic" if made_up else ""
    row("images", f"{rules.dataset_images}", f"{images}{synthetic}", images == rules.dataset_images and not made_up)
    for scenario, figures in summary.scenarios.items():
        title, needed = TITLES[scenario], rules.scenarios[scenario]
        row(f"{title}: LoadGen's verdict", "VALID", validity(figures.valid), figures.valid)
        duration = figures.duration_s
        row(f"{title}: duration", f"{needed.min_duration_s:g} s", f"{duration:g} s", duration >= needed.min_duration_s)
        unit, count = ("samples", figures.samples) if scenario == "offline" else ("queries", figures.queries)
        row(f"{title}: {unit}", f"{needed.min_queries}", f"{count}", (count or 0) >= needed.min_queries)
        if needed.latency_ms is not None and needed.latency_percentile is not None:
            name = f"p{needed.latency_percentile * 100:g}"
            latency = figures.latency_ms.get(name)
            shown = "not measured" if latency is None else f"{latency:.6f} ms"
            met = latency is not None and latency <= needed.latency_ms
            row(f"{title}: {name}", f"at most {needed.latency_ms:g} ms", shown, met)
    if summary.accuracy is not None:
        gate, reached = rules.accuracy.gate_percent, summary.accuracy.mAP
        enough = 100 * reached >= gate and not made_up
        row("mAP", f"{gate:g} % on COCO", f"{percent_text(reached)}{synthetic}", enough)
    else:
        row("mAP", f"{rules.accuracy.gate_percent:g} % on COCO", "not measured", False)
    title = f"What MLPerf {manifest.round} asks for (closed division)"
    return Table(title, ("requirement", "asked for", "this run", ""), rows)


def reference_table(name: str, summary: Summary) -> Table | None:
    """This run among published results; None where there are none of its benchmark."""
    references = load_references()
    others = references.benchmarks.get(summary.model.benchmark)
    if not others:
        return None
    own = _own_figures(summary)
    rows = [(f"this run: {name}{_caveat(summary)}", *own)]
    rows += [
        (other.system, other.samples_per_second, other.single_stream_p90_ms, other.accuracy_percent) for other in others
    ]
    columns = ("system", "Offline, samples/s", "SingleStream p90, ms", "mAP, %")
    return Table("Among published results", columns, rows, note=_measure(summary) + f"Source: {references.source}.")


def reference_plots(table: Table) -> list[Plot]:
    """The throughput and the latency of the table as bars; a figure that this run does not have is left out."""
    plots = []
    for place, key, better in (
        (1, "reference-throughput", "More is better"),
        (2, "reference-latency", "Less is better"),
    ):
        if table.rows[0][place] is None:
            continue
        rows = [row for row in table.rows if isinstance(row[place], float)]
        ordered = sorted(rows, key=lambda row: float(row[place] or 0), reverse=place == 2)
        labels = [_wrapped(text_of(row[0])) for row in ordered]
        bars = {
            "type": "bar",
            "orientation": "h",
            "y": labels,
            "x": [row[place] for row in ordered],
            "text": [_digits(row[place]) for row in ordered],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": [BLUE if row is table.rows[0] else GREY for row in ordered]},
            "hovertemplate": "%{y}: %{x}<extra></extra>",
        }
        title = table.columns[place]
        most = max(float(row[place] or 0) for row in rows)
        lines = sum(label.count("<br>") for label in labels)
        unit = title.partition(", ")[2]
        layout = axes(unit, "", bargap=0.3, xaxis={"range": [0, 1.3 * most], "nticks": 4, "tickangle": 0})
        plots.append(
            Plot(
                key=key,
                title=title,
                alt=f"{title}: " + ", ".join(f"{row[0]} {_digits(row[place])}" for row in ordered) + ".",
                traces=[bars],
                layout=layout | {"yaxis": {"type": "category", "automargin": True}},
                columns=(table.columns[0], title),
                rows=[(row[0], row[place]) for row in ordered],
                note=f"{better}.",
                height_px=bars_height(len(rows)) + 15 * lines,
            )
        )
    return plots


def _measure(summary: Summary) -> str:
    """In which measure SingleStream is compared, where it is not the one that the run's round scores."""
    single = summary.scenarios.get("single_stream")
    score = None if single is None else score_of("single_stream", single)
    if score is None or score.value is None or score.measure == "p90":
        return ""
    return f"SingleStream is compared by the 90th percentile, as listed here; this run's score is {score.text}. "


def _own_figures(summary: Summary) -> tuple[float | None, float | None, float | None]:
    """The figures that published results have, of this run, in the same order."""
    offline, single = summary.scenarios.get("offline"), summary.scenarios.get("single_stream")
    rate = None if offline is None else offline.samples_per_second
    latency = None if single is None else single.latency_ms.get("p90")
    accuracy = summary.accuracy
    return rate, latency, None if accuracy is None or accuracy.mAP < 0 else round(accuracy.mAP * 100, 3)


def _caveat(summary: Summary) -> str:
    """What keeps its figures from being a system's."""
    caveats = ["SIMULATED device"] * summary.backend.simulated
    caveats += ["synthetic images"] * summary.dataset.synthetic
    caveats += ["INVALID"] * (not summary.valid)
    return f" ({', '.join(caveats)})" if caveats else ""


def _digits(figure: Cell) -> str:
    """Four digits that count, and never an exponent."""
    return f"{figure:.0f}" if isinstance(figure, float) and figure >= 1000 else f"{figure:.4g}"


def _wrapped(text: str, width: int = 26) -> str:
    """A label in lines, which a phone has room for."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "<br>".join([*lines, line])
