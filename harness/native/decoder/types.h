// What the parts of the decoder hand to each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../detection.h"

namespace ssd {

using native::Detection;
using native::Parameters;

constexpr int kClasses = 81;  // 0 is background
constexpr std::size_t kMostMaps = 8;

struct FeatureMap {
    int grid;     // cells along each side
    int anchors;  // prior boxes per cell
    int first;    // index of its first anchor among all
    int size() const { return grid * grid * anchors; }
};

struct Box {
    float left, top, right, bottom;
};

// The boxes of one class, best first.
struct BoxArrays {
    float *left, *top, *right, *bottom, *area;
};

}  // namespace ssd
