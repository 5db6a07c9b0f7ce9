// The Python binding of the anchor-free decoder: takes the raw outputs apart without copying them, and refuses what a
// decode could not read safely. The wording of a refusal is the caller's.
#include "anchor_free_binding.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "../gil.h"
#include "../image_decoder.h"
#include "anchor_free.h"

namespace py = pybind11;

namespace {

using ssd::Element;

constexpr std::size_t kMostOutputs = 3;

[[noreturn]] void refuse(std::size_t index) {
    throw std::invalid_argument("raw output " + std::to_string(index) + " is not acceptable");
}

const ssd::Kernels& kernels_named(const std::string& name) {
    for (const ssd::Kernels* kernels : ssd::available_kernels()) {
        if (name.empty() || name == kernels->name) return *kernels;
    }
    throw py::value_error("this machine cannot run " + name);
}

// What an output is: values * places numbers, place after place or value after value.
struct Shape {
    std::vector<py::ssize_t> sizes;  // without the batch
};

class AnchorFreeBinding : public native::ImageDecoder {
  public:
    // split: boxes, objectness (if the head has it) and scores are outputs of their own, (values, places) each. Else
    // they are one, (values, places) or, where the head has objectness, (places, values).
    AnchorFreeBinding(int side, int classes, std::vector<std::int32_t> cells, std::int32_t places, bool objectness,
                      bool split, bool centred, bool clipped, py::type quantized_tensor, const std::string& simd)
        : decoder_({side, classes, std::move(cells), centred, clipped}, places, kernels_named(simd)),
          objectness_(objectness),
          split_(split),
          quantized_tensor_(std::move(quantized_tensor)) {
        const int values = 4 + (objectness ? 1 : 0) + classes;
        if (side < 1 || classes < 1 || classes >= ssd::kClasses || places < 1) throw py::value_error("no such head");
        std::int64_t of_cells = 0;
        for (const std::int32_t c : decoder_.head().cells) of_cells += std::int64_t{c} * c;
        if (of_cells && of_cells != places) throw py::value_error("cells do not fit the places");
        if (split) {
            shapes_ = {{{4, places}}};
            if (objectness) shapes_.push_back({{1, places}});
            shapes_.push_back({{classes, places}});
        } else if (objectness) {
            shapes_ = {{{places, values}}};
        } else {
            shapes_ = {{{values, places}}};
        }
    }

    std::string simd() const { return decoder_.kernels().name; }

    py::tuple decode(const py::object& outputs, double score_threshold, double iou_threshold,
                     std::int64_t max_detections, int width, int height) const {
        Taken taken;
        take(outputs, taken);
        const ssd::Parameters parameters{static_cast<float>(score_threshold),
                                         static_cast<float>(iou_threshold),
                                         max_detections,
                                         false,
                                         width,
                                         height};
        const std::vector<ssd::Detection>* found;
        {
            const native::WithoutGil without_gil;
            found = &decoder_.decode(taken.outputs, parameters);
        }
        return as_arrays(*found);
    }

    std::shared_ptr<native::Reading> read(PyObject* outputs) const override {
        auto taken = std::make_shared<Taken>();
        take(outputs, *taken);
        return taken;
    }

    const std::vector<ssd::Detection>& decode(const native::Reading& outputs,
                                              const ssd::Parameters& parameters) const override {
        return decoder_.decode(static_cast<const Taken&>(outputs).outputs, parameters);
    }

    py::capsule image_decoder() const {
        return py::capsule(static_cast<const native::ImageDecoder*>(this), native::kImageDecoder);
    }

  private:
    // The raw outputs of one image, checked: what they point into is alive while the GIL is released.
    struct Taken : native::Reading {
        ssd::AnchorFreeOutputs outputs;
        std::size_t count = 0;
        std::array<ssd::RawOutput, kMostOutputs> raw;
        std::array<std::ptrdiff_t, kMostOutputs> size;  // values of it
        std::array<py::object, kMostOutputs> held;

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

