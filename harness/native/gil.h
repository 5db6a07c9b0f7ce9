// Work without Python's global interpreter lock.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace native {

inline const std::thread::id kImporter = std::this_thread::get_id();  // the main thread, which finalizes

// Releases the GIL until its end. At the exit of the interpreter the threads that are not joined (daemon threads) would
// be ended where they ask for the GIL again, through destructors that need it: they wait for the end of the process.
class WithoutGil {
  public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() noexcept(false) {  // Python before 3.14 may end the thread in PyEval_RestoreThread all the same
        while (finalizing() && std::this_thread::get_id() != kImporter)
            std::this_thread::sleep_for(std::chrono::hours(1));
        PyEval_RestoreThread(state_);
    }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

  private:
    static bool finalizing() {
#if PY_VERSION_HEX >= 0x030d0000
        return Py_IsFinalizing();
#else
        return _Py_IsFinalizing();
#endif
    }

    PyThreadState* state_;
};

}  // namespace native
