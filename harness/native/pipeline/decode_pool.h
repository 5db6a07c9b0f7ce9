// Decodes, writes the accuracy record and keeps the sample's times, beside the thread that drives the sessions.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "../image_decoder.h"
#include "mailbox.h"
#include "sample_record.h"

namespace pipeline {

constexpr int kFields = 7;  // of a detection in an answer; harness/accuracy_record.py has the same number

// A sample on its way from raw outputs to its answer.
struct Job {
    static constexpr int kNobody = -1;

    int session;  // kNobody: a rehearsal, which is answered to nobody and recorded nowhere
    SampleRecord record;
    std::shared_ptr<native::Reading> reading;  // none: nothing is decoded, and the answer is empty
    int not_finite = -1;                       // the output that cannot be decoded because of NaN or infinity
    std::vector<float> rows;                   // the answer, as harness/accuracy_record.py describes it
};

struct PoolSettings {
    int threads;
    std::vector<std::int32_t> label_ids;           // what is written for a label; beyond its end: the label itself
    std::vector<std::pair<int, int>> image_sizes;  // width and height, by the sample's index; empty: not needed
    bool every_value;            // look for NaN and infinity in every value, not only in the first of each output
    std::int64_t ring_after_ns;  // answers wait so long for each other ...
    std::size_t ring_at;         // ... unless they are that many
};

// `post`, `deposit` and `collect` are the driving thread's; `job` and `recycle` are called under the GIL.
class DecodePool {
  public:
    DecodePool(const native::ImageDecoder* decoder, const native::Parameters& parameters, const PoolSettings& settings,
               Mailbox& mailbox);
    ~DecodePool();
    DecodePool(const DecodePool&) = delete;
    DecodePool& operator=(const DecodePool&) = delete;

    std::unique_ptr<Job> job();  // an unused one
    void recycle(std::unique_ptr<Job> job);

    void post(std::unique_ptr<Job> job);
    // A job that is decoded already, for `collect`.
    void deposit(std::unique_ptr<Job> job);
    // What was done since, in any order.
    std::vector<std::unique_ptr<Job>> collect();
    // On the calling thread, without a pool.
    void decode(Job& job) const;

    void close();  // when nothing is posted any more; without the GIL

  private:
    void work();

    const native::ImageDecoder* decoder_;
    const native::Parameters parameters_;
    const PoolSettings settings_;
    Mailbox& mailbox_;

    std::vector<std::unique_ptr<Job>> spare_;
    std::mutex posted_mutex_, done_mutex_;
    std::condition_variable posted_one_;
    std::deque<std::unique_ptr<Job>> posted_;
    int idle_ = 0;
    bool closing_ = false;
    std::vector<std::unique_ptr<Job>> done_;
    std::vector<std::thread> threads_;
};

}  // namespace pipeline
