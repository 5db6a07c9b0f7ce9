// Finds the anchors that may hold a candidate: those where some foreground logit comes near enough to the background's.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "raw_output.h"
#include "types.h"

namespace ssd {

struct ScanScratch {
    struct alignas(64) Line {
        unsigned char bytes[64];
    };
    std::vector<Line> best;  // the largest foreground logit of each place; whole cache lines, as rows are
    std::vector<std::uint8_t> flags;
};

// Appends the indices, within the map, of the anchors that may hold a class whose float32 score exceeds
// `score_threshold`. It may name an anchor too many, and never misses one.
void scan(const RawOutput& classes, const Offsets& offsets, const FeatureMap& map, float score_threshold,
          const Kernels& kernels, ScanScratch& scratch, std::vector<std::int32_t>& survivors);

}  // namespace ssd
