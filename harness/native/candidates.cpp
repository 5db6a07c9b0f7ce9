#include "candidates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "exponential.h"

namespace ssd {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int32_t kUnknown = -1, kNotFinite = -2;

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

// Up to kBatch anchors of one map and the softmax of each before its division: terms[c][s] / totals[s] is the
// probability of class c.
class Batch {
  public:
    Batch(const RawOutput& classes, const FeatureMap& map, const MapScratch& scratch, const Kernels& kernels)
        : classes_(classes),
          map_(map),
          values_(scratch.class_values),
          offsets_(scratch.class_offsets),
          kernels_(kernels) {}

    alignas(64) double terms[Decoder::kClasses * kBatch];
    alignas(64) double totals[kBatch];
    int anchor[kBatch], h[kBatch], w[kBatch];

    void compute(const std::int32_t* survivors, int count) {
        const int cells = map_.grid * map_.grid;
        for (int s = 0; s < kBatch; ++s) {
            const std::int32_t survivor = survivors[std::min(s, count - 1)];  // a short batch repeats its last
            anchor[s] = survivor / cells;
            h[s] = survivor % cells / map_.grid;
            w[s] = survivor % map_.grid;
            at_[s] = offsets_.row[h[s]] + static_cast<std::ptrdiff_t>(w[s]) * offsets_.column;
        }
        if (classes_.element == Element::float32) {
            const auto* data = static_cast<const float*>(classes_.data);
            gather(logits_, [data](std::ptrdiff_t at) { return data[at]; });
            return from_logits();
        }
        const auto* data = static_cast<const std::uint8_t*>(classes_.data);
        if (values_.terms_hold) {
            gather(terms, [data, this](std::ptrdiff_t at) { return values_.term[data[at]]; });
            return kernels_.sum_terms(terms, Decoder::kClasses, totals);
        }
        gather(logits_, [data, this](std::ptrdiff_t at) { return values_.value[data[at]]; });
        from_logits();
    }

  private:
    template <typename To, typename Value>
    void gather(To* to, Value value) {
        const std::int32_t* of_anchor[kBatch];
        for (int s = 0; s < kBatch; ++s) of_anchor[s] = offsets_.channel.data() + anchor[s];
        for (int c = 0; c < Decoder::kClasses; ++c) {
            for (int s = 0; s < kBatch; ++s) to[c * kBatch + s] = value(at_[s] + of_anchor[s][c * map_.anchors]);
        }
    }

    void from_logits() {
        alignas(64) double top[kBatch];
        kernels_.softmax(logits_, Decoder::kClasses, top, terms, totals);
        for (int s = 0; s < kBatch; ++s) {
            if (top[s] != kInfinity && top[s] != -kInfinity) continue;
            // Classes at +inf share the probability; without any finite logit nothing has a probability.
            totals[s] = 0;
            for (int c = 0; c < Decoder::kClasses; ++c) {
                const bool shares = logits_[c * kBatch + s] == kInfinity;
                terms[c * kBatch + s] = shares ? 1.0 : 0.0;
                totals[s] += shares;
            }
        }
    }

    const RawOutput& classes_;
    const FeatureMap& map_;
    const ValueTable& values_;
    const Offsets& offsets_;
    const Kernels& kernels_;
    std::ptrdiff_t at_[kBatch];
    alignas(64) float logits_[Decoder::kClasses * kBatch];
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

void Candidates::add(float score, std::int32_t anchor, std::int32_t label, std::int32_t box_index) {
    std::uint32_t bits;  // of a positive float: they order as the floats do
    std::memcpy(&bits, &score, sizeof bits);
    keys.push_back(static_cast<std::uint64_t>(~bits) << 32 | static_cast<std::uint32_t>(anchor));
    labels.push_back(label);
    boxes.push_back(box_index);
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
    for (int b = 0; b < 256; ++b) term[b] = exponential(static_cast<double>(value[b]) - largest);
}

void find_candidates(const RawOutput& classes, const RawOutput& boxes, const FeatureMap& map, const float* priors,
                     const std::vector<std::int32_t>& survivors, float score_threshold, const Kernels& kernels,
                     MapScratch& scratch, Candidates& candidates) {
    if (survivors.empty()) return;
    scratch.class_values.describe(classes);
    scratch.box_offsets.describe(boxes.layout, 4 * map.anchors, map.grid);
    const Offsets& box_at = scratch.box_offsets;
    Batch batch(classes, map, scratch, kernels);
    std::uint8_t flags[Decoder::kClasses * kBatch];
    for (std::size_t from = 0; from < survivors.size(); from += kBatch) {
        const int count = static_cast<int>(std::min<std::size_t>(kBatch, survivors.size() - from));
        batch.compute(survivors.data() + from, count);
        // Bounds below any term whose score rounds to more than the threshold: the division decides.
        double bounds[kBatch];
        for (int s = 0; s < kBatch; ++s) bounds[s] = batch.totals[s] * score_threshold * (1.0 - 1e-6);
        kernels.terms_over(batch.terms, Decoder::kClasses, bounds, flags);
        std::int32_t box_of[kBatch];
        std::fill(std::begin(box_of), std::end(box_of), kUnknown);
        for (int c = 1; c < Decoder::kClasses; ++c) {
            std::uint64_t any;
            static_assert(sizeof any == kBatch);
            std::memcpy(&any, flags + c * kBatch, sizeof any);
            if (any == 0) continue;
            for (int s = 0; s < count; ++s) {
                if (!flags[c * kBatch + s]) continue;
                const float score = static_cast<float>(batch.terms[c * kBatch + s] / batch.totals[s]);
                if (!(score > score_threshold)) continue;
                const std::int32_t survivor = survivors[from + s];
                if (box_of[s] == kUnknown) {
                    Box box;
                    const std::ptrdiff_t at = box_at.row[batch.h[s]] + batch.w[s] * box_at.column;
                    const bool finite = decode_box(boxes, box_at, map, batch.anchor[s], at, priors + 4 * survivor, box);
                    box_of[s] = finite ? static_cast<std::int32_t>(candidates.box.size()) : kNotFinite;
                    if (finite) candidates.box.push_back(box);
                }
                if (box_of[s] != kNotFinite) candidates.add(score, map.first + survivor, c, box_of[s]);
            }
        }
    }
}

}  // namespace ssd
