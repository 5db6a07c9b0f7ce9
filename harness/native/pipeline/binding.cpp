// The Python side: harness/pipeline/postprocess.py and mailbox.py say what it is for.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../gil.h"
#include "../image_decoder.h"
#include "decode_pool.h"
#include "mailbox.h"
#include "monotonic.h"
#include "sample_record.h"

namespace py = pybind11;

namespace {

using pipeline::CounterLayout;
using pipeline::Counters;
using pipeline::DecodePool;
using pipeline::Job;
using pipeline::Mailbox;
using pipeline::now_ns;
using pipeline::SampleRecord;

// 64-bit integers that belong to Python.
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

CounterLayout layout_of(const py::object& layout) {
    CounterLayout found{};
    const std::pair<const char*, std::ptrdiff_t*> places[] = {
        {"done", &found.done},     {"first", &found.first},         {"last", &found.last},
        {"stages", &found.stages}, {"histogram", &found.histogram}, {"buckets", &found.buckets},
    };
    for (const auto& [name, place] : places) *place = layout.attr(name).cast<std::ptrdiff_t>();
    found.bits = layout.attr("bits").cast<int>();
    if (found.bits < 1 || found.bits > 16) throw py::value_error("expected 1 to 16 bits");
    return found;
}

Counters counters_at(const Buffer& cells, py::ssize_t at, const CounterLayout& layout, bool from_start) {
    if (at < 0 || layout.buckets < 1 || at + layout.histogram + layout.buckets > cells.size())
        throw py::value_error("the row is outside the cells");
    return {cells.data() + at, layout, from_start};
}

// The counters of one session whose records are Python's.
class Tally {
  public:
    Tally(const py::object& cells, py::ssize_t at, const py::object& layout, bool from_start)
        : cells_(cells, "cells"), counters_(counters_at(cells_, at, layout_of(layout), from_start)) {}

    void add(const py::object& records, py::ssize_t count, std::int64_t completed) {
        constexpr py::ssize_t kWidth = sizeof(SampleRecord) / sizeof(std::int64_t);
        const Buffer buffer(records, "records");
        if (count < 0 || count * kWidth > buffer.size()) throw py::value_error("there are not that many records");
        counters_.add(reinterpret_cast<SampleRecord*>(buffer.data() + buffer.size() - count * kWidth), count,
                      completed);
    }

  private:
    Buffer cells_;
    Counters counters_;
};

class PyMailbox : public Mailbox {
  public:
    void put(py::object message) { Mailbox::put(message.release().ptr()); }
    void put_at(std::int64_t due, py::object message) { Mailbox::put_at(due, message.release().ptr()); }

    py::list get(double timeout_s, std::int64_t patience, bool awake) {
        const double most_s = 1e9;  // fits the nanoseconds
        const std::int64_t until = now_ns() + static_cast<std::int64_t>(std::min(timeout_s, most_s) * 1e9);
        std::vector<PyObject*> messages;
        {
            const native::WithoutGil without_gil;
            messages = Mailbox::get(until, patience, awake);
        }
        py::list list(messages.size());
        for (std::size_t k = 0; k < messages.size(); ++k)
            PyList_SET_ITEM(list.ptr(), static_cast<py::ssize_t>(k), messages[k]);
        return list;
    }
};

// Outputs that were decoded where the inference was; `post` takes the job out of it.
struct Decoded {
    std::unique_ptr<Job> job;
    py::object outputs;
    std::int64_t decoded_ns;
};

// Samples from their raw outputs to their answers and records. Used by one thread at a time, but for `prepare`.
class Postprocess {
  public:
    // explain: (outputs, sample index); called with what the decoder refuses, to raise an error that says why.
    Postprocess(py::object decoder, py::object explain, const py::object& mailbox, const py::object& cells,
                const std::vector<int>& rows, const py::object& layout, bool from_start, int threads,
                double score_threshold, double iou_threshold, std::int64_t max_detections, bool reference_nms,
                std::vector<std::int32_t> label_ids, std::vector<std::pair<int, int>> image_sizes, bool every_value,
                double ring_after_s, std::size_t ring_at)
        : decoder_object_(std::move(decoder)),
          explain_(std::move(explain)),
          mailbox_(mailbox),
          cells_(cells, "cells"),
          decoder_(decoder_object_.is_none() ? nullptr
                                             : static_cast<const native::ImageDecoder*>(
                                                   PyCapsule_GetPointer(decoder_object_.ptr(), native::kImageDecoder))),
          pool_(decoder_,
                {static_cast<float>(score_threshold), static_cast<float>(iou_threshold), max_detections, reference_nms},
                {threads, std::move(label_ids), std::move(image_sizes), every_value,
                 static_cast<std::int64_t>(ring_after_s * 1e9), ring_at},
                mailbox.cast<PyMailbox&>()) {
        if (PyErr_Occurred()) throw py::error_already_set();
        for (const int row : rows) sessions_.push_back({counters_at(cells_, row, layout_of(layout), from_start), {}});
    }

