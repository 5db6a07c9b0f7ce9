"""`ssd-harness bench TARGET`: how fast the harness's own parts are here. Each target is a module of its own."""

from __future__ import annotations

from harness.command_line.subcommands import Subcommands
from harness.commands import bench_postprocess, bench_preprocess, bench_queue

SUMMARY = "measure the harness's own parts"
EXAMPLES = bench_postprocess.EXAMPLES + bench_preprocess.EXAMPLES + bench_queue.EXAMPLES

_SUBCOMMANDS = Subcommands(
    "target", {"postprocess": bench_postprocess, "preprocess": bench_preprocess, "queue": bench_queue}
)
add_arguments, run = _SUBCOMMANDS.add_arguments, _SUBCOMMANDS.run
