#include "kernels.h"

namespace ssd {

extern const Kernels kernels_baseline;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#endif

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> available = [] {
        std::vector<const Kernels*> found;
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
            found.push_back(&kernels_avx512);
        }
        if (__builtin_cpu_supports("avx2")) found.push_back(&kernels_avx2);
#endif
        found.push_back(&kernels_baseline);
        return found;
    }();
    return available;
}

}  // namespace ssd
