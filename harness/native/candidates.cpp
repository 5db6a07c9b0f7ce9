#include "candidates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "exponential.h"

namespace ssd {

namespace {

constexpr int kPadded = (Decoder::kClasses + 7) / 8 * 8;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float dequantized(const RawOutput& output, int q) {
    return static_cast<float>(output.scale * static_cast<double>(q - output.zero_point));
}

float value_at(const RawOutput& output, std::ptrdiff_t at) {
    switch (output.element) {
        case Element::int8:
            return dequantized(output, static_cast<const std::int8_t*>(output.data)[at]);
        case Element::uint8:
            return dequantized(output, static_cast<const std::uint8_t*>(output.data)[at]);
        default:
            return static_cast<const float*>(output.data)[at];
    }
}

// The softmax of one anchor before its division: terms[c] / total is the probability of class c.
class Softmax {
  public:
    Softmax(const RawOutput& classes, const FeatureMap& map, const ValueTable& values, const Offsets& offsets,
            const Kernels& kernels)
        : classes_(classes), map_(map), values_(values), offsets_(offsets), kernels_(kernels) {
        std::fill(std::begin(terms), std::end(terms), 0.0);
        std::fill(std::begin(logits_), std::end(logits_), -kInfinity);
    }

    alignas(64) double terms[kPadded];

    // Returns the total; 0 where no class has a probability. `at` is the place of the anchor's cell.
    double compute(int anchor, std::ptrdiff_t at) {
        if (classes_.element == Element::float32) {
            const float* cell = static_cast<const float*>(classes_.data) + at;
            gather(anchor, [cell](std::int32_t offset) { return cell[offset]; });
            return from_logits();
        }
        const auto* cell = static_cast<const std::uint8_t*>(classes_.data) + at;
        if (!values_.terms_hold) {
            gather(anchor, [cell, this](std::int32_t offset) { return values_.value[cell[offset]]; });
            return from_logits();
        }
        const std::int32_t* channel = offsets_.channel.data() + anchor;
        for (int c = 0; c < Decoder::kClasses; ++c) terms[c] = values_.term[cell[channel[c * map_.anchors]]];
        double lanes[8] = {};
        for (int c = 0; c < kPadded; c += 8) {
            for (int lane = 0; lane < 8; ++lane) lanes[lane] += terms[c + lane];
        }
        return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    }

  private:
    template <typename Value>
    void gather(int anchor, Value value) {
        const std::int32_t* channel = offsets_.channel.data() + anchor;
        for (int c = 0; c < Decoder::kClasses; ++c) {
            const float logit = value(channel[c * map_.anchors]);
            logits_[c] = logit == logit ? logit : -kInfinity;
        }
    }

    double from_logits() {
        const float top = *std::max_element(logits_, logits_ + Decoder::kClasses);
        if (top == -kInfinity) return 0.0;
        if (top < kInfinity) return kernels_.exp_terms(logits_, top, terms, kPadded);
        double total = 0.0;
        for (int c = 0; c < Decoder::kClasses; ++c) total += terms[c] = logits_[c] == kInfinity ? 1.0 : 0.0;
        return total;
    }

    const RawOutput& classes_;
    const FeatureMap& map_;
    const ValueTable& values_;
    const Offsets& offsets_;
    const Kernels& kernels_;
    alignas(64) float logits_[kPadded];
};

// centre = prior centre + 0.1 t prior size, size = prior size exp(0.2 t); false where the box is not finite.
bool decode_box(const RawOutput& output, const Offsets& offsets, const FeatureMap& map, int anchor, std::ptrdiff_t at,
                const float* prior, Box& box) {
    double t[4];
    for (int v = 0; v < 4; ++v) t[v] = value_at(output, at + offsets.channel[v * map.anchors + anchor]);
    const double x = prior[0] + (0.1 * t[0]) * prior[2];
    const double y = prior[1] + (0.1 * t[1]) * prior[3];
    const double half_width = 0.5 * (prior[2] * exponential(0.2 * t[2]));
    const double half_height = 0.5 * (prior[3] * exponential(0.2 * t[3]));
    box = {static_cast<float>(x - half_width), static_cast<float>(y - half_height), static_cast<float>(x + half_width),
           static_cast<float>(y + half_height)};
    return std::isfinite(box.left) && std::isfinite(box.top) && std::isfinite(box.right) && std::isfinite(box.bottom);
}

}  // namespace

void Candidates::clear() {
    keys.clear();
    labels.clear();
    boxes.clear();
    box.clear();
}

void Candidates::add(float score, std::int32_t anchor, std::int32_t label) {
    std::uint32_t bits;  // of a positive float: they order as the floats do
    std::memcpy(&bits, &score, sizeof bits);
    keys.push_back(static_cast<std::uint64_t>(~bits) << 32 | static_cast<std::uint32_t>(anchor));
    labels.push_back(label);
    boxes.push_back(static_cast<std::int32_t>(box.size()) - 1);
}

float Candidates::score_of(std::uint64_t key) {
    const auto bits = ~static_cast<std::uint32_t>(key >> 32);
    float score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
}

void ValueTable::describe(const RawOutput& output) {
    if (output.element == Element::float32) return;
    if (output.element == element_ && output.scale == scale_ && output.zero_point == zero_point_) return;
    element_ = output.element;
    scale_ = output.scale;
    zero_point_ = output.zero_point;
    const int lowest = element_ == Element::int8 ? -128 : 0;
    for (int q = lowest; q < lowest + 256; ++q) value[static_cast<std::uint8_t>(q)] = dequantized(output, q);
    terms_hold = output.scale * 255.0 <= 600.0;
    if (!terms_hold) return;
    const double largest = value[static_cast<std::uint8_t>(lowest + 255)];
    for (int b = 0; b < 256; ++b) term[b] = exponential_in_range(static_cast<double>(value[b]) - largest);
}

void find_candidates(const RawOutput& classes, const RawOutput& boxes, const FeatureMap& map, const float* priors,
                     const std::vector<std::int32_t>& survivors, float score_threshold, const Kernels& kernels,
                     MapScratch& scratch, Candidates& candidates) {
    if (survivors.empty()) return;
    scratch.class_values.describe(classes);
    scratch.box_offsets.describe(boxes.layout, 4 * map.anchors, map.grid);
    const Offsets& class_at = scratch.class_offsets;
    const Offsets& box_at = scratch.box_offsets;
    const int cells = map.grid * map.grid;
    Softmax softmax(classes, map, scratch.class_values, class_at, kernels);
    std::uint8_t flags[kPadded];
    for (const std::int32_t survivor : survivors) {
        const int anchor = survivor / cells, h = survivor % cells / map.grid, w = survivor % map.grid;
        const double total = softmax.compute(anchor, class_at.row[h] + w * class_at.column);
        // A bound below any term whose score rounds to more than the threshold: the division decides.
        kernels.terms_over(softmax.terms, total * score_threshold * (1.0 - 1e-6), flags, kPadded);
        bool boxed = false;
        for (int c = 1; c < Decoder::kClasses; ++c) {
            if (!flags[c]) continue;
            const float score = static_cast<float>(softmax.terms[c] / total);
            if (!(score > score_threshold)) continue;
            if (!boxed) {
                Box box;
                const std::ptrdiff_t at = box_at.row[h] + w * box_at.column;
                if (!decode_box(boxes, box_at, map, anchor, at, priors + 4 * survivor, box)) break;
                candidates.box.push_back(box);
                boxed = true;
            }
            candidates.add(score, map.first + survivor, c);
        }
    }
}

}  // namespace ssd
