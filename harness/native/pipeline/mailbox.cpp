#include "mailbox.h"

#include <algorithm>
#include <chrono>

#include "monotonic.h"

namespace pipeline {

Mailbox::~Mailbox() {
    for (PyObject* message : messages_) Py_DECREF(message);
    for (; !later_.empty(); later_.pop()) Py_DECREF(later_.top().message);
}

void Mailbox::put(PyObject* message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (messages_.empty()) oldest_ = now_ns();
    messages_.push_back(message);
    wake_for(messages_.size() < kMany ? oldest_ + patience_ : 0);
}

void Mailbox::put_at(std::int64_t due, PyObject* message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    later_.push({due, number_++, message});
    wake_for(due + patience_);
}

void Mailbox::ring(std::int64_t at) {
    const std::lock_guard<std::mutex> lock(mutex_);
    rung_ = std::min(rung_, at);
    wake_for(rung_);
}

// The reader, where it waits, looks again if it would sleep beyond that moment.
void Mailbox::wake_for(std::int64_t at) {
    if (at >= wakes_) return;
    wakes_ = 0;
    changed_.notify_one();
}

void Mailbox::take_due(std::int64_t now) {
    for (; !later_.empty() && later_.top().due <= now; later_.pop()) {
        if (messages_.empty()) oldest_ = later_.top().due;
        messages_.push_back(later_.top().message);
    }
}

std::vector<PyObject*> Mailbox::get(std::int64_t until, std::int64_t patience, bool awake) {
    sleep_precisely();
    std::unique_lock<std::mutex> lock(mutex_);
    patience_ = patience;
    for (;;) {
        const std::int64_t now = now_ns();
        take_due(now);
        std::int64_t wakes = std::min(until, rung_);
        if (!messages_.empty()) wakes = std::min(wakes, messages_.size() < kMany ? oldest_ + patience : now);
        if (!later_.empty()) wakes = std::min(wakes, later_.top().due + patience);
        if (wakes <= now) break;
        wakes_ = wakes;
        if (awake) {
            lock.unlock();  // for as long as there is nothing: whoever puts must not have to wait for the lock
            while (wakes_ != 0 && now_ns() < wakes) {
            }
            lock.lock();
            continue;
        }
        changed_.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(wakes)));
    }
    wakes_ = 0;
    rung_ = kNever;
    std::vector<PyObject*> messages;
    messages.swap(messages_);
    return messages;
}

}  // namespace pipeline
