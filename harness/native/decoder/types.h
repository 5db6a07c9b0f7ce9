// What the parts of the decoder hand to each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ssd {

constexpr int kClasses = 81;  // 0 is background
constexpr std::size_t kMostMaps = 8;

struct FeatureMap {
    int grid;     // cells along each side
    int anchors;  // prior boxes per cell
    int first;    // index of its first anchor among all
    int size() const { return grid * grid * anchors; }
};

struct Parameters {
    float score_threshold;
    float iou_threshold;
    std::int64_t max_detections;
    bool reference_nms;
};

struct Box {
    float left, top, right, bottom;
};

// The boxes of one class, best first.
struct BoxArrays {
    float *left, *top, *right, *bottom, *area;
};

struct Detection {
    float box[4];  // left, top, right, bottom
    float score;
    std::int32_t label;
};

}  // namespace ssd
