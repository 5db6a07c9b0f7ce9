// The Python binding: takes the raw outputs apart without copying them, and refuses what a decode could not read
// safely. The wording of a refusal is the caller's (harness.model.ssd_resnet34.raw_outputs).
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "../gil.h"
#include "../image_decoder.h"
#include "anchor_free_binding.h"
#include "decoder.h"

namespace py = pybind11;

namespace {

using ssd::Element;
using ssd::Order;

struct Refused : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

[[noreturn]] void refuse(std::size_t index) {
    throw Refused("raw output " + std::to_string(index) + " is not acceptable");
}

const ssd::Kernels& kernels_named(const std::string& name) {
    std::string names;
    for (const ssd::Kernels* kernels : ssd::available_kernels()) {
        if (name.empty() || name == kernels->name) return *kernels;
        names += (names.empty() ? "" : ", ") + std::string(kernels->name);
    }
    throw py::value_error("expected one of those this machine can run: " + names + "; got " + name);
}

bool readable(const py::array& array) {
    constexpr int kNeeded = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    return (array.flags() & kNeeded) == kNeeded;
}

bool has_shape(const py::array& array, py::ssize_t channels, py::ssize_t grid) {
    const py::ssize_t* shape = array.shape();
    if (array.ndim() == 4) return shape[0] == 1 && shape[1] == channels && shape[2] == grid && shape[3] == grid;
    return array.ndim() == 3 && shape[0] == channels && shape[1] == grid && shape[2] == grid;
}

long long whole_number(py::handle value, std::size_t index) {
    const long long number = PyLong_AsLongLong(value.ptr());
    if (number == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        refuse(index);
    }
    return number;
}

// Names of attributes, interned once: a look-up then compares pointers.
struct Names {
    const py::str data = name("data"), scale = name("scale"), zero_point = name("zero_point"), layout = name("layout");
    const py::str order = name("order"), ho = name("ho"), co = name("co"), hi = name("hi"), ci = name("ci"),
                  w = name("w");

    static py::str name(const char* text) { return py::reinterpret_steal<py::str>(PyUnicode_InternFromString(text)); }
};

// The raw outputs of one image, checked: what they point into is alive while the GIL is released.
struct Outputs : native::Reading {
    std::size_t count = 0;
    std::array<ssd::RawOutput, 2 * ssd::kMostMaps> raw;
    std::array<std::ptrdiff_t, 2 * ssd::kMostMaps> size;  // values of it
    std::array<py::object, 2 * ssd::kMostMaps> held;

    int not_finite(bool every_value) const override {
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
};

class Binding : public native::ImageDecoder {
  public:
    Binding(const std::vector<std::pair<int, int>>& maps,
            const py::array_t<float, py::array::c_style | py::array::forcecast>& priors, py::type quantized_tensor,
            py::type tiled_layout, const std::string& simd)
        : decoder_(maps, {priors.data(), priors.data() + priors.size()}, kernels_named(simd)),
          quantized_tensor_(std::move(quantized_tensor)),
          tiled_layout_(std::move(tiled_layout)) {
        if (maps.empty() || maps.size() > ssd::kMostMaps) throw py::value_error("expected 1 to 8 feature maps");
        if (priors.size() != 4 * static_cast<py::ssize_t>(decoder_.anchors())) {
            throw py::value_error("priors do not fit the feature maps");
        }
    }

    std::string simd() const { return decoder_.kernels().name; }

    py::tuple decode(const py::object& outputs, double score_threshold, double iou_threshold,
                     std::int64_t max_detections, bool reference_nms) const {
        Outputs taken;
        take(outputs, taken);
        const ssd::Parameters parameters{static_cast<float>(score_threshold), static_cast<float>(iou_threshold),
                                         max_detections, reference_nms};
        const std::vector<ssd::Detection>* found;
        {
            const native::WithoutGil without_gil;
            found = &decoder_.decode(taken.raw.data(), parameters);
        }
        return as_arrays(*found);
    }

    std::shared_ptr<native::Reading> read(PyObject* outputs) const override {
        auto taken = std::make_shared<Outputs>();
        take(outputs, *taken);
        return taken;
    }

    const std::vector<ssd::Detection>& decode(const native::Reading& outputs,
                                              const ssd::Parameters& parameters) const override {
        return decoder_.decode(static_cast<const Outputs&>(outputs).raw.data(), parameters);
    }

    py::capsule image_decoder() const {
        return py::capsule(static_cast<const native::ImageDecoder*>(this), native::kImageDecoder);
    }

    // The scan alone, `repeats` times, for measurements: how many anchors it leaves.
    std::size_t scan(const py::object& outputs, double score_threshold, int repeats) const {
        Outputs taken;
        take(outputs, taken);
        const native::WithoutGil without_gil;
        std::size_t left = 0;
        for (int i = 0; i < repeats; ++i) {
            left = decoder_.survivors(taken.raw.data(), static_cast<float>(score_threshold));
        }
        return left;
    }

  private:
    void take(py::handle outputs, Outputs& taken) const {
        const std::size_t maps = decoder_.maps().size();
        if (!PyList_Check(outputs.ptr()) && !PyTuple_Check(outputs.ptr())) throw Refused("not a list or tuple");
        // A tuple of its own, which nobody can change while the attributes of its items are asked for.
        const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(outputs.ptr()));
        if (!items) throw py::error_already_set();
        if (items.size() != 2 * maps) throw Refused("wrong number of raw outputs");
        taken.count = 2 * maps;
        for (std::size_t i = 0; i < 2 * maps; ++i) {
            const ssd::FeatureMap& map = decoder_.maps()[i % maps];
            const int values = i < maps ? ssd::kClasses : 4;
            taken.size[i] = std::ptrdiff_t{values} * map.size();
            taken.raw[i] = read_one(PyTuple_GET_ITEM(items.ptr(), i), values * map.anchors, map.grid, i, taken.held[i]);
        }
    }

