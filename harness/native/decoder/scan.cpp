#include "scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace ssd {

namespace {

// A class c can only score above t if exp(x_c) / (exp(x_c) + exp(x_0)) > t, that is x_c - x_0 > ln(t / (1 - t)).
// Less a margin for what float32 rounding of the score and of the sums below can do.
double least_log_odds(float score_threshold) {
    const double t = std::max(static_cast<double>(score_threshold), 1e-46) * (1.0 - 2e-7);  // float32 may hold t = 0
    return std::log(t / (1.0 - t)) - 1e-3;
}

// The same bound in steps of `scale`. The margin of 1e-3 steps covers the rounding of the dequantized values.
int least_steps(float score_threshold, double scale) {
    if (scale * 512.0 > std::numeric_limits<float>::max()) return -256;  // real values that overflow: reject nothing
    const double steps = std::ceil(least_log_odds(score_threshold) / scale - 1e-3);
    return static_cast<int>(std::clamp(steps, -256.0, 256.0));
}

template <typename T>
struct Traits;

template <>
struct Traits<float> {
    using Margin = float;
    static constexpr float kLowest = -std::numeric_limits<float>::infinity();
    static Margin margin(float t, double) { return static_cast<float>(least_log_odds(t)); }
    static constexpr auto max_of = &Kernels::max_f32;
    static constexpr auto over = &Kernels::over_f32;
};

template <>
struct Traits<std::int8_t> {
    using Margin = int;
    static constexpr std::int8_t kLowest = -128;
    static Margin margin(float t, double scale) { return least_steps(t, scale); }
    static constexpr auto max_of = &Kernels::max_i8;
    static constexpr auto max_in_turn = &Kernels::max_in_turn_i8;
    static constexpr auto max_within = &Kernels::max_within_i8;
    static constexpr auto largest = &Kernels::largest_i8;
    static constexpr auto over = &Kernels::over_i8;
};

template <>
struct Traits<std::uint8_t> {
    using Margin = int;
    static constexpr std::uint8_t kLowest = 0;
    static Margin margin(float t, double scale) { return least_steps(t, scale); }
    static constexpr auto max_of = &Kernels::max_u8;
    static constexpr auto max_in_turn = &Kernels::max_in_turn_u8;
    static constexpr auto max_within = &Kernels::max_within_u8;
    static constexpr auto largest = &Kernels::largest_u8;
    static constexpr auto over = &Kernels::over_u8;
};

// Calls found(j) for every j with flags[j] set; flags are padded to a multiple of 8.
template <typename Found>
void for_each_flag(const std::uint8_t* flags, std::ptrdiff_t n, Found found) {
    for (std::ptrdiff_t j = 0; j < n; j += 8) {
        std::uint64_t eight;
        std::memcpy(&eight, flags + j, 8);
        if (eight == 0) continue;
        for (std::ptrdiff_t i = j; i < std::min(j + 8, n); ++i) {
            if (flags[i]) found(i);
        }
    }
}

template <typename T>
class Scan {
    using Margin = typename Traits<T>::Margin;

  public:
    Scan(const RawOutput& classes, const Offsets& offsets, const FeatureMap& map, float score_threshold,
         const Kernels& kernels, ScanScratch& scratch, std::vector<std::int32_t>& survivors)
        : data_(static_cast<const T*>(classes.data)),
          layout_(classes.layout),
          offsets_(offsets),
          map_(map),
          margin_(Traits<T>::margin(score_threshold, classes.scale)),
          kernels_(kernels),
          scratch_(scratch),
          survivors_(survivors) {}

    void run() {
        if constexpr (!std::is_same_v<T, float>) {
            if (layout_.order == Order::hchcw) return rows();
            if (layout_.order == Order::hchwc) return pixels();
        }
        planes();
    }

  private:
    // The planes of a class are one row of anchors; the classes follow each other.
    void planes() {
        constexpr std::ptrdiff_t kTile = 16384 / sizeof(T);  // its maxima stay in the first-level cache
        const std::ptrdiff_t anchors = map_.size();
        T* best = reserve(kTile);
        for (std::ptrdiff_t from = 0; from < anchors; from += kTile) {
            const std::ptrdiff_t n = std::min(kTile, anchors - from);
            std::fill_n(best, n, Traits<T>::kLowest);
            max_of(best, data_ + anchors + from, anchors, kClasses - 1, n);
            mark(best, data_ + from, n);
            for_each_flag(flags(), n, [&](std::ptrdiff_t j) { survivors_.push_back(from + j); });
        }
    }

    // HCHCW: for a row of cells the channels of a block follow each other, W places each.
    void rows() {
        const std::ptrdiff_t w = layout_.w, a = map_.anchors;
        T* best = reserve(2 * a * w);
        T* background = best + a * w;
        for (int h = 0; h < map_.grid; ++h) {
            const T* row = data_ + offsets_.row[h];
            for (int k = 0; k < a; ++k) std::copy_n(row + offsets_.channel[k], w, background + k * w);
            std::fill_n(best, a * w, Traits<T>::kLowest);
            (kernels_.*Traits<T>::max_in_turn)(best, row, offsets_.channel.data() + a, kClasses - 1, a, w);
            mark(best, background, a * w);
            for_each_flag(flags(), a * w, [&](std::ptrdiff_t j) { push(j / w, h, j % w); });
        }
    }

