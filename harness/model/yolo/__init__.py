"""The YOLO family: YOLO11 and YOLOv8 (one head), and YOLOX. The weights are the user's own."""
