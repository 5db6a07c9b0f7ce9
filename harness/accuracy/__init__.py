"""From an accuracy log to mAP: reading, matching to the ground truth, evaluation, comparison."""