    // HCHWC: a cell's channels lie side by side, in Co blocks. A cell is rejected as a whole by its largest foreground
    // logit against its smallest background logit; what is left is looked at anchor by anchor.
    void pixels() {
        const std::ptrdiff_t ci = layout_.ci, a = map_.anchors, channels = kClasses * a, n = map_.grid * ci;
        const std::ptrdiff_t per_block = (channels + layout_.co - 1) / layout_.co;
        const std::ptrdiff_t block_stride = layout_.hi * layout_.w * ci;
        // The blocks that hold foreground only, and those that hold some: the first of them, the last, or one.
        const std::ptrdiff_t first = (a + per_block - 1) / per_block, whole = channels / per_block;
        const std::ptrdiff_t from_lane = a % per_block, to_lane = channels % per_block;
        T* best = reserve(5 * n + map_.grid);
        T *of_whole = best + n, *lanes = best + 2 * n, *first_lanes = best + 3 * n, *last_lanes = best + 4 * n;
        T* of_cell = best + 5 * n;
        limit(lanes, 0, per_block);
        limit(first_lanes, from_lane, per_block);
        limit(last_lanes, 0, to_lane);
        for (int h = 0; h < map_.grid; ++h) {
            const T* row = data_ + offsets_.row[h];
            std::fill_n(best, n, Traits<T>::kLowest);
            if (first < whole) {
                std::fill_n(of_whole, n, Traits<T>::kLowest);
                max_of(of_whole, row + first * block_stride, block_stride, whole - first, n);
                max_within(best, of_whole, lanes, n);
            }
            if (from_lane != 0) max_within(best, row + (first - 1) * block_stride, first_lanes, n);
            if (to_lane != 0) max_within(best, row + whole * block_stride, last_lanes, n);
            (kernels_.*Traits<T>::largest)(best, map_.grid, ci, of_cell);
            for (int x = 0; x < map_.grid; ++x) cell(row + x * ci, of_cell[x], h, x);
        }
    }

    // Of every cell's ci lanes, the highest value where lane is in [from, to), else the lowest.
    void limit(T* limits, std::ptrdiff_t from, std::ptrdiff_t to) {
        std::fill_n(limits, map_.grid * layout_.ci, Traits<T>::kLowest);
        for (int x = 0; x < map_.grid; ++x) {
            std::fill(limits + x * layout_.ci + from, limits + x * layout_.ci + to, std::numeric_limits<T>::max());
        }
    }

    void max_within(T* best, const T* row, const T* limits, std::ptrdiff_t n) {
        (kernels_.*Traits<T>::max_within)(best, row, limits, n);
    }

    void cell(const T* at, T best, int h, int w) {
        for (int k = 0; k < map_.anchors; ++k) {
            const T background = at[offsets_.channel[k]];
            if (best - background < margin_) continue;
            T of_anchor = Traits<T>::kLowest;
            for (int c = 1; c < kClasses; ++c) {
                of_anchor = std::max(of_anchor, at[offsets_.channel[c * map_.anchors + k]]);
            }
            if (of_anchor - background >= margin_) push(k, h, w);
        }
    }

    void push(std::ptrdiff_t anchor, std::ptrdiff_t h, std::ptrdiff_t w) {
        if (w < map_.grid) {
            survivors_.push_back(static_cast<std::int32_t>((anchor * map_.grid + h) * map_.grid + w));
        }
    }

    void max_of(T* best, const T* rows, std::ptrdiff_t stride, std::ptrdiff_t count, std::ptrdiff_t n) {
        (kernels_.*Traits<T>::max_of)(best, rows, stride, count, n);
    }

    void mark(const T* best, const T* background, std::ptrdiff_t n) {
        scratch_.flags.resize(std::max<std::size_t>(scratch_.flags.size(), n + 8));
        (kernels_.*Traits<T>::over)(best, background, margin_, scratch_.flags.data(), n);
        std::fill_n(scratch_.flags.data() + n, 8, std::uint8_t{0});
    }

    const std::uint8_t* flags() const { return scratch_.flags.data(); }

    T* reserve(std::ptrdiff_t n) {
        constexpr std::size_t kLine = sizeof(ScanScratch::Line);
        scratch_.best.resize(std::max(scratch_.best.size(), (n * sizeof(T) + kLine - 1) / kLine));
        return reinterpret_cast<T*>(scratch_.best.data());
    }

    const T* data_;
    const Layout& layout_;
    const Offsets& offsets_;
    const FeatureMap& map_;
    const Margin margin_;
    const Kernels& kernels_;
    ScanScratch& scratch_;
    std::vector<std::int32_t>& survivors_;
};

}  // namespace

void scan(const RawOutput& classes, const Offsets& offsets, const FeatureMap& map, float score_threshold,
          const Kernels& kernels, ScanScratch& scratch, std::vector<std::int32_t>& survivors) {
    switch (classes.element) {
        case Element::float32:
            return Scan<float>(classes, offsets, map, score_threshold, kernels, scratch, survivors).run();
        case Element::int8:
            return Scan<std::int8_t>(classes, offsets, map, score_threshold, kernels, scratch, survivors).run();
        case Element::uint8:
            return Scan<std::uint8_t>(classes, offsets, map, score_threshold, kernels, scratch, survivors).run();
    }
}

}  // namespace ssd