    ~Postprocess() { pool_.close(); }  // its threads need no GIL

    // outputs: what a session gives, or what `prepare` made of it.
    void post(int session, std::int64_t sample_id, std::int64_t sample_index, std::int64_t issued, std::int64_t started,
              std::int64_t inferred, const py::object& outputs) {
        const SampleRecord record{sample_id, sample_index, issued, started, inferred, 0, 0, 0};
        if (py::type::handle_of(outputs).is(decoded_type_)) {
            post_decoded(session, record, outputs.cast<Decoded&>());
        } else {
            pool_.post(job_of(session, record, outputs));
        }
        ++pending_;
    }

    // Decodes on the calling thread, any one, so that the outputs need not hold any longer; `post` takes the result.
    std::unique_ptr<Decoded> prepare(const py::object& outputs, std::int64_t sample_index) {
        auto job = job_of(Job::kNobody, {0, sample_index, 0, 0, 0, 0, 0, 0}, outputs);
        decode(*job);
        const std::int64_t decoded_ns = job->record.decoded;
        return std::make_unique<Decoded>(Decoded{std::move(job), outputs, decoded_ns});
    }

    // The same on the calling thread: the answer, held until `answered`.
    py::tuple finish(int session, std::int64_t sample_id, std::int64_t sample_index, std::int64_t issued,
                     std::int64_t started, std::int64_t inferred, const py::object& outputs) {
        auto job = job_of(session, {sample_id, sample_index, issued, started, inferred, 0, 0, 0}, outputs);
        decode(*job);
        if (job->not_finite >= 0) {
            const int output = job->not_finite;
            pool_.recycle(std::move(job));
            throw py::value_error("output " + std::to_string(output) + " has NaN or infinity in it");
        }
        py::tuple answer = answer_of(*job);
        if (session == Job::kNobody) {
            pool_.recycle(std::move(job));
        } else {
            collected_.push_back(std::move(job));
        }
        return answer;
    }

    // (answers, failures): [(sample id, address, bytes)], held until `answered`, and [(session, record, output)].
    py::tuple collect() {
        py::list answers, failures;
        for (auto& job : pool_.collect()) {
            --pending_;
            job->reading.reset();
            if (job->not_finite >= 0) {
                const SampleRecord& record = job->record;
                failures.append(py::make_tuple(job->session, record.sample_id, record.sample_index, record.issued,
                                               job->not_finite));
                pool_.recycle(std::move(job));
            } else if (job->session == Job::kNobody) {
                pool_.recycle(std::move(job));
            } else {
                answers.append(answer_of(*job));
                collected_.push_back(std::move(job));
            }
        }
        return py::make_tuple(std::move(answers), std::move(failures));
    }

    // LoadGen has the collected answers: now they are recorded.
    void answered() {
        const std::int64_t now = now_ns();
        for (auto& job : collected_) {
            Recorded& session = sessions_[job->session];
            session.counters.add(&job->record, 1, now);
            if (session.records.size() == session.records.capacity()) {
                session.records.reserve(session.records.size() + session.records.size() / 4 +
                                        64);  // doubling would waste half
            }
            session.records.push_back(job->record);
            pool_.recycle(std::move(job));
        }
        collected_.clear();
    }

    std::size_t pending() const { return pending_; }

    // (samples, columns) int64, not a copy.
    static py::array records(const py::object& self, std::size_t session) {
        auto& records = self.cast<Postprocess&>().sessions_.at(session).records;
        constexpr py::ssize_t kWidth = sizeof(SampleRecord) / sizeof(std::int64_t);
        return py::array_t<std::int64_t>({static_cast<py::ssize_t>(records.size()), kWidth},
                                         reinterpret_cast<const std::int64_t*>(records.data()), self);
    }

    void close() {
        const native::WithoutGil without_gil;
        pool_.close();
    }

  private:
    struct Recorded {  // of one session
        Counters counters;
        std::vector<SampleRecord> records;
    };

    static py::tuple answer_of(const Job& job) {
        return py::make_tuple(job.record.sample_id, reinterpret_cast<std::uintptr_t>(job.rows.data()),
                              job.rows.size() * sizeof(float));
    }

    void post_decoded(int session, const SampleRecord& sample, Decoded& decoded) {
        check_session(session);
        if (!decoded.job) throw py::value_error("these outputs were posted before");
        SampleRecord& record = decoded.job->record;
        record = {sample.sample_id, sample.sample_index, sample.issued,  sample.started,
                  sample.inferred,  record.decoding,     record.decoded, 0};
        decoded.job->session = session;
        pool_.deposit(std::move(decoded.job));
    }

