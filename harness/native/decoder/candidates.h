// Softmax and boxes of the anchors that the scan left.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "raw_output.h"
#include "types.h"

namespace ssd {

// The anchors with at least one class above the threshold, and those classes.
struct Candidates {
    // One per candidate.
    std::vector<std::uint64_t> keys;  // ascending keys: best score first, equal scores by anchor index
    std::vector<std::int32_t> labels;
    std::vector<std::int32_t> boxes;  // index into `box`
    // One per anchor.
    std::vector<Box> box;

    void clear();
    void add(float score, std::int32_t anchor, std::int32_t label, std::int32_t box_index);
    static float score_of(std::uint64_t key);
};

// What each of the 256 values of a quantized tensor stands for. Indexed by the value's bits as an unsigned byte.
struct ValueTable {
    float value[256];
    double term[256];  // exp(value - the largest value): its share in a softmax, whichever maximum is subtracted
    bool terms_hold;   // false where the terms would leave the range of double

    // Does nothing when it is already the table of that output.
    void describe(const RawOutput& output);

  private:
    Element element_ = Element::float32;
    double scale_ = 0;
    int zero_point_ = 0;
};

// Where one map's outputs lie and what their values stand for; kept from one decode to the next.
struct MapScratch {
    Offsets class_offsets, box_offsets;
    ValueTable class_values;
};

// Adds the candidates among `survivors`, anchors of `map`. priors: of the map.
void find_candidates(const RawOutput& classes, const RawOutput& boxes, const FeatureMap& map, const float* priors,
                     const std::vector<std::int32_t>& survivors, float score_threshold, const Kernels& kernels,
                     MapScratch& scratch, Candidates& candidates);

}  // namespace ssd
