#include "candidates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "exponential.h"

namespace ssd {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float dequantized(const RawOutput& output, int q) {
    return static_cast<float>(output.scale * static_cast<double>(q - output.zero_point));
}

// The anchors of one batch: which they are, and where they lie in an output. A short batch repeats its last anchor.
struct Batch {
    std::int32_t index[kBatch];  // within the map
    int anchor[kBatch], h[kBatch], w[kBatch];

    Batch(const std::int32_t* survivors, std::size_t count, const FeatureMap& map) {
        const int cells = map.grid * map.grid;
        for (std::size_t s = 0; s < kBatch; ++s) {
            index[s] = survivors[std::min(s, count - 1)];
            anchor[s] = index[s] / cells;
            h[s] = index[s] % cells / map.grid;
            w[s] = index[s] % map.grid;
        }
    }

    // to[v][s] = real(the value of channel v * anchors + anchor[s] at the cell of s), for `values` channels.
    template <typename T, typename To, typename Real>
    void gather(const T* data, const Offsets& offsets, const Layout& layout, const FeatureMap& map, int values, To* to,
                Real real) const {
        std::ptrdiff_t place[kBatch];
        for (int s = 0; s < kBatch; ++s) place[s] = offsets.row[h[s]] + std::ptrdiff_t{w[s]} * offsets.column;
        if (layout.order == Order::nchw) {
            // A value is a plane: the anchors of a batch are near each other, so few pages are touched at a time.
            for (int s = 0; s < kBatch; ++s) place[s] += offsets.channel[anchor[s]];
            for (int v = 0; v < values; ++v, data += map.size(), to += kBatch) {
                for (int s = 0; s < kBatch; ++s) to[s] = real(data[place[s]]);
            }
            return;
        }
        for (int s = 0; s < kBatch; ++s) {
            const std::int32_t* channel = offsets.channel.data() + anchor[s];
            for (int v = 0; v < values; ++v) to[v * kBatch + s] = real(data[place[s] + channel[v * map.anchors]]);
        }
    }
};

// The softmax of a batch before its division: terms[c][s] / totals[s] is the probability of class c.
struct Softmax {
    static constexpr int kSize = kClasses * kBatch;
    alignas(64) double terms[kSize];
    alignas(64) double totals[kBatch];

    void compute(const Batch& batch, const RawOutput& classes, const FeatureMap& map, const MapScratch& scratch,
                 const Kernels& kernels) {
        const Offsets& offsets = scratch.class_offsets;
        const ValueTable& table = scratch.class_values;
        if (classes.element == Element::float32) {
            const auto* data = static_cast<const float*>(classes.data);
            batch.gather(data, offsets, classes.layout, map, kClasses, logits_, [](float x) { return x; });
            return from_logits(kernels);
        }
        const auto* data = static_cast<const std::uint8_t*>(classes.data);
        if (table.terms_hold) {
            const double* term = table.term;
            batch.gather(data, offsets, classes.layout, map, kClasses, terms,
                         [term](std::uint8_t q) { return term[q]; });
            return kernels.sum_terms(terms, kClasses, totals);
        }
        const float* value = table.value;
        batch.gather(data, offsets, classes.layout, map, kClasses, logits_,
                     [value](std::uint8_t q) { return value[q]; });
        from_logits(kernels);
    }

  private:
    void from_logits(const Kernels& kernels) {
        alignas(64) double top[kBatch];
        kernels.softmax(logits_, kClasses, top, terms, totals);
        for (int s = 0; s < kBatch; ++s) {
            if (std::isfinite(top[s])) continue;
            // Classes at +inf share the probability; where all are -inf none has any.
            totals[s] = 0;
            for (int c = 0; c < kClasses; ++c) {
                const bool shares = logits_[c * kBatch + s] == kInfinity;
                terms[c * kBatch + s] = shares ? 1.0 : 0.0;
                totals[s] += shares;
            }
        }
    }

