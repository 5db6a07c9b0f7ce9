// The source of one variant of the kernels. Included by kernels_*.cpp with
//   KERNELS_VARIANT  the name of the namespace and of the variant
//   KERNELS_TARGET   the function attribute that picks the instruction set
// No include guard: each inclusion compiles the loops anew. The loops are written for the auto-vectoriser.
#include "exponential.h"
#include "kernels.h"

#define KERNEL KERNELS_TARGET static
#define INLINE_KERNEL KERNELS_TARGET static inline __attribute__((always_inline))

namespace ssd {
namespace KERNELS_VARIANT {

// Not std::max: `a > b ? a : b` is what the hardware's float maximum does, and drops a NaN in `a`.
template <typename T>
INLINE_KERNEL T greater(T a, T b) {
    return a > b ? a : b;
}

template <typename T>
INLINE_KERNEL void max_of_rows(T* __restrict best, const T* __restrict rows, std::ptrdiff_t stride,
                               std::ptrdiff_t count, std::ptrdiff_t n) {
    std::ptrdiff_t r = 0;
    for (; r + 8 <= count; r += 8, rows += 8 * stride) {
        for (std::ptrdiff_t j = 0; j < n; ++j) {
            T m = best[j];
            m = greater(rows[j], m);
            m = greater(rows[j + stride], m);
            m = greater(rows[j + 2 * stride], m);
            m = greater(rows[j + 3 * stride], m);
            m = greater(rows[j + 4 * stride], m);
            m = greater(rows[j + 5 * stride], m);
            m = greater(rows[j + 6 * stride], m);
            m = greater(rows[j + 7 * stride], m);
            best[j] = m;
        }
    }
    for (; r < count; ++r, rows += stride) {
        for (std::ptrdiff_t j = 0; j < n; ++j) best[j] = greater(rows[j], best[j]);
    }
}

KERNEL void max_f32(float* best, const float* rows, std::ptrdiff_t stride, std::ptrdiff_t count, std::ptrdiff_t n) {
    max_of_rows(best, rows, stride, count, n);
}

KERNEL void max_i8(std::int8_t* best, const std::int8_t* rows, std::ptrdiff_t stride, std::ptrdiff_t count,
                   std::ptrdiff_t n) {
    max_of_rows(best, rows, stride, count, n);
}

KERNEL void max_u8(std::uint8_t* best, const std::uint8_t* rows, std::ptrdiff_t stride, std::ptrdiff_t count,
                   std::ptrdiff_t n) {
    max_of_rows(best, rows, stride, count, n);
}

KERNEL void over_f32(const float* __restrict best, const float* __restrict background, float margin,
                     std::uint8_t* __restrict flags, std::ptrdiff_t n) {
    for (std::ptrdiff_t j = 0; j < n; ++j) {
        const float sum = background[j] + margin;
        // 2^-22 of its size makes up for the rounding of the sum. With an infinite background the bound is NaN.
        const float bound = sum - (sum < 0 ? -sum : sum) * 2.384185791015625e-07f;
        flags[j] = !(best[j] <= bound);
    }
}

template <typename T>
INLINE_KERNEL void over_integers(const T* __restrict best, const T* __restrict background, int margin,
                                 std::uint8_t* __restrict flags, std::ptrdiff_t n) {
    const auto least = static_cast<std::int16_t>(margin);
    for (std::ptrdiff_t j = 0; j < n; ++j) {
        flags[j] = static_cast<std::int16_t>(best[j] - background[j]) >= least;
    }
}

KERNEL void over_i8(const std::int8_t* best, const std::int8_t* background, int margin, std::uint8_t* flags,
                    std::ptrdiff_t n) {
    over_integers(best, background, margin, flags, n);
}

KERNEL void over_u8(const std::uint8_t* best, const std::uint8_t* background, int margin, std::uint8_t* flags,
                    std::ptrdiff_t n) {
    over_integers(best, background, margin, flags, n);
}

KERNEL double exp_terms(const float* __restrict logits, float top, double* __restrict terms, std::ptrdiff_t n) {
    for (std::ptrdiff_t j = 0; j < n; ++j) {
        const double below = static_cast<double>(logits[j]) - static_cast<double>(top);
        terms[j] = exponential_in_range(below > -708.0 ? below : -708.0);
    }
    double lanes[8] = {};
    for (std::ptrdiff_t j = 0; j < n; j += 8) {
        for (int lane = 0; lane < 8; ++lane) lanes[lane] += terms[j + lane];
    }
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

KERNEL void terms_over(const double* __restrict terms, double bound, std::uint8_t* __restrict flags, std::ptrdiff_t n) {
    for (std::ptrdiff_t j = 0; j < n; ++j) flags[j] = terms[j] > bound;
}

KERNEL void suppress(const BoxArrays& boxes, std::ptrdiff_t kept, std::ptrdiff_t from, std::ptrdiff_t n,
                     float iou_threshold, std::uint32_t* __restrict alive) {
    const float *__restrict left = boxes.left, *__restrict top = boxes.top, *__restrict right = boxes.right,
                *__restrict bottom = boxes.bottom, *__restrict area = boxes.area;
    const float l = left[kept], t = top[kept], r = right[kept], b = bottom[kept], a = area[kept];
    for (std::ptrdiff_t j = from; j < n; ++j) {
        const float width = (right[j] < r ? right[j] : r) - (left[j] > l ? left[j] : l);
        const float height = (bottom[j] < b ? bottom[j] : b) - (top[j] > t ? top[j] : t);
        const float overlap = (width > 0 ? width : 0) * (height > 0 ? height : 0);
        const float iou = overlap / (((area[j] + a) - overlap) + 1e-5f);
        alive[j] &= iou <= iou_threshold ? 1U : 0U;
    }
}

KERNEL void suppress_reference(const BoxArrays& boxes, std::ptrdiff_t kept, std::ptrdiff_t from, std::ptrdiff_t n,
                               float iou_threshold, std::uint32_t* __restrict alive) {
    const float *__restrict left = boxes.left, *__restrict top = boxes.top, *__restrict right = boxes.right,
                *__restrict bottom = boxes.bottom, *__restrict area = boxes.area;
    const float l = left[kept], t = top[kept], r = right[kept], b = bottom[kept], a = area[kept];
    for (std::ptrdiff_t j = from; j < n; ++j) {
        const float width = (right[j] < r ? right[j] : r) - (left[j] > l ? left[j] : l);
        const float height = (bottom[j] < b ? bottom[j] : b) - (top[j] > t ? top[j] : t);
        const float overlap = width * height;
        const float iou = overlap / ((area[j] + a) - overlap);
        alive[j] &= iou < iou_threshold ? 1U : 0U;
    }
}

}  // namespace KERNELS_VARIANT

#define KERNELS_TEXT_OF(x) #x
#define KERNELS_TEXT(x) KERNELS_TEXT_OF(x)
extern const Kernels KERNELS_TABLE;
const Kernels KERNELS_TABLE = {
    KERNELS_TEXT(KERNELS_VARIANT),
    KERNELS_VARIANT::max_f32,
    KERNELS_VARIANT::max_i8,
    KERNELS_VARIANT::max_u8,
    KERNELS_VARIANT::over_f32,
    KERNELS_VARIANT::over_i8,
    KERNELS_VARIANT::over_u8,
    KERNELS_VARIANT::exp_terms,
    KERNELS_VARIANT::terms_over,
    KERNELS_VARIANT::suppress,
    KERNELS_VARIANT::suppress_reference,
};

}  // namespace ssd
