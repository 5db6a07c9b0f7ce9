"""A sweep as tables and a page: the runs of each scenario from the best to the worst, and what is more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.comparison import SCORE, UNCHANGED, Figure, compare
from harness.report.headlines import validity_of
from harness.report.page import PageSection, render
from harness.report.plot import BLUE, GREY, ROW_PX, Plot, axes, text_of
from harness.report.summary_tables import metric, validity
from harness.report.tables import Cell, Table
from harness.runs.recorded_run import Run
from harness.runs.score import score_of
from harness.scenarios import TITLES, Scenario


@dataclass(frozen=True)
class Point:
    """One combination of a sweep.

    Attributes:
        values: setting → value, for people.
        run: None where the combination failed.
        reason: why it failed.
    """

    values: Mapping[str, str]
    run: Run | None
    reason: str = ""


@dataclass(frozen=True)
class Ranked:
    """A combination's place in a scenario.

    Attributes:
        value: samples/s in Offline, else the latency in ms at the round's percentile.
        against_best: the same figure against the best combination's; None for the best.
        valid: whether LoadGen calls its result VALID.
    """

    point: Point
    run: Run
    value: float
    against_best: Figure | None
    valid: bool

    @property
    def as_good(self) -> bool:
        """Whether it is the best, or VALID and known not to differ from the best by more than noise."""
        return self.against_best is None or (self.valid and self.against_best.verdict == UNCHANGED)

    @property
    def mark(self) -> str:
        """What noise says of it: "best", "=", "slower", or "?" where its noise or its verdict is not enough to tell."""
        if self.against_best is None:
            return "best"
        if self.as_good:
            return "="
        return self.against_best.verdict if self.valid and self.against_best.verdict == "slower" else "?"


def ranking(points: Sequence[Point], scenario: Scenario) -> list[Ranked]:
    """The combinations that measured a scenario, VALID ones first, then from the best to the worst.

    Raises:
        LogError: a file of a run is missing or damaged.
    """
    measured = [(point, point.run) for point in points if point.run is not None]
    measured = [(point, run) for point, run in measured if scenario in run.summary.scenarios]
    measured.sort(key=lambda pair: _order(pair[1], scenario))
    if not measured:
        return []
    best = measured[0][1]
    return [
        Ranked(
            point,
            run,
            _value(run, scenario),
            None if run is best else _against(best, run, scenario),
            run.summary.scenarios[scenario].valid,
        )
        for point, run in measured
    ]


def sweep_tables(points: Sequence[Point], scenarios: Sequence[Scenario]) -> list[Table]:
    """A table for each scenario, and one of the combinations that failed."""
    tables = [_table(ranking(points, scenario), scenario) for scenario in scenarios]
    failed = [(*point.values.values(), point.reason) for point in points if point.run is None]
    if failed:
        columns = (*next(iter(points)).values, "reason")
        tables.append(Table(f"{len(failed)} combination{'s' * (len(failed) > 1)} failed", columns, failed))
    return [table for table in tables if table.rows]


def sweep_page(points: Sequence[Point], scenarios: Sequence[Scenario]) -> str:
    """A self-contained HTML page: a chart and a table for each scenario."""
    sections = []
    for scenario in scenarios:
        ranked = ranking(points, scenario)
        if ranked:
            plot, table = _plot(ranked, scenario), _table(ranked, scenario)
            sections.append(PageSection(scenario, TITLES[scenario], plots=(plot,), tables=(table,)))
    return render("results.html.j2", title="Sweep", count=len(points), sections=sections)


def _value(run: Run, scenario: Scenario) -> float:
    figures = run.summary.scenarios[scenario]
    score = score_of(scenario, figures).value
    if score is None:  # too short a test for one
        return 0.0 if scenario == "offline" else float("inf")
    return score


def _order(run: Run, scenario: Scenario) -> tuple[bool, float]:
    value = _value(run, scenario)
    return not run.summary.scenarios[scenario].valid, -value if scenario == "offline" else value


def _against(best: Run, run: Run, scenario: Scenario) -> Figure | None:
    name = "samples_per_second" if scenario == "offline" else SCORE
    found = (figure for figure in compare(best, run).figures if (figure.scenario, figure.name) == (scenario, name))
    return next(found, None)


def _table(ranked: Sequence[Ranked], scenario: Scenario) -> Table:
    if not ranked:
        return Table(TITLES[scenario], (), ())
    columns = (*ranked[0].point.values, "figure", "against the best", "95 % interval", "", "verdict", "run")
    rows = [_row(place, scenario) for place in ranked]
    notes = []
    if len(rows) > 1:
        notes.append("=: not worse than the best by more than noise; ?: INVALID, or too few samples or runs to tell.")
    notes += dict.fromkeys(caveat for place in ranked for caveat in validity_of(place.run.summary).caveats)
    return Table(f"{TITLES[scenario]}: {len(rows)} combinations", columns, rows, " ".join(notes))


def _row(place: Ranked, scenario: Scenario) -> tuple[Cell, ...]:
    figures, figure = place.run.summary.scenarios[scenario], place.against_best
    change = within = None
    if figure is not None:
        change = f"{100 * figure.change:+.1f} %"
        if figure.low is not None and figure.high is not None:
            within = f"{100 * figure.low:+.1f} to {100 * figure.high:+.1f} %"
    verdict = validity(figures.valid)
    return (
        *place.point.values.values(),
        metric(scenario, figures),
        change,
        within,
        place.mark,
        verdict,
        place.run.name,
    )


def _plot(ranked: Sequence[Ranked], scenario: Scenario) -> Plot:
    names = [", ".join(f"{key} {value}" for key, value in place.point.values.items()) for place in ranked]
    unit = "samples/s" if scenario == "offline" else "ms"
    values = [place.value for place in ranked]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": [text_of(name) for name in names],
        "marker": {"color": [BLUE if place.as_good else GREY for place in ranked]},
        "hovertemplate": f"%{{y}}<br>%{{x:.6g}} {unit}<extra></extra>",
    }
    direction = "More" if scenario == "offline" else "Less"
    return Plot(
        key=f"sweep-{scenario}",
        title=TITLES[scenario],
        alt=f"{len(values)} combinations between {min(values):.6g} and {max(values):.6g} {unit}; best: {names[0]}.",
        traces=[bars],
        layout=axes(unit, "", xaxis={"rangemode": "tozero"}, yaxis={"autorange": "reversed"}),
        columns=("combination", unit),
        rows=list(zip(names, values, strict=True)),
        note=f"{direction} is better. Blue: not worse than the best by more than noise.",
        height_px=120 + ROW_PX * len(values),
        wide=True,
    )
