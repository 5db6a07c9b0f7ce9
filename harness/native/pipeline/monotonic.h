// The clock of every moment here: Python's time.monotonic_ns.
#pragma once

#include <time.h>

#include <cerrno>
#include <cstdint>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace pipeline {

constexpr std::int64_t kSecond = 1000000000;

inline std::int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
}

// Linux lets a thread oversleep by 50 us unless asked otherwise; a device would not.
inline void sleep_precisely() {
#if defined(__linux__)
    thread_local const int asked = prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    (void)asked;
#endif
}

}  // namespace pipeline
