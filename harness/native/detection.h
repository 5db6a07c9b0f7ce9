// What every postprocessor is told, and what it finds.
#pragma once

#include <cstdint>

namespace native {

struct Detection {
    float box[4];  // left, top, right, bottom, normalised to the image
    float score;
    std::int32_t label;
};

struct Parameters {
    float score_threshold;
    float iou_threshold;
    std::int64_t max_detections;
    bool reference_nms;
    int width = 0, height = 0;  // of the original image, for a model that keeps the aspect ratio; 0: not known
};

}  // namespace native