    void check_session(int session) const {
        if (session < Job::kNobody || session >= static_cast<int>(sessions_.size()))
            throw py::index_error("no such session");
    }

    void decode(Job& job) const {
        {
            const native::WithoutGil without_gil;
            pool_.decode(job);
        }
        job.reading.reset();
    }

    std::unique_ptr<Job> job_of(int session, const SampleRecord& record, const py::object& outputs) {
        check_session(session);
        std::shared_ptr<native::Reading> reading;
        try {
            if (decoder_) reading = read(outputs);
        } catch (const std::invalid_argument&) {
            explain_(outputs, record.sample_index);
            throw;
        }
        auto job = pool_.job();
        job->session = session;
        job->record = record;
        job->reading = std::move(reading);
        return job;
    }

    // A session that gives the same arrays again, as simulated devices do, has them read once.
    std::shared_ptr<native::Reading> read(const py::object& outputs) {
        auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(outputs.ptr()));
        if (!items) throw py::error_already_set();
        bool same = last_ && items.size() == last_items_.size();
        for (std::size_t k = 0; same && k < items.size(); ++k)
            same = PyTuple_GET_ITEM(items.ptr(), k) == PyTuple_GET_ITEM(last_items_.ptr(), k);
        if (!same) {
            last_ = decoder_->read(items.ptr());
            last_items_ = std::move(items);
        }
        return last_;
    }

    py::object decoder_object_, explain_, mailbox_;  // alive as long as this
    Buffer cells_;
    const native::ImageDecoder* decoder_;
    DecodePool pool_;
    std::vector<Recorded> sessions_;
    std::vector<std::unique_ptr<Job>> collected_;
    std::size_t pending_ = 0;  // posted and not collected
    std::shared_ptr<native::Reading> last_;
    py::tuple last_items_;
    const py::type decoded_type_ = py::type::of<Decoded>();
};

// Never earlier, and little later; without the GIL. A processor that idled for milliseconds wakes a thread later than
// one that did not: so it sleeps until `long_early` before the moment, again until `short_early`, and looks at the
// clock.
void wait_until(std::int64_t moment, std::int64_t long_early, std::int64_t short_early) {
    const native::WithoutGil without_gil;
    pipeline::sleep_precisely();
    for (const std::int64_t early : {long_early, short_early}) {
        const std::int64_t wake = moment - early;
        if (wake <= now_ns()) continue;
        const timespec at{static_cast<time_t>(wake / pipeline::kSecond), static_cast<long>(wake % pipeline::kSecond)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
        }
    }
    while (now_ns() < moment) {
    }
}

}  // namespace

PYBIND11_MODULE(_pipeline, m) {
    m.doc() = "The native half of harness.pipeline.";
    py::list columns;
    for (const char* name : pipeline::kColumns) columns.append(name);
    m.attr("COLUMNS") = py::tuple(columns);
    m.attr("FIELDS") = pipeline::kFields;
    m.def("wait_until", &wait_until);
    py::class_<Tally>(m, "Tally")
        .def(py::init<const py::object&, py::ssize_t, const py::object&, bool>())
        .def("add", &Tally::add);
    py::class_<PyMailbox>(m, "Mailbox")
        .def(py::init<>())
        .def("put", &PyMailbox::put)
        .def("put_at", &PyMailbox::put_at)
        .def("get", &PyMailbox::get, py::arg("timeout_s"), py::arg("patience"), py::arg("awake") = false);
    py::class_<Decoded>(m, "Decoded")
        .def_readonly("outputs", &Decoded::outputs)
        .def_readonly("decoded_ns", &Decoded::decoded_ns);
    py::class_<Postprocess>(m, "Postprocess")
        .def(py::init<py::object, py::object, const py::object&, const py::object&, const std::vector<int>&,
                      const py::object&, bool, int, double, double, std::int64_t, bool, std::vector<std::int32_t>,
                      std::vector<std::pair<int, int>>, bool, double, std::size_t>(),
             py::kw_only(), py::arg("decoder"), py::arg("explain"), py::arg("mailbox"), py::arg("cells"),
             py::arg("rows"), py::arg("layout"), py::arg("from_start"), py::arg("threads"), py::arg("score_threshold"),
             py::arg("iou_threshold"), py::arg("max_detections"), py::arg("reference_nms"), py::arg("label_ids"),
             py::arg("image_sizes"), py::arg("every_value"), py::arg("ring_after_s"), py::arg("ring_at"))
        .def("post", &Postprocess::post)
        .def("prepare", &Postprocess::prepare)
        .def("finish", &Postprocess::finish)
        .def("collect", &Postprocess::collect)
        .def("answered", &Postprocess::answered)
        .def_property_readonly("pending", &Postprocess::pending)
        .def("records", [](const py::object& self, std::size_t session) { return Postprocess::records(self, session); })
        .def("close", &Postprocess::close);
}
