// The source of one variant of the kernels. Included by kernels_*.cpp with
//   KERNELS_VARIANT  the name of the namespace and of the variant
//   KERNELS_TARGET   the function attribute that picks the instruction set
//   KERNELS_REGISTER its vector registers' size in bytes
//   KERNELS_TABLE    the name of the resulting table
// No include guard: each inclusion compiles the loops anew. What compilers vectorise on their own is written as plain
// loops, the rest with their vector types.
#include "exponential.h"
#include "kernels.h"

#define KERNEL KERNELS_TARGET static
#define INLINE_KERNEL KERNELS_TARGET static inline __attribute__((always_inline))

namespace ssd {
namespace KERNELS_VARIANT {

// One vector register, and one of 32 bytes at the most.
constexpr int kRegister = KERNELS_REGISTER, kRegister32 = kRegister < 32 ? kRegister : 32;
typedef double Doubles __attribute__((vector_size(kRegister)));
typedef std::uint64_t Bits __attribute__((vector_size(kRegister)));
typedef std::int8_t Int8s __attribute__((vector_size(kRegister)));
typedef std::int8_t Int8s32 __attribute__((vector_size(kRegister32)));
typedef std::uint8_t Uint8s __attribute__((vector_size(kRegister)));
typedef std::uint8_t Uint8s32 __attribute__((vector_size(kRegister32)));

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
    for (; r + 2 <= count; r += 2, rows += 2 * stride) {
        for (std::ptrdiff_t j = 0; j < n; ++j) {
            T m = best[j];
            m = greater(rows[j], m);
            m = greater(rows[j + stride], m);
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

// With w and the number of kinds as constants: a row is a few vectors, and the maxima stay in registers.
template <typename T, typename Vector, int kWidth, int kKinds>
INLINE_KERNEL void max_in_turn_of(T* __restrict best, const T* __restrict data, const std::int32_t* __restrict at,
                                  std::ptrdiff_t count) {
    constexpr int kVectors = kWidth / static_cast<int>(sizeof(Vector));
    Vector largest[kKinds * kVectors];
    std::memcpy(largest, best, sizeof largest);
    for (std::ptrdiff_t r = 0; r < count; ++r, at += kKinds) {
        for (int k = 0; k < kKinds; ++k) {
            for (int v = 0; v < kVectors; ++v) {
                Vector row;
                std::memcpy(&row, data + at[k] + v * sizeof row, sizeof row);
                Vector& of_kind = largest[k * kVectors + v];
                of_kind = row > of_kind ? row : of_kind;
            }
        }
    }
    std::memcpy(best, largest, sizeof largest);
}

template <typename T, typename Vector, typename Vector32>
INLINE_KERNEL void max_in_turn(T* __restrict best, const T* __restrict data, const std::int32_t* __restrict at,
                               std::ptrdiff_t count, std::ptrdiff_t kinds, std::ptrdiff_t w) {
    if (w == 64 && kinds == 4) return max_in_turn_of<T, Vector, 64, 4>(best, data, at, count);
    if (w == 64 && kinds == 6) return max_in_turn_of<T, Vector, 64, 6>(best, data, at, count);
    if (w == 32 && kinds == 4) return max_in_turn_of<T, Vector32, 32, 4>(best, data, at, count);
    if (w == 32 && kinds == 6) return max_in_turn_of<T, Vector32, 32, 6>(best, data, at, count);
    for (std::ptrdiff_t r = 0; r < count; ++r, at += kinds) {
        for (std::ptrdiff_t k = 0; k < kinds; ++k) {
            const T* __restrict row = data + at[k];
            for (std::ptrdiff_t j = 0; j < w; ++j) best[k * w + j] = greater(row[j], best[k * w + j]);
        }
    }
}

KERNEL void max_in_turn_i8(std::int8_t* best, const std::int8_t* data, const std::int32_t* at, std::ptrdiff_t count,
                           std::ptrdiff_t kinds, std::ptrdiff_t w) {
    max_in_turn<std::int8_t, Int8s, Int8s32>(best, data, at, count, kinds, w);
}

KERNEL void max_in_turn_u8(std::uint8_t* best, const std::uint8_t* data, const std::int32_t* at, std::ptrdiff_t count,
                           std::ptrdiff_t kinds, std::ptrdiff_t w) {
    max_in_turn<std::uint8_t, Uint8s, Uint8s32>(best, data, at, count, kinds, w);
}

template <typename T>
INLINE_KERNEL void max_within(T* __restrict best, const T* __restrict row, const T* __restrict limits,
                              std::ptrdiff_t n) {
    for (std::ptrdiff_t j = 0; j < n; ++j) {
        const T limited = row[j] < limits[j] ? row[j] : limits[j];
        best[j] = greater(limited, best[j]);
    }
}

KERNEL void max_within_i8(std::int8_t* best, const std::int8_t* row, const std::int8_t* limits, std::ptrdiff_t n) {
    max_within(best, row, limits, n);
}

KERNEL void max_within_u8(std::uint8_t* best, const std::uint8_t* row, const std::uint8_t* limits, std::ptrdiff_t n) {
    max_within(best, row, limits, n);
}

template <typename T>
INLINE_KERNEL void largest_of_each(const T* __restrict values, std::ptrdiff_t cells, std::ptrdiff_t lanes,
                                   T* __restrict largest) {
    for (std::ptrdiff_t x = 0; x < cells; ++x, values += lanes) {
        T m = values[0];
        for (std::ptrdiff_t lane = 1; lane < lanes; ++lane) m = greater(values[lane], m);
        largest[x] = m;
    }
}

template <typename T>
INLINE_KERNEL void largest_by_lanes(const T* values, std::ptrdiff_t cells, std::ptrdiff_t lanes, T* largest) {
    if (lanes == 32) return largest_of_each(values, cells, 32, largest);
    largest_of_each(values, cells, lanes, largest);
}

KERNEL void largest_i8(const std::int8_t* values, std::ptrdiff_t cells, std::ptrdiff_t lanes, std::int8_t* largest) {
    largest_by_lanes(values, cells, lanes, largest);
}

KERNEL void largest_u8(const std::uint8_t* values, std::ptrdiff_t cells, std::ptrdiff_t lanes, std::uint8_t* largest) {
    largest_by_lanes(values, cells, lanes, largest);
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

constexpr int kParts = kBatch * static_cast<int>(sizeof(double)) / kRegister;

KERNEL void softmax(const float* __restrict logits, std::ptrdiff_t classes, double* __restrict top,
                    double* __restrict terms, double* __restrict totals) {
    for (std::ptrdiff_t j = 0; j < classes * kBatch; ++j) terms[j] = logits[j];
    Doubles largest[kParts], sums[kParts];
    const Doubles least = Doubles{} - 708.0;
    for (int p = 0; p < kParts; ++p) largest[p] = Doubles{} - __builtin_huge_val();
    for (std::ptrdiff_t c = 0; c < classes; ++c) {
        for (int p = 0; p < kParts; ++p) {
            Doubles x;
            std::memcpy(&x, terms + c * kBatch + p * (kBatch / kParts), sizeof x);
            largest[p] = x > largest[p] ? x : largest[p];
        }
    }
    for (int p = 0; p < kParts; ++p) sums[p] = Doubles{};
    for (std::ptrdiff_t c = 0; c < classes; ++c) {
        for (int p = 0; p < kParts; ++p) {
            Doubles x;
            std::memcpy(&x, terms + c * kBatch + p * (kBatch / kParts), sizeof x);
            x = x - largest[p];
            x = x > least ? x : least;
            exponential_in_range<Doubles, Bits>(x);
            std::memcpy(terms + c * kBatch + p * (kBatch / kParts), &x, sizeof x);
            sums[p] += x;
        }
    }
    std::memcpy(top, largest, sizeof largest);
    std::memcpy(totals, sums, sizeof sums);
}

KERNEL void sum_terms(const double* __restrict terms, std::ptrdiff_t classes, double* __restrict totals) {
    Doubles sums[kParts];
    for (int p = 0; p < kParts; ++p) sums[p] = Doubles{};
    for (std::ptrdiff_t c = 0; c < classes; ++c) {
        for (int p = 0; p < kParts; ++p) {
            Doubles x;
            std::memcpy(&x, terms + c * kBatch + p * (kBatch / kParts), sizeof x);
            sums[p] += x;
        }
    }
    std::memcpy(totals, sums, sizeof sums);
}

KERNEL void terms_over(const double* __restrict terms, std::ptrdiff_t classes, const double* __restrict bounds,
                       std::uint8_t* __restrict flags) {
    double bound[kBatch];
    for (int s = 0; s < kBatch; ++s) bound[s] = bounds[s];
    for (std::ptrdiff_t c = 0; c < classes; ++c) {
        for (int s = 0; s < kBatch; ++s) flags[c * kBatch + s] = terms[c * kBatch + s] > bound[s];
    }
}

// 0.1 t and 0.2 t are computed as NumpyDecoder does; exp(0.2 t) is cut off where the float32 result is 0 or infinite.
KERNEL void boxes(const double* __restrict deltas, const double* __restrict priors, float* __restrict corners) {
    const Doubles least = Doubles{} - 708.0, most = Doubles{} + 709.0;
    alignas(64) double of_double[4 * kBatch];
    for (int axis = 0; axis < 2; ++axis) {
        for (int p = 0; p < kParts; ++p) {
            const int at = axis * kBatch + p * (kBatch / kParts);
            Doubles shift, stretch, centre, size;
            std::memcpy(&shift, deltas + at, sizeof shift);
            std::memcpy(&stretch, deltas + 2 * kBatch + at, sizeof stretch);
            std::memcpy(&centre, priors + at, sizeof centre);
            std::memcpy(&size, priors + 2 * kBatch + at, sizeof size);
            centre = centre + (0.1 * shift) * size;
            Doubles growth = 0.2 * stretch;
            growth = growth > least ? growth : least;
            growth = growth < most ? growth : most;
            exponential_in_range<Doubles, Bits>(growth);
            const Doubles half = 0.5 * (size * growth);
            Doubles low = centre - half, high = centre + half;
            low = stretch == stretch ? low : stretch;  // NaN, which the cut-off has lost
            std::memcpy(of_double + at, &low, sizeof low);
            std::memcpy(of_double + 2 * kBatch + at, &high, sizeof high);
        }
    }
    for (int i = 0; i < 4 * kBatch; ++i) corners[i] = static_cast<float>(of_double[i]);
}

KERNEL std::uint64_t read(const unsigned char* data, std::ptrdiff_t n) {
    std::uint64_t all = 0;
    for (std::ptrdiff_t i = 0; i + 8 <= n; i += 8) {
        std::uint64_t word;
        std::memcpy(&word, data + i, sizeof word);
        all |= word;
    }
    return all;
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

#define KERNELS_TEXT_OF(x) #x
#define KERNELS_TEXT(x) KERNELS_TEXT_OF(x)

constexpr Kernels table() {
    Kernels table{};
    table.name = KERNELS_TEXT(KERNELS_VARIANT);
    table.max_f32 = max_f32;
    table.max_i8 = max_i8;
    table.max_u8 = max_u8;
    table.max_in_turn_i8 = max_in_turn_i8;
    table.max_in_turn_u8 = max_in_turn_u8;
    table.max_within_i8 = max_within_i8;
    table.max_within_u8 = max_within_u8;
    table.largest_i8 = largest_i8;
    table.largest_u8 = largest_u8;
    table.over_f32 = over_f32;
    table.over_i8 = over_i8;
    table.over_u8 = over_u8;
    table.softmax = softmax;
    table.sum_terms = sum_terms;
    table.terms_over = terms_over;
    table.boxes = boxes;
    table.read = read;
    table.suppress = suppress;
    table.suppress_reference = suppress_reference;
    return table;
}

}  // namespace KERNELS_VARIANT

extern const Kernels KERNELS_TABLE;
const Kernels KERNELS_TABLE = KERNELS_VARIANT::table();

}  // namespace ssd
