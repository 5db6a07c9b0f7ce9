#if defined(__x86_64__)
#define KERNELS_VARIANT avx512
#define KERNELS_TABLE kernels_avx512
#define KERNELS_REGISTER 64
#if defined(__clang__)
#define KERNELS_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"), min_vector_width(512)))
#elif __GNUC__ < 11  // not known to take the preference in an attribute: plain loops then stay at 256 bits
#define KERNELS_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#else
#define KERNELS_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")))
#endif
#include "kernels_body.h"
#endif
