"""Why a mAP is wrong: the doctors of logs and of models."""
