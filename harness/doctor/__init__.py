"""Why a mAP is wrong: `diagnosis` examines an accuracy log, `model_examination` a model file."""
