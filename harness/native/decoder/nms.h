// Greedy non-maximum suppression, class by class, and the best over all classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "candidates.h"
#include "kernels.h"
#include "types.h"

namespace ssd {

constexpr std::ptrdiff_t kAllOfClass = PTRDIFF_MAX;

struct NmsScratch {
    struct Entry {
        std::uint64_t key;
        std::int32_t box, label;
    };
    std::vector<Entry> by_class;    // the candidates, class after class
    std::vector<std::size_t> ends;  // of each class in `by_class`
    std::vector<Entry> kept;
    std::vector<float> arrays[5];  // of one class: left, top, right, bottom, area
    std::vector<std::uint32_t> alive;
};

// Puts the detections, best first, into `detections`. per_class: how many candidates of a class reach NMS.
void select(const Candidates& candidates, const Parameters& parameters, std::ptrdiff_t per_class,
            const Kernels& kernels, NmsScratch& scratch, std::vector<Detection>& detections);

}  // namespace ssd
