// Greedy non-maximum suppression, class by class, and the best over all classes.
#pragma once

#include <cstdint>
#include <vector>

#include "candidates.h"
#include "kernels.h"
#include "types.h"

namespace ssd {

constexpr int kBestPerClass = 200;  // candidates of a class that reach NMS, as in the MLPerf reference

struct NmsScratch {
    struct Entry {
        std::uint64_t key;
        std::int32_t box, label;
    };
    std::vector<Entry> by_class;    // the candidates, class after class
    std::vector<std::size_t> ends;  // of each class in `by_class`
    std::vector<Entry> kept;
    float arrays[5][kBestPerClass];
    std::uint32_t alive[kBestPerClass];
};

// Puts the detections, best first, into `detections`.
void select(const Candidates& candidates, const Parameters& parameters, const Kernels& kernels, NmsScratch& scratch,
            std::vector<Detection>& detections);

}  // namespace ssd
