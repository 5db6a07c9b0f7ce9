// One raw output as it lies in memory, and where its elements are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ssd {

enum class Element { float32, int8, uint8 };

// Plain NCHW, or one of the tiled, padded layouts of harness.records.TiledLayout.
enum class Order { nchw, hchcw, hchwc };

struct Layout {
    Order order = Order::nchw;
    std::int64_t ho = 0, co = 0, hi = 0, ci = 0, w = 0;

    bool operator==(const Layout& o) const {
        return order == o.order && ho == o.ho && co == o.co && hi == o.hi && ci == o.ci && w == o.w;
    }
    // Whether a (channels, grid, grid) tensor fits, and a buffer of `size` elements is exactly this layout's.
    bool holds(std::int64_t channels, std::int64_t grid, std::int64_t size) const;
};

struct RawOutput {
    const void* data = nullptr;
    Element element = Element::float32;
    double scale = 1.0;  // real value = scale * (data - zero_point), for int8 and uint8
    int zero_point = 0;
    Layout layout;
};

// The element (c, h, w) lies at channel[c] + row[h] + column * w, in every order.
struct Offsets {
    std::vector<std::int32_t> channel, row;
    std::int32_t column = 1;

    // Does nothing when these are already the offsets of that layout and size.
    void describe(const Layout& layout, int channels, int grid);

  private:
    Layout layout_;
};

}  // namespace ssd
