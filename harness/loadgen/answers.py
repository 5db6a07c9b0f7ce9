"""Answers to LoadGen, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.pipeline.dispatch import Respond
from harness.pipeline.postprocess import Answer


def responder(loadgen: Any) -> Respond:
    """What hands answers over; LoadGen has copied them when it returns.

    Args:
        loadgen: the module ``mlperf_loadgen``.
    """
    complete, response = loadgen.QuerySamplesComplete, loadgen.QuerySampleResponse

    def respond(answers: Sequence[Answer], *, to_nobody: bool = False) -> None:
        responses = [response(*answer) for answer in answers]
        if not to_nobody:
            complete(responses)

    return respond
