"""The stages of a sample's way through the harness, and the percentiles that are shown of anything."""

from __future__ import annotations

STAGES = {
    "queue": ("issued_ns", "started_ns"),
    "inference": ("started_ns", "inferred_ns"),
    "wait": ("inferred_ns", "decoding_ns"),
    "postprocess": ("decoding_ns", "decoded_ns"),
    "complete": ("decoded_ns", "completed_ns"),
}
"""Stage → the two moments of a sample's record that it lies between. The five add up to the sample's latency.

"wait" is for a decoder: samples are decoded beside the sessions."""

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Name → share, of the percentiles that tables, plots and the live view show."""
