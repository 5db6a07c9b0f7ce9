"""Constants folded and batch normalisation put into convolutions, by ONNX Runtime's own basic optimisations."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.quantization import onnx_file

if TYPE_CHECKING:
    import onnx


def fold(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model without batch normalisation, which would stay float32 between integer convolutions.

    A model that has none comes back as it is.

    Raises:
        ModelError: ONNX Runtime cannot load it.
    """
    if any(node.op_type == "BatchNormalization" for node in model.graph.node):
        return simplified(model, where)
    return model


def simplified(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model after ONNX Runtime's basic optimisations, which leave it plain ONNX.

    Args:
        where: the model's file, for the message.

    Raises:
        ModelError: ONNX Runtime cannot load it.
        DataError: the folder for temporary files cannot be written.
    """
    import onnx
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as status

    refusals = (status.Fail, status.InvalidArgument, status.InvalidGraph, status.NotImplemented, RuntimeError)
    with onnx_file.temporary_copies(), tempfile.TemporaryDirectory(prefix="ssd-harness-fold-") as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        options.log_severity_level = 3
        try:
            ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except refusals as error:
            raise ModelError(f"ONNX Runtime cannot load it ({str(error).splitlines()[0]})", where=where) from error
        except status.InvalidProtobuf as error:  # all it says when the file cannot be written
            raise OSError(errno.ENOSPC, "no space left, or no permission") from error
        folded = onnx.load(options.optimized_model_filepath)
    # ONNX Runtime declares all its own operator sets; only those that are used stay
    used = {node.domain for node in folded.graph.node} | {""}
    kept = [opset for opset in folded.opset_import if opset.domain in used]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded
