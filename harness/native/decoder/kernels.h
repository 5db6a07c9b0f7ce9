// The hot loops, compiled once for each instruction set and chosen at load time.
//
// Every variant gives the same bits: no fused multiply-add, and sums in a fixed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "types.h"

namespace ssd {

constexpr int kBatch = 8;  // anchors whose softmax is computed side by side

struct Kernels {
    const char* name;

    // best[j] = max(best[j], rows[r][j]) over `rows` rows of `n` values, `stride` elements apart. NaN never wins.
    void (*max_f32)(float* best, const float* rows, std::ptrdiff_t stride, std::ptrdiff_t count, std::ptrdiff_t n);
    void (*max_i8)(std::int8_t* best, const std::int8_t* rows, std::ptrdiff_t stride, std::ptrdiff_t count,
                   std::ptrdiff_t n);
    void (*max_u8)(std::uint8_t* best, const std::uint8_t* rows, std::ptrdiff_t stride, std::ptrdiff_t count,
                   std::ptrdiff_t n);

    // The same for `count` rows of each of `kinds` kinds in turn; the row r of kind k lies at data + at[r * kinds + k],
    // and best holds w values of each kind.
    void (*max_in_turn_i8)(std::int8_t* best, const std::int8_t* data, const std::int32_t* at, std::ptrdiff_t count,
                           std::ptrdiff_t kinds, std::ptrdiff_t w);
    void (*max_in_turn_u8)(std::uint8_t* best, const std::uint8_t* data, const std::int32_t* at, std::ptrdiff_t count,
                           std::ptrdiff_t kinds, std::ptrdiff_t w);

    // best[j] = max(best[j], min(row[j], limits[j])): where limits[j] is the lowest value, row[j] does not count.
    void (*max_within_i8)(std::int8_t* best, const std::int8_t* row, const std::int8_t* limits, std::ptrdiff_t n);
    void (*max_within_u8)(std::uint8_t* best, const std::uint8_t* row, const std::uint8_t* limits, std::ptrdiff_t n);

    // largest[x] = the largest of the `lanes` values from values + x * lanes on.
    void (*largest_i8)(const std::int8_t* values, std::ptrdiff_t cells, std::ptrdiff_t lanes, std::int8_t* largest);
    void (*largest_u8)(const std::uint8_t* values, std::ptrdiff_t cells, std::ptrdiff_t lanes, std::uint8_t* largest);

    // flags[j] = 1 where best[j] may be a candidate: it exceeds background[j] + margin (float, conservatively and
    // true for any NaN), or best[j] - background[j] >= margin (integers).
    void (*over_f32)(const float* best, const float* background, float margin, std::uint8_t* flags, std::ptrdiff_t n);
    void (*over_i8)(const std::int8_t* best, const std::int8_t* background, int margin, std::uint8_t* flags,
                    std::ptrdiff_t n);
    void (*over_u8)(const std::uint8_t* best, const std::uint8_t* background, int margin, std::uint8_t* flags,
                    std::ptrdiff_t n);

    // Softmax of kBatch anchors side by side: logits and terms are [classes][kBatch]. A NaN logit counts as -inf.
    //   top[s]       the largest logit
    //   terms[c][s]  exp(logit - top), 3e-308 at the least; of no meaning where top is infinite
    //   totals[s]    the sum of the terms, added up in the order of the classes
    void (*softmax)(const float* logits, std::ptrdiff_t classes, double* top, double* terms, double* totals);

    // totals[s] = the sum of terms[c][s], as above.
    void (*sum_terms)(const double* terms, std::ptrdiff_t classes, double* totals);

    // flags[c][s] = terms[c][s] > bounds[s].
    void (*terms_over)(const double* terms, std::ptrdiff_t classes, const double* bounds, std::uint8_t* flags);

    // Boxes of kBatch anchors side by side: deltas, priors and corners are [4][kBatch]. centre = prior centre + 0.1 t
    // prior size, size = prior size exp(0.2 t); corners are left, top, right, bottom, and NaN or infinite where deltas
    // call for it.
    void (*boxes)(const double* deltas, const double* priors, float* corners);

    // Reads n bytes and does next to nothing with them: the speed that a scan can come near to.
    std::uint64_t (*read)(const unsigned char* data, std::ptrdiff_t n);

    // Clears alive[j] for every box j in [from, n) that box `kept` suppresses.
    void (*suppress)(const BoxArrays& boxes, std::ptrdiff_t kept, std::ptrdiff_t from, std::ptrdiff_t n,
                     float iou_threshold, std::uint32_t* alive);
    void (*suppress_reference)(const BoxArrays& boxes, std::ptrdiff_t kept, std::ptrdiff_t from, std::ptrdiff_t n,
                               float iou_threshold, std::uint32_t* alive);
};

// The kernels this machine can run, the fastest first; the last is always "baseline".
const std::vector<const Kernels*>& available_kernels();

// Those of that name, the fastest where it is empty; throws std::invalid_argument where this machine has none.
const Kernels& kernels_named(const std::string& name);

}  // namespace ssd
