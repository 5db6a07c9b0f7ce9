// What is kept of every sample, and what a watching process reads of it while the test runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pipeline {

// Moments are nanoseconds of the monotonic clock, each not before the one above it.
struct SampleRecord {
    std::int64_t sample_id, sample_index;
    std::int64_t issued, started, inferred, decoding, decoded, completed;
};
constexpr const char* kColumns[] = {"sample_id",   "sample_index", "issued_ns",  "started_ns",
                                    "inferred_ns", "decoding_ns",  "decoded_ns", "completed_ns"};
constexpr int kStages = 5;  // queue, inference, wait, postprocess, complete: from each moment to the next
static_assert(sizeof(SampleRecord) == sizeof kColumns / sizeof *kColumns * sizeof(std::int64_t));

// Places in a session's row of counters; harness/pipeline/counters.py says what they are and passes them in.
struct CounterLayout {
    std::ptrdiff_t done, first, last, stages, histogram, buckets;
    int bits;
};

// A session's row of counters, written by one thread and read by another process.
class Counters {
  public:
    // from_start: latencies count from the moment the device began, not from the issue.
    Counters(std::int64_t* row, const CounterLayout& layout, bool from_start)
        : row_(row), layout_(layout), from_start_(from_start) {}

    // These samples were answered at `completed`, which is written into them.
    void add(SampleRecord* records, std::ptrdiff_t count, std::int64_t completed) const {
        if (count && row_[layout_.first] == 0) row_[layout_.first] = records[0].issued;
        for (SampleRecord* record = records; record != records + count; ++record) {
            record->completed = completed;
            const std::int64_t* moment = &record->issued;
            for (int stage = 0; stage < kStages; ++stage)
                row_[layout_.stages + stage] += moment[stage + 1] - moment[stage];
            ++row_[layout_.histogram + bucket_of(completed - (from_start_ ? record->started : record->issued))];
        }
        row_[layout_.last] = completed;
        row_[layout_.done] += count;
    }

  private:
    // 2^bits values in a bucket each, then 2^bits buckets to every doubling.
    std::ptrdiff_t bucket_of(std::int64_t value) const {
        if (value <= 0) return 0;
        const int length = 64 - __builtin_clzll(static_cast<unsigned long long>(value));
        const int shift = length > layout_.bits ? length - layout_.bits - 1 : 0;
        const std::ptrdiff_t bucket = (static_cast<std::ptrdiff_t>(shift) << layout_.bits) + (value >> shift);
        return bucket < layout_.buckets ? bucket : layout_.buckets - 1;
    }

    std::int64_t* row_;
    CounterLayout layout_;
    bool from_start_;
};

}  // namespace pipeline
