// The postprocessor of an SSD: raw outputs in, detections out.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "kernels.h"
#include "raw_output.h"
#include "types.h"

namespace ssd {

// Immutable once built: any number of threads may decode at once. Scratch memory is kept per thread.
class Decoder {
  public:
    // maps: (grid, anchors) of each; priors: 4 values per anchor: centre x, centre y, width, height.
    Decoder(const std::vector<std::pair<int, int>>& maps, std::vector<float> priors, const Kernels& kernels);

    const std::vector<FeatureMap>& maps() const { return maps_; }
    int anchors() const { return anchors_; }
    const Kernels& kernels() const { return kernels_; }

    // outputs: the class outputs of every map, then the box outputs of every map, already checked. What is found, best
    // first, stays valid until the next decode of this thread.
    const std::vector<Detection>& decode(const RawOutput* outputs, const Parameters& parameters) const;

    // The scan alone, for measurements: how many anchors it leaves.
    std::size_t survivors(const RawOutput* outputs, float score_threshold) const;

  private:
    std::vector<FeatureMap> maps_;
    std::vector<float> priors_;
    const Kernels& kernels_;
    int anchors_ = 0;
};

}  // namespace ssd
