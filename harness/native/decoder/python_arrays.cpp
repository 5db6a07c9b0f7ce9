#include "python_arrays.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace py = pybind11;

namespace ssd {

namespace {

Element element_of(const py::array& array, std::size_t index) {
    const py::dtype dtype = array.dtype();
    if (!readable(array) || (dtype.byteorder() != '=' && dtype.byteorder() != '|')) refuse(index);
    switch (dtype.num()) {
        case py::detail::npy_api::NPY_FLOAT_:
            return Element::float32;
        case py::detail::npy_api::NPY_BYTE_:
            return Element::int8;
        case py::detail::npy_api::NPY_UBYTE_:
            return Element::uint8;
        default:
            refuse(index);
    }
}

}  // namespace

int CheckedOutputs::not_finite(bool every_value) const {
    for (std::size_t i = 0; i < count; ++i) {
        if (raw[i].element != Element::float32) continue;
        const auto* values = static_cast<const unsigned char*>(raw[i].data);
        std::uint32_t found = 0;
        for (std::ptrdiff_t k = 0; k < (every_value ? size[i] : 1); ++k) {
            std::uint32_t bits;
            std::memcpy(&bits, values + k * sizeof bits, sizeof bits);
            found |= (bits & 0x7f800000U) == 0x7f800000U;  // an exponent of ones: infinity or NaN
        }
        if (found) return static_cast<int>(i);
    }
    return -1;
}

void refuse(std::size_t index) {
    throw std::invalid_argument("raw output " + std::to_string(index) + " is not acceptable");
}

bool readable(const py::array& array) {
    constexpr int kNeeded = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    return (array.flags() & kNeeded) == kNeeded;
}

bool has_shape(py::handle of, const std::vector<py::ssize_t>& sizes) {
    const auto array = py::reinterpret_borrow<py::array>(of);
    const auto dimensions = static_cast<py::ssize_t>(sizes.size());
    const py::ssize_t batch = array.ndim() == dimensions + 1 ? 1 : 0;
    if (array.ndim() != dimensions + batch || (batch && array.shape(0) != 1)) return false;
    for (py::ssize_t k = 0; k < dimensions; ++k) {
        if (array.shape(k + batch) != sizes[k]) return false;
    }
    return true;
}

py::tuple items_of(py::handle outputs, std::size_t count) {
    if (!PyList_Check(outputs.ptr()) && !PyTuple_Check(outputs.ptr())) {
        throw std::invalid_argument("not a list or tuple");
    }
    auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(outputs.ptr()));
    if (!items) throw py::error_already_set();
    if (items.size() != count) throw std::invalid_argument("wrong number of raw outputs");
    return items;
}

long long whole_number(py::handle value, std::size_t index) {
    const long long number = PyLong_AsLongLong(value.ptr());
    if (number == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        refuse(index);
    }
    return number;
}

RawOutput OutputReader::read(py::handle output, std::size_t index, py::object& held, py::object& layout) const {
    const bool quantized = !py::isinstance<py::array>(output);
    if (quantized && !py::isinstance(output, quantized_tensor_)) refuse(index);
    held = quantized ? output.attr(data_) : py::reinterpret_borrow<py::object>(output);
    if (!py::isinstance<py::array>(held)) refuse(index);
    const auto array = py::reinterpret_borrow<py::array>(held);
    RawOutput raw;
    raw.data = array.data();
    raw.element = element_of(array, index);
    if (quantized == (raw.element == Element::float32)) refuse(index);
    layout = py::none();
    if (!quantized) return raw;

    layout = output.attr(layout_);
    const py::object scale = output.attr(scale_);
    if (py::isinstance<py::array>(scale)) refuse(index);
    raw.scale = PyFloat_AsDouble(scale.ptr());
    if (PyErr_Occurred()) {
        PyErr_Clear();
        refuse(index);
    }
    if (!std::isfinite(raw.scale) || raw.scale <= 0) refuse(index);
    const long long zero_point = whole_number(output.attr(zero_point_), index);
    const int lowest = raw.element == Element::int8 ? -128 : 0;
    if (zero_point < lowest || zero_point > lowest + 255) refuse(index);
    raw.zero_point = static_cast<int>(zero_point);
    return raw;
}

py::tuple as_arrays(const std::vector<Detection>& found) {
    const auto count = static_cast<py::ssize_t>(found.size());
    py::array_t<float> boxes({count, py::ssize_t{4}});
    py::array_t<float> scores(count);
    py::array_t<std::int32_t> labels(count);
    float *box = boxes.mutable_data(), *score = scores.mutable_data();
    std::int32_t* label = labels.mutable_data();
    for (const Detection& detection : found) {
        std::memcpy(box, detection.box, sizeof detection.box);
        box += 4;
        *score++ = detection.score;
        *label++ = detection.label;
    }
    return py::make_tuple(std::move(boxes), std::move(scores), std::move(labels));
}

}  // namespace ssd
