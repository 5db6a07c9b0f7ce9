// The Python binding of the anchor-free decoder.
#include "anchor_free_binding.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "../gil.h"
#include "../image_decoder.h"
#include "anchor_free.h"
#include "python_arrays.h"

namespace py = pybind11;

namespace {

using ssd::Element;

// What an output is: values * places numbers, place after place or value after value.
using Shape = std::vector<py::ssize_t>;  // without the batch

class AnchorFreeBinding : public native::ImageDecoder {
  public:
    // split: boxes, objectness (if the head has it) and scores are outputs of their own, (values, places) each. Else
    // they are one, (values, places) or, where the head has objectness, (places, values).
    AnchorFreeBinding(int side, int classes, std::vector<std::int32_t> cells, std::int32_t places, bool objectness,
                      bool split, bool centred, bool clipped, py::type quantized_tensor, const std::string& simd)
        : decoder_({side, classes, std::move(cells), centred, clipped}, places, ssd::kernels_named(simd)),
          objectness_(objectness),
          split_(split),
          reader_(std::move(quantized_tensor)) {
        const int values = 4 + (objectness ? 1 : 0) + classes;
        if (side < 1 || classes < 1 || classes >= ssd::kClasses || places < 1) throw py::value_error("no such head");
        std::int64_t of_cells = 0;
        for (const std::int32_t c : decoder_.head().cells) of_cells += std::int64_t{c} * c;
        if (of_cells && of_cells != places) throw py::value_error("cells do not fit the places");
        if (split) {
            shapes_ = {{4, places}};
            if (objectness) shapes_.push_back({1, places});
            shapes_.push_back({classes, places});
        } else if (objectness) {
            shapes_ = {{places, values}};
        } else {
            shapes_ = {{values, places}};
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
        return ssd::as_arrays(*found);
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
    struct Taken : ssd::CheckedOutputs {
        ssd::AnchorFreeOutputs outputs;
    };

    void take(py::handle outputs, Taken& taken) const {
        const py::tuple items = ssd::items_of(outputs, shapes_.size());
        taken.count = shapes_.size();
        auto& raw = taken.raw;
        for (std::size_t i = 0; i < shapes_.size(); ++i) {
            taken.size[i] = 1;
            for (const py::ssize_t size : shapes_[i]) taken.size[i] *= size;
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
        py::object layout;
        const ssd::RawOutput raw = reader_.read(output, index, held, layout);
        if (!layout.is_none() || !ssd::has_shape(held, shape)) ssd::refuse(index);
        return raw;
    }

    ssd::AnchorFreeDecoder decoder_;
    bool objectness_, split_;
    ssd::OutputReader reader_;
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
