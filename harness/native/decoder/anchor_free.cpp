#include "anchor_free.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "candidates.h"
#include "exponential.h"
#include "nms.h"

namespace ssd {

namespace {

constexpr std::ptrdiff_t kTile = 1024;  // places whose scores are scanned, and then read again, while they are near

struct Values {  // of a quantized output: what each of its 256 values stands for
    ValueTable boxes, objectness, scores;
};

// Kept per thread, so that a decode allocates nothing once its thread has seen an image as crowded.
struct Scratch {
    Values values;
    alignas(64) unsigned char best[kTile * sizeof(float)];
    std::vector<std::int32_t> survivors;
    Candidates candidates;
    NmsScratch nms;
    std::vector<Detection> detections;
};

// The value v of place p as float32.
float value_at(const PlaceValues& values, const ValueTable& table, std::int32_t place, int v) {
    const std::ptrdiff_t at = v * values.value_stride + place * values.place_stride;
    if (values.raw.element == Element::float32) return static_cast<const float*>(values.raw.data)[at];
    return table.value[static_cast<const std::uint8_t*>(values.raw.data)[at]];
}

// The smallest of the 256 values that stands for more than the threshold; 256 above the lowest where none does.
template <typename T>
int least_over(const ValueTable& table, float threshold) {
    int q = std::numeric_limits<T>::lowest();
    while (q <= std::numeric_limits<T>::max() && !(table.value[static_cast<std::uint8_t>(q)] > threshold)) ++q;
    return q;
}

void max_of(const Kernels& kernels, float* best, const float* rows, std::ptrdiff_t stride, int count,
            std::ptrdiff_t n) {
    kernels.max_f32(best, rows, stride, count, n);
}
void max_of(const Kernels& kernels, std::int8_t* best, const std::int8_t* rows, std::ptrdiff_t stride, int count,
            std::ptrdiff_t n) {
    kernels.max_i8(best, rows, stride, count, n);
}
void max_of(const Kernels& kernels, std::uint8_t* best, const std::uint8_t* rows, std::ptrdiff_t stride, int count,
            std::ptrdiff_t n) {
    kernels.max_u8(best, rows, stride, count, n);
}

// The class with the largest value at a place, the first of several; -1 where all are NaN or -infinity.
template <typename T>
int best_class(const PlaceValues& scores, std::int32_t place, int classes) {
    const T* data = static_cast<const T*>(scores.raw.data) + place * scores.place_stride;
    T best =
        std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
    int found = std::numeric_limits<T>::has_infinity ? -1 : 0;
    for (int c = 0; c < classes; ++c, data += scores.value_stride) {
        if (*data > best) {
            best = *data;
            found = c;
        }
    }
    return found;
}

// Appends the places of [begin, end) whose best class is over the bound. The values of a class lie side by side.
template <typename T>
void scan_classes(const PlaceValues& scores, int classes, T bound, std::int32_t begin, std::int32_t end,
                  const Kernels& kernels, Scratch& scratch) {
    T* best = reinterpret_cast<T*>(scratch.best);
    const T* rows = static_cast<const T*>(scores.raw.data) + begin;
    const std::ptrdiff_t n = end - begin;
    std::fill_n(best, n, bound);
    max_of(kernels, best, rows, scores.value_stride, classes, n);
    constexpr int kGroup = 16;
    std::ptrdiff_t j = 0;
    for (; j + kGroup <= n; j += kGroup) {
        unsigned over = 0;
        for (int k = 0; k < kGroup; ++k) over |= best[j + k] > bound;
        if (!over) continue;
        for (int k = 0; k < kGroup; ++k) {
            if (best[j + k] > bound) scratch.survivors.push_back(static_cast<std::int32_t>(begin + j + k));
        }
    }
    for (; j < n; ++j) {
        if (best[j] > bound) scratch.survivors.push_back(static_cast<std::int32_t>(begin + j));
    }
}

void scan_scores(const PlaceValues& scores, int classes, float threshold, std::int32_t begin, std::int32_t end,
                 const Kernels& kernels, Scratch& scratch) {
    if (scores.raw.element == Element::float32) {
        return scan_classes<float>(scores, classes, threshold, begin, end, kernels, scratch);
    }
    if (scores.raw.element == Element::int8) {
        const int least = least_over<std::int8_t>(scratch.values.scores, threshold);
        if (least > 127) return;
        if (least > -128) {
            const auto bound = static_cast<std::int8_t>(least - 1);
            return scan_classes<std::int8_t>(scores, classes, bound, begin, end, kernels, scratch);
        }
    } else {
        const int least = least_over<std::uint8_t>(scratch.values.scores, threshold);
        if (least > 255) return;
        if (least > 0) {
            const auto bound = static_cast<std::uint8_t>(least - 1);
            return scan_classes<std::uint8_t>(scores, classes, bound, begin, end, kernels, scratch);
        }
    }
    for (std::int32_t p = begin; p < end; ++p) scratch.survivors.push_back(p);  // every value is over the threshold
}

int best_class_of(const PlaceValues& scores, std::int32_t place, int classes) {
    switch (scores.raw.element) {
        case Element::float32:
            return best_class<float>(scores, place, classes);
        case Element::int8:
            return best_class<std::int8_t>(scores, place, classes);
        default:
            return best_class<std::uint8_t>(scores, place, classes);
    }
}

double exponential(double x) {
    if (!(x >= -708.0)) return x < -708.0 ? 0.0 : x;  // NaN stays
    if (x > 709.0) return std::numeric_limits<double>::infinity();
    exponential_in_range<double, std::uint64_t>(x);
    return x;
}

bool finite(const Box& box) {
    return std::isfinite(box.left) && std::isfinite(box.top) && std::isfinite(box.right) && std::isfinite(box.bottom);
}

}  // namespace

AnchorFreeDecoder::AnchorFreeDecoder(AnchorFreeHead head, std::int32_t places, const Kernels& kernels)
    : head_(std::move(head)), places_(places), kernels_(kernels) {
    for (const std::int32_t cells : head_.cells) {
        const auto stride = static_cast<float>(head_.side / cells);
        for (std::int32_t y = 0; y < cells; ++y) {
            for (std::int32_t x = 0; x < cells; ++x) {
                cells_.push_back({static_cast<float>(x), static_cast<float>(y), stride});
            }
        }
    }
}

const std::vector<Detection>& AnchorFreeDecoder::decode(const AnchorFreeOutputs& outputs,
                                                        const Parameters& parameters) const {
    thread_local Scratch scratch;
    Candidates& candidates = scratch.candidates;
    Values& values = scratch.values;
    candidates.clear();
    values.boxes.describe(outputs.boxes.raw);
    values.scores.describe(outputs.scores.raw);
    const float threshold = parameters.score_threshold;
    const bool objects = outputs.objectness.raw.data != nullptr;
    if (objects) values.objectness.describe(outputs.objectness.raw);
    for (std::int32_t begin = 0; begin < places_; begin += kTile) {
        const std::int32_t end = std::min<std::int32_t>(places_, begin + kTile);
        scratch.survivors.clear();
        if (objects) {
            for (std::int32_t p = begin; p < end; ++p) {
                if (value_at(outputs.objectness, values.objectness, p, 0) > threshold) scratch.survivors.push_back(p);
            }
        } else {
            scan_scores(outputs.scores, head_.classes, threshold, begin, end, kernels_, scratch);
        }
        for (const std::int32_t p : scratch.survivors) {
            const int best = best_class_of(outputs.scores, p, head_.classes);
            if (best < 0) continue;
            float score = value_at(outputs.scores, values.scores, p, best);
            if (!(score > threshold)) continue;
            if (objects) score *= value_at(outputs.objectness, values.objectness, p, 0);
            if (!(score > threshold)) continue;
            double t[4];
            for (int v = 0; v < 4; ++v) t[v] = value_at(outputs.boxes, values.boxes, p, v);
            if (!cells_.empty()) {
                const Cell& cell = cells_[p];
                const double stride = cell.stride;
                t[0] = (t[0] + cell.x) * stride;
                t[1] = (t[1] + cell.y) * stride;
                t[2] = exponential(t[2]) * stride;
                t[3] = exponential(t[3]) * stride;
            }
            const Box box{static_cast<float>(t[0] - 0.5 * t[2]), static_cast<float>(t[1] - 0.5 * t[3]),
                          static_cast<float>(t[0] + 0.5 * t[2]), static_cast<float>(t[1] + 0.5 * t[3])};
            if (!finite(box)) continue;
            candidates.add(score, p, best + 1, static_cast<std::int32_t>(candidates.box.size()));
            candidates.box.push_back(box);
        }
    }
    select(candidates, parameters, kAllOfClass, kernels_, scratch.nms, scratch.detections);

    // from pixels of the input to parts of the image
    const double side = head_.side;
    const bool known = parameters.width > 0 && parameters.height > 0;
    const double w = known ? parameters.width : side, h = known ? parameters.height : side;
    const double gain = std::min(side / h, side / w);
    const double pad_x = head_.centred ? std::floor((side - std::nearbyint(w * gain)) / 2) : 0.0;
    const double pad_y = head_.centred ? std::floor((side - std::nearbyint(h * gain)) / 2) : 0.0;
    for (Detection& detection : scratch.detections) {
        for (int v = 0; v < 4; ++v) {
            const double at = (detection.box[v] - (v % 2 ? pad_y : pad_x)) / (gain * (v % 2 ? h : w));
            const auto part = static_cast<float>(at);
            detection.box[v] = head_.clipped ? std::min(std::max(part, 0.0f), 1.0f) : part;
        }
    }
    return scratch.detections;
}

}  // namespace ssd
