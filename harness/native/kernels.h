// The hot loops, compiled once for each instruction set and chosen at load time.
//
// Every variant gives the same bits: no fused multiply-add, and sums in a fixed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ssd {

struct Kernels {
    const char* name;

    // best[j] = max(best[j], rows[r][j]) over `rows` rows of `n` values, `stride` elements apart. NaN never wins.
    void (*max_f32)(float* best, const float* rows, std::ptrdiff_t stride, std::ptrdiff_t count, std::ptrdiff_t n);
    void (*max_i8)(std::int8_t* best, const std::int8_t* rows, std::ptrdiff_t stride, std::ptrdiff_t count,
                   std::ptrdiff_t n);
    void (*max_u8)(std::uint8_t* best, const std::uint8_t* rows, std::ptrdiff_t stride, std::ptrdiff_t count,
                   std::ptrdiff_t n);

    // flags[j] = 1 where best[j] may be a candidate: it exceeds background[j] + margin (float, conservatively and
    // true for any NaN), or best[j] - background[j] >= margin (integers).
    void (*over_f32)(const float* best, const float* background, float margin, std::uint8_t* flags, std::ptrdiff_t n);
    void (*over_i8)(const std::int8_t* best, const std::int8_t* background, int margin, std::uint8_t* flags,
                    std::ptrdiff_t n);
    void (*over_u8)(const std::uint8_t* best, const std::uint8_t* background, int margin, std::uint8_t* flags,
                    std::ptrdiff_t n);

    // terms[j] = exp(logits[j] - top) for n logits, n a multiple of 8, none NaN, top finite and the largest. Returns
    // their sum.
    double (*exp_terms)(const float* logits, float top, double* terms, std::ptrdiff_t n);

    // flags[j] = terms[j] > bound.
    void (*terms_over)(const double* terms, double bound, std::uint8_t* flags, std::ptrdiff_t n);

    // Clears alive[j] for every box j in [from, n) that box `kept` suppresses.
    void (*suppress)(const struct BoxArrays& boxes, std::ptrdiff_t kept, std::ptrdiff_t from, std::ptrdiff_t n,
                     float iou_threshold, std::uint32_t* alive);
    void (*suppress_reference)(const struct BoxArrays& boxes, std::ptrdiff_t kept, std::ptrdiff_t from,
                               std::ptrdiff_t n, float iou_threshold, std::uint32_t* alive);
};

// The boxes of one class, best first.
struct BoxArrays {
    float *left, *top, *right, *bottom, *area;
};

// The kernels this machine can run, the fastest first; the last is always "baseline".
const std::vector<const Kernels*>& available_kernels();

}  // namespace ssd
