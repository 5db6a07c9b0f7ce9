#pragma once

#include <pybind11/pybind11.h>

// Adds the class AnchorFreeDecoder to the extension.
void bind_anchor_free(pybind11::module_& module);
