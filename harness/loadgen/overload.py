"""A Server test of more queries than the sessions can answer: told while it runs, not after hours of backlog."""

from __future__ import annotations

from harness.loadgen.plan import Plan
from harness.pipeline.pulse import Pulse

LEAST_WAIT_S = 1.0
BOUNDS = 10
"""Queries that wait for so many times the latency bound are no bad moment that passes."""


class Overload:
    """Watches one test.

    Attributes:
        reached: what the sessions answered, in words, once they were seen to be overloaded; else empty.
    """

    def __init__(self, plan: Plan) -> None:
        self.reached = ""
        self._title = plan.title
        self._watched = plan.scenario == "server" and plan.mode == "performance"
        self._bound_s = max(LEAST_WAIT_S, BOUNDS * (plan.rules.latency_ms or 0) / 1e3)

    def look(self, pulse: Pulse, samples: int | None) -> str | None:
        """A warning, the first time that queries wait for much longer than the bound.

        Args:
            pulse: of the running test.
            samples: how many are expected; None: unknown.
        """
        if not self._watched or not pulse.done:
            return None
        counters = pulse.counters()
        done, began_ns = int(counters.done.sum()), min(int(moment) for moment in counters.first_ns if moment)
        span_s = (int(counters.last_ns.max()) - began_ns) / 1e9
        if span_s <= 0:
            return None
        rate = done / span_s
        first = not self.reached
        if first and (counters.submitted - done) / rate < self._bound_s:
            return None
        self.reached = f"{self._title} had answered {rate:.1f} queries/s"
        if not first:
            return None
        left_s = max((samples or 0) - done, counters.submitted - done) / rate
        return (
            f"{rate:.1f} queries/s are answered, fewer than are asked for: latencies grow until the end, in about "
            f"{left_s:.0f} s, and the test will be INVALID; Ctrl-C ends it now; lower tests.server.target_qps"
        )
