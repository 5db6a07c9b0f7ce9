#include "decode_pool.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "monotonic.h"

namespace pipeline {

namespace {

void write_answer(const std::vector<native::Detection>& detections, std::int64_t sample_index,
                  const std::vector<std::int32_t>& label_ids, std::vector<float>& rows) {
    rows.resize(kFields * detections.size());
    float* row = rows.data();
    for (const native::Detection& found : detections) {
        const auto [left, top, right, bottom] = found.box;
        const auto label = static_cast<std::size_t>(found.label);
        const std::int32_t id = label < label_ids.size() ? label_ids[label] : found.label;
        const float fields[kFields] = {
            static_cast<float>(sample_index), top, left, bottom, right, found.score, static_cast<float>(id)};
        row = std::copy_n(fields, kFields, row);
    }
}

}  // namespace

DecodePool::DecodePool(const native::ImageDecoder* decoder, const native::Parameters& parameters,
                       const PoolSettings& settings, Mailbox& mailbox)
    : decoder_(decoder), parameters_(parameters), settings_(settings), mailbox_(mailbox) {
    for (int k = 0; k < settings.threads; ++k) threads_.emplace_back([this] { work(); });
}

DecodePool::~DecodePool() { close(); }

void DecodePool::close() {
    {
        const std::lock_guard<std::mutex> lock(posted_mutex_);
        closing_ = true;
    }
    posted_one_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

std::unique_ptr<Job> DecodePool::job() {
    if (spare_.empty()) return std::make_unique<Job>();
    std::unique_ptr<Job> job = std::move(spare_.back());
    spare_.pop_back();
    return job;
}

void DecodePool::recycle(std::unique_ptr<Job> job) {
    job->reading.reset();
    spare_.push_back(std::move(job));
}

void DecodePool::post(std::unique_ptr<Job> job) {
    if (!job->reading) {  // nothing to decode: it is done already
        decode(*job);
        return deposit(std::move(job));
    }
    bool wake;
    {
        const std::lock_guard<std::mutex> lock(posted_mutex_);
        posted_.push_back(std::move(job));
        wake = idle_ > 0;
    }
    if (wake) posted_one_.notify_one();
}

void DecodePool::deposit(std::unique_ptr<Job> job) {
    const std::lock_guard<std::mutex> lock(done_mutex_);
    done_.push_back(std::move(job));
}

std::vector<std::unique_ptr<Job>> DecodePool::collect() {
    std::vector<std::unique_ptr<Job>> done;
    const std::lock_guard<std::mutex> lock(done_mutex_);
    done.swap(done_);
    return done;
}

void DecodePool::decode(Job& job) const {
    job.record.decoding = now_ns();
    job.rows.clear();
    job.not_finite = job.reading ? job.reading->not_finite(settings_.every_value) : -1;
    if (job.reading && job.not_finite < 0) {
        native::Parameters parameters = parameters_;
        const auto index = static_cast<std::size_t>(job.record.sample_index);
        if (index < settings_.image_sizes.size()) {
            std::tie(parameters.width, parameters.height) = settings_.image_sizes[index];
        }
        write_answer(decoder_->decode(*job.reading, parameters), job.record.sample_index, settings_.label_ids,
                     job.rows);
    }
    job.record.decoded = now_ns();
}

void DecodePool::work() {
    std::unique_lock<std::mutex> lock(posted_mutex_);
    for (;;) {
        ++idle_;
        posted_one_.wait(lock, [this] { return !posted_.empty() || closing_; });
        --idle_;
        if (posted_.empty()) return;
        std::unique_ptr<Job> job = std::move(posted_.front());
        posted_.pop_front();
        lock.unlock();
        decode(*job);
        std::int64_t ring = Mailbox::kNever;
        {
            const std::lock_guard<std::mutex> done(done_mutex_);
            done_.push_back(std::move(job));
            if (done_.size() == 1) ring = done_.back()->record.decoded + settings_.ring_after_ns;
            if (done_.size() == settings_.ring_at) ring = 0;
        }
        if (ring != Mailbox::kNever) mailbox_.ring(ring);
        lock.lock();
    }
}

}  // namespace pipeline
