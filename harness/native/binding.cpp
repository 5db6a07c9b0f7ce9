// The native postprocessor's binding.
#include <pybind11/pybind11.h>

PYBIND11_MODULE(_decode, m) { m.doc() = "Native SSD postprocessor"; }