    alignas(64) float logits_[kSize];
};

// The boxes of a batch as [left, top, right, bottom][kBatch]; not finite where the box outputs are not.
void decode_boxes(const Batch& batch, const RawOutput& output, const Offsets& offsets, const FeatureMap& map,
                  const float* priors, const Kernels& kernels, float* corners) {
    alignas(64) double deltas[4 * kBatch], of_batch[4 * kBatch];
    const auto dequantize = [&output](int q) { return dequantized(output, q); };
    switch (output.element) {
        case Element::float32:
            batch.gather(static_cast<const float*>(output.data), offsets, output.layout, map, 4, deltas,
                         [](float x) { return x; });
            break;
        case Element::int8:
            batch.gather(static_cast<const std::int8_t*>(output.data), offsets, output.layout, map, 4, deltas,
                         dequantize);
            break;
        case Element::uint8:
            batch.gather(static_cast<const std::uint8_t*>(output.data), offsets, output.layout, map, 4, deltas,
                         dequantize);
            break;
    }
    for (int s = 0; s < kBatch; ++s) {
        for (int v = 0; v < 4; ++v) of_batch[v * kBatch + s] = priors[4 * batch.index[s] + v];
    }
    kernels.boxes(deltas, of_batch, corners);
}

// What one batch adds to the candidates. Boxes are decoded with the batch's first candidate.
class Collector {
  public:
    Collector(const RawOutput& boxes, const FeatureMap& map, const float* priors, float score_threshold,
              const Kernels& kernels, const MapScratch& scratch, Candidates& candidates)
        : boxes_(boxes),
          map_(map),
          priors_(priors),
          score_threshold_(score_threshold),
          kernels_(kernels),
          offsets_(scratch.box_offsets),
          candidates_(candidates) {}

    void collect(const Batch& batch, int count, const Softmax& softmax) {
        alignas(64) double bounds[kBatch];  // below any term whose score rounds to more than the threshold
        for (int s = 0; s < kBatch; ++s) bounds[s] = softmax.totals[s] * score_threshold_ * (1.0 - 1e-6);
        std::uint8_t flags[kClasses * kBatch];
        kernels_.terms_over(softmax.terms, kClasses, bounds, flags);
        decoded_ = false;
        for (int c = 1; c < kClasses; ++c) {
            std::uint64_t any;
            static_assert(sizeof any == kBatch);
            std::memcpy(&any, flags + c * kBatch, sizeof any);
            if (any == 0) continue;
            for (int s = 0; s < count; ++s) {
                if (!flags[c * kBatch + s]) continue;
                const auto score = static_cast<float>(softmax.terms[c * kBatch + s] / softmax.totals[s]);
                if (!(score > score_threshold_)) continue;
                const std::int32_t box = box_of(batch, s);
                if (box != kNotFinite) candidates_.add(score, map_.first + batch.index[s], c, box);
            }
        }
    }

  private:
    static constexpr std::int32_t kUnknown = -1, kNotFinite = -2;

    std::int32_t box_of(const Batch& batch, int s) {
        if (!decoded_) {
            decode_boxes(batch, boxes_, offsets_, map_, priors_, kernels_, corners_);
            std::fill_n(box_of_, kBatch, kUnknown);
            decoded_ = true;
        }
        if (box_of_[s] == kUnknown) {
            const Box box{corners_[s], corners_[kBatch + s], corners_[2 * kBatch + s], corners_[3 * kBatch + s]};
            const bool finite = std::isfinite(box.left) && std::isfinite(box.top) && std::isfinite(box.right) &&
                                std::isfinite(box.bottom);
            box_of_[s] = finite ? static_cast<std::int32_t>(candidates_.box.size()) : kNotFinite;
            if (finite) candidates_.box.push_back(box);
        }
        return box_of_[s];
    }

    const RawOutput& boxes_;
    const FeatureMap& map_;
    const float* priors_;
    const float score_threshold_;
    const Kernels& kernels_;
    const Offsets& offsets_;
    Candidates& candidates_;
    alignas(64) float corners_[4 * kBatch];
    std::int32_t box_of_[kBatch];
    bool decoded_ = false;
};

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
    for (int b = 0; b < 256; ++b) {
        term[b] = value[b] - largest;
        exponential_in_range<double, std::uint64_t>(term[b]);
    }
}

void find_candidates(const RawOutput& classes, const RawOutput& boxes, const FeatureMap& map, const float* priors,
                     const std::vector<std::int32_t>& survivors, float score_threshold, const Kernels& kernels,
                     MapScratch& scratch, Candidates& candidates) {
    if (survivors.empty()) return;
    scratch.class_values.describe(classes);
    scratch.box_offsets.describe(boxes.layout, 4 * map.anchors, map.grid);
    Softmax softmax;
    Collector collector(boxes, map, priors, score_threshold, kernels, scratch, candidates);
    for (std::size_t from = 0; from < survivors.size(); from += kBatch) {
        const std::size_t count = std::min<std::size_t>(kBatch, survivors.size() - from);
        const Batch batch(survivors.data() + from, count, map);
        softmax.compute(batch, classes, map, scratch, kernels);
        collector.collect(batch, static_cast<int>(count), softmax);
    }
}

}  // namespace ssd
