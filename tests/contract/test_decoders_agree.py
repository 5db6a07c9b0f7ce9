"""NumPy and native decoders give the same detections, on random cases of every kind.

`SSD_HARNESS_CASES=5000 scripts/test tests/contract/test_decoders_agree.py -n 2` tries that many instead of a few.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import hypothesis
from hypothesis import strategies as st

from harness.model import NativeDecoder, NumpyDecoder
from harness.model.native_extension import available_simd
from tests.support import raw_output_cases as cases

CASES = int(os.environ.get("SSD_HARNESS_CASES", "25"))
several = hypothesis.settings(
    max_examples=CASES,
    database=None,
    derandomize=CASES <= 25,
    suppress_health_check=list(hypothesis.HealthCheck),
)

seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(cases.LOGITS)
score_thresholds = st.sampled_from([0.05, 0.05, 0.5]) | st.floats(0.002, 0.999, exclude_max=True)
parameters = st.fixed_dictionaries(
    {
        "score_threshold": score_thresholds,
        "iou_threshold": st.sampled_from([0.5, 0.5, 0.0, 1.0]) | st.floats(0, 1),
        "max_detections": st.sampled_from([200, 200, 1, 16000]) | st.integers(1, 500),
        "nms": st.sampled_from(["corrected", "reference"]),
    }
)
Parameters = dict[str, Any]  # keyword → number or name of an NMS

numpy_decoder = NumpyDecoder()
native_decoders = [NativeDecoder(simd) for simd in available_simd()]


@several
@hypothesis.given(seeds, kinds, parameters)
def test_native_float32_gives_what_numpy_gives(seed: int, kind: cases.Logits, parameters: Parameters) -> None:
    outputs = cases.float_outputs(seed, kind)
    expected = numpy_decoder.decode(outputs, **parameters)
    first = native_decoders[0].decode(outputs, **parameters)
    cases.assert_same(first, expected)
    for decoder in native_decoders[1:]:
        cases.assert_identical(decoder.decode(outputs, **parameters), first)


@several
@hypothesis.given(seeds, kinds, parameters, st.sampled_from(["int8", "uint8"]))
def test_native_on_quantized_outputs_gives_what_numpy_gives_on_the_dequantized_values(
    seed: int, kind: cases.Logits, parameters: Parameters, dtype: Literal["int8", "uint8"]
) -> None:
    outputs = cases.quantized_outputs(seed, kind, dtype=dtype)
    expected = numpy_decoder.decode(cases.dequantized(outputs), **parameters)
    first = native_decoders[0].decode(outputs, **parameters)
    cases.assert_same(first, expected)
    for decoder in native_decoders[1:]:
        cases.assert_identical(decoder.decode(outputs, **parameters), first)


@several
@hypothesis.given(seeds, kinds, parameters, st.sampled_from(["int8", "uint8"]))
def test_every_tiled_layout_gives_exactly_what_nchw_gives(
    seed: int, kind: cases.Logits, parameters: Parameters, dtype: Literal["int8", "uint8"]
) -> None:
    plain = cases.quantized_outputs(seed, kind, dtype=dtype)
    tiled = cases.tiled(seed, plain)
    for decoder in native_decoders:
        cases.assert_identical(decoder.decode(tiled, **parameters), decoder.decode(plain, **parameters))
