#include "raw_output.h"

namespace ssd {

namespace {
constexpr std::int64_t kLargest = 1 << 30;  // elements of one tensor: offsets fit 32 bits

std::int64_t blocks(std::int64_t of, std::int64_t per) { return (of + per - 1) / per; }
}  // namespace

bool Layout::holds(std::int64_t channels, std::int64_t grid, std::int64_t size) const {
    std::int64_t elements = 1;
    for (const std::int64_t extent : {ho, co, hi, ci, w}) {
        if (extent < 1 || extent > kLargest) return false;
        elements *= extent;
        if (elements > kLargest) return false;
    }
    return elements == size && ho * hi >= grid && ci >= blocks(channels, co) && w >= grid;
}

void Offsets::describe(const Layout& layout, int channels, int grid) {
    if (layout == layout_ && channel.size() == static_cast<std::size_t>(channels) &&
        row.size() == static_cast<std::size_t>(grid)) {
        return;
    }
    channel.resize(channels);
    row.resize(grid);
    layout_ = layout;
    const auto [order, ho, co, hi, ci, w] = layout;
    (void)ho;
    if (order == Order::nchw) {
        for (int c = 0; c < channels; ++c) channel[c] = c * grid * grid;
        for (int h = 0; h < grid; ++h) row[h] = h * grid;
        column = 1;
        return;
    }
    const bool channel_last = order == Order::hchwc;
    const std::int64_t per_block = channel_last ? blocks(channels, co) : ci;
    for (int c = 0; c < channels; ++c) {
        const std::int64_t inner = (c % per_block) * (channel_last ? 1 : w);
        channel[c] = static_cast<std::int32_t>((c / per_block) * hi * ci * w + inner);
    }
    for (int h = 0; h < grid; ++h) {
        row[h] = static_cast<std::int32_t>((h / hi) * co * hi * ci * w + (h % hi) * ci * w);
    }
    column = static_cast<std::int32_t>(channel_last ? ci : 1);
}

}  // namespace ssd
