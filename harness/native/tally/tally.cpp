// What a lane notes of its answered samples, in one call for all that were answered together: their last moment into
// the records, and the sums and the histogram that a watching process reads. The Python twin, and the meaning of every
// place, is harness/pipeline/tally.py.
#include <pybind11/pybind11.h>

#include <cstdint>

namespace py = pybind11;

namespace {

constexpr py::ssize_t kColumns = 7;
constexpr int kIssued = 2, kStarted = 3, kCompleted = 6;

// Of a lane's row of cells; the histogram comes after them.
constexpr py::ssize_t kDone = 0, kFirst = 2, kLast = 3, kStages = 4, kHistogram = 8;

class Buffer {
  public:
    Buffer(const py::object& owner, const char* what) {
        if (PyObject_GetBuffer(owner.ptr(), &view_, PyBUF_WRITABLE) != 0) throw py::error_already_set();
        if (view_.itemsize != sizeof(std::int64_t)) {
            PyBuffer_Release(&view_);
            throw py::value_error(std::string(what) + ": expected 64-bit integers");
        }
    }
    ~Buffer() { PyBuffer_Release(&view_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    std::int64_t* data() const { return static_cast<std::int64_t*>(view_.buf); }
    py::ssize_t size() const { return view_.len / static_cast<py::ssize_t>(sizeof(std::int64_t)); }

  private:
    Py_buffer view_;
};

class Tally {
  public:
    Tally(const py::object& cells, py::ssize_t at, bool from_start, py::ssize_t buckets, int bits)
        : cells_(cells, "cells"), at_(at), from_(from_start ? kStarted : kIssued), buckets_(buckets), bits_(bits) {
        if (at < 0 || buckets < 1 || at + kHistogram + buckets > cells_.size())
            throw py::value_error("the lane's row is outside the cells");
        if (bits < 1 || bits > 16) throw py::value_error("expected 1 to 16 bits");
    }

    void add(const py::object& records, py::ssize_t count, std::int64_t completed) {
        const Buffer buffer(records, "records");
        if (count < 0 || count * kColumns > buffer.size()) throw py::value_error("there are not that many records");
        std::int64_t* const lane = cells_.data() + at_;
        std::int64_t* row = buffer.data() + buffer.size() - count * kColumns;
        if (count && lane[kFirst] == 0) lane[kFirst] = row[kIssued];
        for (py::ssize_t k = 0; k < count; ++k, row += kColumns) {
            row[kCompleted] = completed;
            for (int stage = 0; stage < kCompleted - kIssued; ++stage)
                lane[kStages + stage] += row[kIssued + stage + 1] - row[kIssued + stage];
            ++lane[kHistogram + bucket_of(completed - row[from_])];
        }
        lane[kLast] = completed;
        lane[kDone] += count;
    }

  private:
    // 2^bits values in a bucket each, then 2^bits buckets to every doubling.
    py::ssize_t bucket_of(std::int64_t value) const {
        if (value <= 0) return 0;
        const int length = 64 - __builtin_clzll(static_cast<unsigned long long>(value));
        const int shift = length > bits_ ? length - bits_ - 1 : 0;
        const py::ssize_t bucket = (static_cast<py::ssize_t>(shift) << bits_) + (value >> shift);
        return bucket < buckets_ ? bucket : buckets_ - 1;
    }

    Buffer cells_;
    py::ssize_t at_;
    int from_;
    py::ssize_t buckets_;
    int bits_;
};

}  // namespace

PYBIND11_MODULE(_tally, m) {
    py::class_<Tally>(m, "Tally")
        .def(py::init<py::object, py::ssize_t, bool, py::ssize_t, int>())
        .def("add", &Tally::add);
}
