"""From a float32 ONNX model to INT8: activation ranges from calibration images, then QDQ with per-channel weights."""
