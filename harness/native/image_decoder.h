// What the decode pool asks of a postprocessor, whichever extension it lives in. A Python decoder object offers it as a
// capsule named kImageDecoder.
#pragma once

#include <Python.h>

#include <memory>
#include <vector>

#include "detection.h"

namespace native {

constexpr const char* kImageDecoder = "harness.native.ImageDecoder";

// The raw outputs of one image, checked, and kept alive. Made and destroyed under the GIL, used without it.
class Reading {
  public:
    virtual ~Reading() = default;
    // The first output that has NaN or infinity in it, in its first value or in any; -1: none.
    virtual int not_finite(bool every_value) const = 0;
};

class ImageDecoder {
  public:
    virtual ~ImageDecoder() = default;
    // Under the GIL; throws what becomes a Python exception where the outputs are not this decoder's.
    virtual std::shared_ptr<Reading> read(PyObject* outputs) const = 0;
    // Without the GIL, on any number of threads. What is found, best first, holds until this thread's next decode.
    virtual const std::vector<Detection>& decode(const Reading& reading, const Parameters& parameters) const = 0;
};

}  // namespace native
