// The postprocessor of anchor-free one-stage detectors (the YOLO family): a box and the scores of every class for each
// place of a grid, of which the best class counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.h"
#include "raw_output.h"
#include "types.h"

namespace ssd {

// Some values of every place, where they lie: value v of place p is element v * value_stride + p * place_stride.
struct PlaceValues {
    RawOutput raw;
    std::ptrdiff_t value_stride = 0, place_stride = 0;
};

struct AnchorFreeOutputs {
    PlaceValues boxes;       // 4 values
    PlaceValues objectness;  // 1 value; no data: the head has none
    PlaceValues scores;      // one value a class
};

// How the head writes boxes, and how the image lies in the input.
struct AnchorFreeHead {
    int side;                         // of the square input, in pixels
    int classes;                      // without background, at most kClasses - 1
    std::vector<std::int32_t> cells;  // boxes are offsets from their cell and logarithms, in strides of side / cells
                                      // each; empty: they are centres and sizes in pixels
    bool centred;                     // the image lies in the middle of the input, else at its top left corner
    bool clipped;                     // boxes end where the image does
};

// Immutable once built: any number of threads may decode at once. Scratch memory is kept per thread.
class AnchorFreeDecoder {
  public:
    AnchorFreeDecoder(AnchorFreeHead head, std::int32_t places, const Kernels& kernels);

    std::int32_t places() const { return places_; }
    const AnchorFreeHead& head() const { return head_; }
    const Kernels& kernels() const { return kernels_; }

    // Where the parameters do not know the image's size, boxes are normalised to the input itself. What is found, best
    // first, stays valid until the next decode of this thread.
    const std::vector<Detection>& decode(const AnchorFreeOutputs& outputs, const Parameters& parameters) const;

  private:
    struct Cell {
        float x, y, stride;
    };

    AnchorFreeHead head_;
    std::int32_t places_;
    std::vector<Cell> cells_;  // of each place, for boxes that are offsets from it
    const Kernels& kernels_;
};

}  // namespace ssd
