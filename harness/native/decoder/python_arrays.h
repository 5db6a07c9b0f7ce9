// Between Python's arrays and the decoders, for the bindings of all of them: raw outputs on the way in, taken apart
// without a copy and refused where a decode could not read them safely; detections on the way out. The wording of a
// refusal is the caller's (check_raw_outputs of each model): here it is a std::invalid_argument.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "../image_decoder.h"
#include "raw_output.h"
#include "types.h"

namespace ssd {

constexpr std::size_t kMostOutputs = 2 * kMostMaps;

// The raw outputs of one image, checked: what they point into is alive while the GIL is released.
struct CheckedOutputs : native::Reading {
    std::size_t count = 0;
    std::array<RawOutput, kMostOutputs> raw;
    std::array<std::ptrdiff_t, kMostOutputs> size;  // values of it
    std::array<pybind11::object, kMostOutputs> held;

    int not_finite(bool every_value) const override;
};

[[noreturn]] void refuse(std::size_t index);

// C-contiguous and aligned.
bool readable(const pybind11::array& array);

// Whether the array has these sizes, or a batch of one of them.
bool has_shape(pybind11::handle array, const std::vector<pybind11::ssize_t>& sizes);

// A tuple of its own, which nobody can change while the attributes of its items are asked for.
pybind11::tuple items_of(pybind11::handle outputs, std::size_t count);

// As PyLong_AsLongLong; what is no such number is refused.
long long whole_number(pybind11::handle value, std::size_t index);

// The name of an attribute: a look-up by it compares pointers.
inline pybind11::str interned(const char* text) {
    return pybind11::reinterpret_steal<pybind11::str>(PyUnicode_InternFromString(text));
}

// Takes a float32 array, or a QuantizedTensor of int8 or uint8, apart. Its shape and its layout are the caller's to
// check.
class OutputReader {
  public:
    explicit OutputReader(pybind11::type quantized_tensor) : quantized_tensor_(std::move(quantized_tensor)) {}

    // Data, element type and quantization. `array` becomes the array of the data, and keeps it alive; `layout` becomes
    // the attribute of the QuantizedTensor, None for an array.
    RawOutput read(pybind11::handle output, std::size_t index, pybind11::object& array, pybind11::object& layout) const;

  private:
    pybind11::type quantized_tensor_;
    const pybind11::str data_ = interned("data"), scale_ = interned("scale"), zero_point_ = interned("zero_point"),
                        layout_ = interned("layout");
};

// (boxes (K, 4) float32, scores (K,) float32, labels (K,) int32)
pybind11::tuple as_arrays(const std::vector<Detection>& found);

}  // namespace ssd
