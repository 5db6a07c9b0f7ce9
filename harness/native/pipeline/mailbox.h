// Where everything that happens is left for the one thread that drives the sessions: what sessions completed, what
// simulated devices will have completed at a later moment, and the ring of a decode pool that has answers.
#pragma once

#include <Python.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <queue>
#include <vector>

namespace pipeline {

class Mailbox {
  public:
    static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
    static constexpr std::size_t kMany = 64;  // messages for which the reader is woken, however patient it is

    ~Mailbox();  // under the GIL

    // Steals a reference. Any thread that holds the GIL, as it owns the reference; never waits for the reader.
    void put(PyObject* message);
    // There from that moment on.
    void put_at(std::int64_t due, PyObject* message);
    // Wakes the reader at that moment, or sooner. Needs no GIL.
    void ring(std::int64_t at);

    // The reader's: waits, without the GIL, until a message is `patience` old, or there are many, or it is rung, or
    // that moment has come; then all messages that are there, in the order of their moments, are the caller's.
    // Awake: it does not sleep meanwhile, so nobody has to wake it.
    std::vector<PyObject*> get(std::int64_t until, std::int64_t patience, bool awake);

  private:
    struct Later {
        std::int64_t due;
        std::uint64_t number;  // messages of the same moment keep their order
        PyObject* message;
        bool operator<(const Later& other) const { return due != other.due ? due > other.due : number > other.number; }
    };

    void take_due(std::int64_t now);
    void wake_for(std::int64_t at);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<PyObject*> messages_;
    std::int64_t oldest_ = kNever;  // the moment of the first of `messages_`
    std::priority_queue<Later> later_;
    std::uint64_t number_ = 0;
    std::int64_t rung_ = kNever;
    std::int64_t patience_ = 0;
    std::atomic<std::int64_t> wakes_{0};  // when the reader wakes by itself; below every moment while it does not wait
};

}  // namespace pipeline
