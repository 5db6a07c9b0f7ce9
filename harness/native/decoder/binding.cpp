// The extension, and in it the binding of the SSD's decoder.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "../gil.h"
#include "../image_decoder.h"
#include "anchor_free_binding.h"
#include "decoder.h"
#include "python_arrays.h"

namespace py = pybind11;

namespace {

using ssd::CheckedOutputs;
using ssd::Order;

class Binding : public native::ImageDecoder {
  public:
    Binding(const std::vector<std::pair<int, int>>& maps,
            const py::array_t<float, py::array::c_style | py::array::forcecast>& priors, py::type quantized_tensor,
            py::type tiled_layout, const std::string& simd)
        : decoder_(maps, {priors.data(), priors.data() + priors.size()}, ssd::kernels_named(simd)),
          reader_(std::move(quantized_tensor)),
          tiled_layout_(std::move(tiled_layout)) {
        if (maps.empty() || maps.size() > ssd::kMostMaps) throw py::value_error("expected 1 to 8 feature maps");
        if (priors.size() != 4 * static_cast<py::ssize_t>(decoder_.anchors())) {
            throw py::value_error("priors do not fit the feature maps");
        }
    }

    std::string simd() const { return decoder_.kernels().name; }

    py::tuple decode(const py::object& outputs, double score_threshold, double iou_threshold,
                     std::int64_t max_detections, bool reference_nms) const {
        CheckedOutputs taken;
        take(outputs, taken);
        const ssd::Parameters parameters{static_cast<float>(score_threshold), static_cast<float>(iou_threshold),
                                         max_detections, reference_nms};
        const std::vector<ssd::Detection>* found;
        {
            const native::WithoutGil without_gil;
            found = &decoder_.decode(taken.raw.data(), parameters);
        }
        return ssd::as_arrays(*found);
    }

    std::shared_ptr<native::Reading> read(PyObject* outputs) const override {
        auto taken = std::make_shared<CheckedOutputs>();
        take(outputs, *taken);
        return taken;
    }

    const std::vector<ssd::Detection>& decode(const native::Reading& outputs,
                                              const ssd::Parameters& parameters) const override {
        return decoder_.decode(static_cast<const CheckedOutputs&>(outputs).raw.data(), parameters);
    }

    py::capsule image_decoder() const {
        return py::capsule(static_cast<const native::ImageDecoder*>(this), native::kImageDecoder);
    }

    // The scan alone, `repeats` times, for measurements: how many anchors it leaves.
    std::size_t scan(const py::object& outputs, double score_threshold, int repeats) const {
        CheckedOutputs taken;
        take(outputs, taken);
        const native::WithoutGil without_gil;
        std::size_t left = 0;
        for (int i = 0; i < repeats; ++i) {
            left = decoder_.survivors(taken.raw.data(), static_cast<float>(score_threshold));
        }
        return left;
    }

  private:
    void take(py::handle outputs, CheckedOutputs& taken) const {
        const std::size_t maps = decoder_.maps().size();
        const py::tuple items = ssd::items_of(outputs, 2 * maps);
        taken.count = 2 * maps;
        for (std::size_t i = 0; i < 2 * maps; ++i) {
            const ssd::FeatureMap& map = decoder_.maps()[i % maps];
            const int values = i < maps ? ssd::kClasses : 4;
            taken.size[i] = std::ptrdiff_t{values} * map.size();
            taken.raw[i] = read_one(PyTuple_GET_ITEM(items.ptr(), i), values * map.anchors, map.grid, i, taken.held[i]);
        }
    }

    ssd::RawOutput read_one(py::handle output, int channels, int grid, std::size_t index, py::object& held) const {
        py::object layout;
        ssd::RawOutput raw = reader_.read(output, index, held, layout);
        if (layout.is_none()) {
            if (!ssd::has_shape(held, {channels, grid, grid})) ssd::refuse(index);
        } else {
            raw.layout = layout_of(layout, index);
            const auto size = py::reinterpret_borrow<py::array>(held).size();
            if (!raw.layout.holds(channels, grid, size)) ssd::refuse(index);
        }
        return raw;
    }

    ssd::Layout layout_of(const py::object& layout, std::size_t index) const {
        if (!py::isinstance(layout, tiled_layout_)) ssd::refuse(index);
        ssd::Layout found;
        const py::object order = layout.attr(order_);
        if (!py::isinstance<py::str>(order)) ssd::refuse(index);
        if (PyUnicode_CompareWithASCIIString(order.ptr(), "HCHCW") == 0) {
            found.order = Order::hchcw;
        } else if (PyUnicode_CompareWithASCIIString(order.ptr(), "HCHWC") == 0) {
            found.order = Order::hchwc;
        } else {
            ssd::refuse(index);
        }
        found.ho = ssd::whole_number(layout.attr(ho_), index);
        found.co = ssd::whole_number(layout.attr(co_), index);
        found.hi = ssd::whole_number(layout.attr(hi_), index);
        found.ci = ssd::whole_number(layout.attr(ci_), index);
        found.w = ssd::whole_number(layout.attr(w_), index);
        return found;
    }

    ssd::Decoder decoder_;
    ssd::OutputReader reader_;
    py::type tiled_layout_;
    const py::str order_ = ssd::interned("order"), ho_ = ssd::interned("ho"), co_ = ssd::interned("co"),
                  hi_ = ssd::interned("hi"), ci_ = ssd::interned("ci"), w_ = ssd::interned("w");
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
        if (!ssd::readable(array)) throw py::value_error("expected a C-contiguous array");
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