    ssd::RawOutput read_one(py::handle output, int channels, int grid, std::size_t index, py::object& held) const {
        ssd::RawOutput raw;
        if (py::isinstance<py::array>(output)) {
            const auto array = py::reinterpret_borrow<py::array>(output);
            if (element_of(array, index) != Element::float32 || !has_shape(array, channels, grid)) refuse(index);
            raw.data = array.data();
            held = array;
            return raw;
        }
        if (!py::isinstance(output, quantized_tensor_)) refuse(index);
        py::object data = output.attr(names_.data);
        if (!py::isinstance<py::array>(data)) refuse(index);
        const auto array = py::reinterpret_borrow<py::array>(data);
        raw.data = array.data();
        raw.element = element_of(array, index);
        if (raw.element == Element::float32) refuse(index);
        const py::object layout = output.attr(names_.layout);
        if (layout.is_none()) {
            if (!has_shape(array, channels, grid)) refuse(index);
        } else {
            raw.layout = layout_of(layout, index);
            if (!raw.layout.holds(channels, grid, array.size())) refuse(index);
        }
        const py::object scale = output.attr(names_.scale);
        if (py::isinstance<py::array>(scale)) refuse(index);
        raw.scale = PyFloat_AsDouble(scale.ptr());
        if (PyErr_Occurred()) {
            PyErr_Clear();
            refuse(index);
        }
        if (!std::isfinite(raw.scale) || raw.scale <= 0) refuse(index);
        const long long zero_point = whole_number(output.attr(names_.zero_point), index);
        const int lowest = raw.element == Element::int8 ? -128 : 0;
        if (zero_point < lowest || zero_point > lowest + 255) refuse(index);
        raw.zero_point = static_cast<int>(zero_point);
        held = std::move(data);
        return raw;
    }

    static Element element_of(const py::array& array, std::size_t index) {
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

    ssd::Layout layout_of(const py::object& layout, std::size_t index) const {
        if (!py::isinstance(layout, tiled_layout_)) refuse(index);
        ssd::Layout found;
        const py::object order = layout.attr(names_.order);
        if (!py::isinstance<py::str>(order)) refuse(index);
        if (PyUnicode_CompareWithASCIIString(order.ptr(), "HCHCW") == 0) {
            found.order = Order::hchcw;
        } else if (PyUnicode_CompareWithASCIIString(order.ptr(), "HCHWC") == 0) {
            found.order = Order::hchwc;
        } else {
            refuse(index);
        }
        found.ho = whole_number(layout.attr(names_.ho), index);
        found.co = whole_number(layout.attr(names_.co), index);
        found.hi = whole_number(layout.attr(names_.hi), index);
        found.ci = whole_number(layout.attr(names_.ci), index);
        found.w = whole_number(layout.attr(names_.w), index);
        return found;
    }

    static py::tuple as_arrays(const std::vector<ssd::Detection>& found) {
        const auto count = static_cast<py::ssize_t>(found.size());
        py::array_t<float> boxes({count, py::ssize_t{4}});
        py::array_t<float> scores(count);
        py::array_t<std::int32_t> labels(count);
        float *box = boxes.mutable_data(), *score = scores.mutable_data();
        std::int32_t* label = labels.mutable_data();
        for (const ssd::Detection& detection : found) {
            std::memcpy(box, detection.box, sizeof detection.box);
            box += 4;
            *score++ = detection.score;
            *label++ = detection.label;
        }
        return py::make_tuple(std::move(boxes), std::move(scores), std::move(labels));
    }

    ssd::Decoder decoder_;
    py::type quantized_tensor_, tiled_layout_;
    Names names_;
};

}  // namespace

PYBIND11_MODULE(_decode, m) {
    m.doc() = "The native SSD postprocessor; use harness.model.NativeDecoder.";
    m.def("available_simd", [] {
        std::vector<std::string> names;
        for (const ssd::Kernels* kernels : ssd::available_kernels()) names.emplace_back(kernels->name);
        return names;
    });
    m.def("read", [](const py::array& array) {
        if (!readable(array)) throw py::value_error("expected a C-contiguous array");
        const auto* data = static_cast<const unsigned char*>(array.data());
        const py::ssize_t size = array.nbytes();
        const native::WithoutGil without_gil;
        return ssd::available_kernels().front()->read(data, size);
    });
    bind_anchor_free(m);
    py::class_<Binding>(m, "Decoder")
        .def(py::init<const std::vector<std::pair<int, int>>&,
                      const py::array_t<float, py::array::c_style | py::array::forcecast>&, py::type, py::type,
                      const std::string&>(),
             py::arg("maps"), py::arg("priors"), py::arg("quantized_tensor"), py::arg("tiled_layout"),
             py::arg("simd") = "")
        .def_property_readonly("simd", &Binding::simd)
        .def_property_readonly("image_decoder", &Binding::image_decoder)
        .def("decode",
             py::overload_cast<const py::object&, double, double, std::int64_t, bool>(&Binding::decode, py::const_))
        .def("scan", &Binding::scan);
}