    void take(py::handle outputs, Taken& taken) const {
        if (!PyList_Check(outputs.ptr()) && !PyTuple_Check(outputs.ptr())) {
            throw std::invalid_argument("not a list or tuple");
        }
        const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(outputs.ptr()));
        if (!items) throw py::error_already_set();
        if (items.size() != shapes_.size()) throw std::invalid_argument("wrong number of raw outputs");
        taken.count = shapes_.size();
        auto& raw = taken.raw;
        for (std::size_t i = 0; i < shapes_.size(); ++i) {
            taken.size[i] = 1;
            for (const py::ssize_t size : shapes_[i].sizes) taken.size[i] *= size;
            raw[i] = read_one(PyTuple_GET_ITEM(items.ptr(), i), shapes_[i], i, taken.held[i]);
        }
        const std::ptrdiff_t places = decoder_.places();
        if (split_) {
            taken.outputs.boxes = {raw[0], places, 1};
            if (objectness_) taken.outputs.objectness = {raw[1], places, 1};
            taken.outputs.scores = {raw[objectness_ ? 2 : 1], places, 1};
            return;
        }
        const std::ptrdiff_t values = 4 + (objectness_ ? 1 : 0) + decoder_.head().classes;
        const std::ptrdiff_t value_stride = objectness_ ? 1 : places, place_stride = objectness_ ? values : 1;
        const auto from = [&](std::ptrdiff_t value) {
            ssd::RawOutput part = raw[0];
            const std::ptrdiff_t size = part.element == Element::float32 ? sizeof(float) : 1;
            part.data = static_cast<const unsigned char*>(part.data) + value * value_stride * size;
            return ssd::PlaceValues{part, value_stride, place_stride};
        };
        taken.outputs.boxes = from(0);
        if (objectness_) taken.outputs.objectness = from(4);
        taken.outputs.scores = from(objectness_ ? 5 : 4);
    }

    ssd::RawOutput read_one(py::handle output, const Shape& shape, std::size_t index, py::object& held) const {
        ssd::RawOutput raw;
        const bool quantized = py::isinstance(output, quantized_tensor_);
        py::object data = quantized ? output.attr("data") : py::reinterpret_borrow<py::object>(output);
        if (!py::isinstance<py::array>(data)) refuse(index);
        const auto array = py::reinterpret_borrow<py::array>(data);
        raw.data = array.data();
        raw.element = element_of(array, index);
        if (quantized == (raw.element == Element::float32) || !has_shape(array, shape)) refuse(index);
        if (quantized) {
            if (!output.attr("layout").is_none()) refuse(index);
            const py::object scale = output.attr("scale");
            if (py::isinstance<py::array>(scale)) refuse(index);
            raw.scale = PyFloat_AsDouble(scale.ptr());
            const long long zero_point = PyErr_Occurred() ? 0 : PyLong_AsLongLong(output.attr("zero_point").ptr());
            if (PyErr_Occurred()) {
                PyErr_Clear();
                refuse(index);
            }
            const int lowest = raw.element == Element::int8 ? -128 : 0;
            if (!std::isfinite(raw.scale) || raw.scale <= 0) refuse(index);
            if (zero_point < lowest || zero_point > lowest + 255) refuse(index);
            raw.zero_point = static_cast<int>(zero_point);
        }
        held = std::move(data);
        return raw;
    }

    static bool has_shape(const py::array& array, const Shape& shape) {
        const std::size_t batch = array.ndim() == static_cast<py::ssize_t>(shape.sizes.size()) + 1 ? 1 : 0;
        if (array.ndim() != static_cast<py::ssize_t>(shape.sizes.size() + batch)) return false;
        if (batch && array.shape(0) != 1) return false;
        for (std::size_t k = 0; k < shape.sizes.size(); ++k) {
            if (array.shape(k + batch) != shape.sizes[k]) return false;
        }
        return true;
    }

    static Element element_of(const py::array& array, std::size_t index) {
        constexpr int kNeeded = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
        const py::dtype dtype = array.dtype();
        if ((array.flags() & kNeeded) != kNeeded || (dtype.byteorder() != '=' && dtype.byteorder() != '|')) {
            refuse(index);
        }
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

    ssd::AnchorFreeDecoder decoder_;
    bool objectness_, split_;
    py::type quantized_tensor_;
    std::vector<Shape> shapes_;
};

}  // namespace

void bind_anchor_free(py::module_& module) {
    py::class_<AnchorFreeBinding>(module, "AnchorFreeDecoder")
        .def(py::init<int, int, std::vector<std::int32_t>, std::int32_t, bool, bool, bool, bool, py::type,
                      const std::string&>(),
             py::arg("side"), py::arg("classes"), py::arg("cells"), py::arg("places"), py::arg("objectness"),
             py::arg("split"), py::arg("centred"), py::arg("clipped"), py::arg("quantized_tensor"),
             py::arg("simd") = "")
        .def_property_readonly("simd", &AnchorFreeBinding::simd)
        .def_property_readonly("image_decoder", &AnchorFreeBinding::image_decoder)
        .def("decode", py::overload_cast<const py::object&, double, double, std::int64_t, int, int>(
                           &AnchorFreeBinding::decode, py::const_));
}
